package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/console"
)

var update = flag.Bool("update", false, "rewrite golden files")

func at(s string) time.Time {
	t, err := time.Parse("15:04:05", s)
	if err != nil {
		panic(err)
	}
	return t.AddDate(2026, 10, 22).UTC()
}

func TestRenderStatus(t *testing.T) {
	s := console.Status{
		Project: "clinic", Window: "10s", Started: at("10:00:00"),
		Pipelines: []console.PipelineStatus{
			{Name: "care", State: console.Running, Window: at("10:15:20"), WindowEnd: at("10:15:30"), Final: true, Rows: 1234567, Tables: []console.PipelineTable{
				{Name: "raw_consult.patients", Upserts: 120, Deletes: 3},
				{Name: "mart.visits", Upserts: 1234567, Quarantined: 2},
				{Name: "raw_consult.notes", Parked: "its primary key was dropped"},
			}},
			{Name: "pay", State: console.Waiting, Waiting: "pharmacy", Tables: []console.PipelineTable{{Name: "raw_pharmacy.payments"}}},
		},
		Sources: []console.SourceStatus{
			{Name: "consult", State: console.Loading, AsOf: at("10:15:33"), Rows: 98765, Tables: []console.SourceTable{
				{Name: "clinic.patients", Loaded: true},
				{Name: "clinic.appointments", Rows: 570000, Estimate: 1000000},
				{Name: "clinic.doctors", Rows: 12},
			}},
			{Name: "pharmacy", State: console.Failed, Error: "db:3306: access denied for user \"tidemill\"\n  remedy: check user and password"},
		},
		Config: console.ConfigStatus{Error: "pipelines/care.yaml:4:5: tables[0]: unknown key"},
	}
	got := strings.Join(renderStatus(s, 110, at("10:15:36"), "tidemill"), "\n") + "\n"
	golden := "testdata/status.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s%v", got, want, err)
	}
}

// Text that is written while a block stands lands above it, and a redraw erases exactly the block.
func TestScreen(t *testing.T) {
	var out bytes.Buffer
	s := &screen{live: true, out: &out}
	for _, step := range []func() error{
		func() error { return s.draw([]string{"a", "b"}) },
		func() error { _, err := s.Write([]byte("log\n")); return err },
		func() error { return s.draw([]string{"c"}) },
		func() error { return s.draw([]string{"d"}) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	want := "a\nb\n" + "\x1b[2A\r\x1b[Jlog\na\nb\n" + "\x1b[2A\r\x1b[Jc\n" + "\x1b[1A\r\x1b[Jd\n"
	if out.String() != want {
		t.Errorf("got %q\nwant %q", out.String(), want)
	}
}

func TestThousandsAndRough(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", -100: "-100"} {
		if got := thousands(n); got != want {
			t.Errorf("%d = %s", n, got)
		}
	}
	for d, want := range map[time.Duration]string{1500 * time.Millisecond: "1.5s", 75 * time.Second: "1m15s", 26*time.Hour + 10*time.Minute: "26h10m", 100 * time.Hour: "4d"} {
		if got := rough(d); got != want {
			t.Errorf("%s = %s", d, got)
		}
	}
}
