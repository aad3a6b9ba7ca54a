package redshift_test

import (
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/internal/rslint"
	"github.com/tidemill/tidemill/sinks/redshift"
	"github.com/tidemill/tidemill/window"
)

var update = flag.Bool("update", false, "write the golden files anew")

// everything is a load with every kind and names that want quotes.
func everything() *window.TableLoad {
	t := &window.TableLoad{Table: window.WarehouseTable{Schema: "mart", Name: "Visits"}, Key: []string{"ID", "code"}, Upserts: 1}
	for _, c := range []struct {
		name string
		kind ingest.Kind
	}{{"ID", ingest.Int64}, {"code", ingest.Text}, {"tag", ingest.Bool}, {"small", ingest.Int16}, {"medium", ingest.Int32}, {"ratio", ingest.Float32}, {"score", ingest.Float64},
		{"amount", ingest.Decimal}, {`no"te`, ingest.Text}, {"doc", ingest.JSON}, {"raw", ingest.Bytes}, {"day", ingest.Date}, {"wall", ingest.Timestamp}, {"Seen At", ingest.TimestampTZ}} {
		typ := ingest.Type{Kind: c.kind}
		if c.kind == ingest.Decimal {
			typ.Precision, typ.Scale = 18, 4
		}
		t.Columns = append(t.Columns, ingest.Column{Name: c.name, Type: typ})
	}
	return t
}

// templates are all statements, by golden file.
func templates(t *testing.T) map[string][]string {
	t.Helper()
	load := everything()
	all, err := redshift.Templates(load, map[string]int{"code": 30, `no"te`: 70, "doc": 5000})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	q := window.TableLoad{Table: window.QuarantineTable, Columns: window.QuarantineColumns, Key: window.QuarantineKey}
	replaced := *load
	replaced.Replace = true
	p := &window.Publication{Pipeline: "care", Step: window.Step{Start: at, End: at.Add(time.Hour)}, Manifest: window.Manifest{Tables: []window.TableLoad{replaced}, Quarantine: &q},
		Stats: window.ReceiptStats{Stands: []window.Standing{{Table: load.Table, Why: "parked"}}}}
	if all["publish"], err = redshift.LedgerTemplates(p); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestGolden: what is sent is what the golden files show, and rslint finds nothing in it, not even a warning.
func TestGolden(t *testing.T) {
	for name, statements := range templates(t) {
		got := strings.Join(statements, ";\n") + ";\n"
		path := filepath.Join("testdata", "golden", name+".sql")
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil || string(want) != got {
			t.Errorf("%s differs (%v); look at it and run the test with -update\n%s", path, err, got)
		}
		for _, s := range statements {
			for _, f := range rslint.Check(s, rslint.Options{InTransaction: name != "widen"}) {
				t.Errorf("%s: %s\n%s", name, f, s)
			}
		}
	}
}

// gaps are what sqlfluff 4.5.0 cannot read although Redshift's guide shows it.
var gaps = regexp.MustCompile(`\\\\`) // a backslash that escapes a backslash ends a literal for it

// TestSecondOpinion has every template parsed by people who do not know ours.
func TestSecondOpinion(t *testing.T) {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(templates(t))) {
		all = append(all, templates(t)[name]...)
	}
	found := realtest.Unparsable(t, all)
	for i, s := range all {
		if len(found[i]) > 0 && !gaps.MatchString(s) {
			t.Errorf("sqlfluff: %s\n%s", found[i], s)
		}
	}
}
