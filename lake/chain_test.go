package lake

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/window"
)

var visits = window.WarehouseTable{Schema: "mart", Name: "visits"}

func stepAt(n int) window.Step {
	start := time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC).Add(time.Duration(n) * 15 * time.Minute)
	return window.Step{Start: start, End: start.Add(15 * time.Minute), Final: true}
}

// published writes publishes as "R1 d2 -3 o4": of window 1 a replacement, of 2 a delta, 3 changes nothing, 4 another table only.
func published(script string) (receipts []Receipt, manifests map[string]window.Manifest) {
	manifests = map[string]window.Manifest{}
	for _, word := range strings.Fields(script) {
		var n int
		fmt.Sscan(word[1:], &n)
		r := Receipt{Step: stepAt(n), ManifestKey: fmt.Sprint("m", n), Tables: []string{visits.String()}}
		m := window.Manifest{Step: r.Step, Tables: []window.TableLoad{{Table: visits, Replace: word[0] == 'R', Upserts: int64(n)}}}
		switch word[0] {
		case '-':
			r.ManifestKey, r.Tables = "", nil
		case 'o':
			r.Tables, m.Tables[0].Table.Name = []string{"mart.other"}, "other"
		}
		receipts = append(receipts, r)
		if r.ManifestKey != "" {
			manifests[r.ManifestKey] = m
		}
	}
	return receipts, manifests
}

// Which publishes a table is made of, with the warehouse's receipts and without them.
func TestChain(t *testing.T) {
	for _, k := range []struct{ script, gone, to, want, alone string }{
		{"R1 d2 -3 o4 d5", "", "9", "m1 m2 m5", ""},
		{"R1 d2 d3", "", "2", "m1 m2", ""},
		{"R1 d2 R3 d4", "", "9", "m3 m4", ""},
		{"R1 d2 R3 d4", "", "2", "m1 m2", ""},
		{"R1 d2 R3 d4", "m2", "9", "m3 m4", ""}, // nobody needs it
		{"R1 d2 o3 d4", "m3", "9", "m1 m2 m4", ""},
		{"R1 d2 d3", "m2", "9", "the manifest m2 of the window 2026-12-01T10:30:00Z is gone", "m1 m3"}, // without receipts nobody can know
		{"R1 d2 d3", "m1", "9", "the manifest m1 of", "the lake holds no publish"},
		{"R1 d2", "", "0", "the lake holds no publish", ""},
		{"o1", "", "9", "the lake holds no publish", ""},
	} {
		receipts, manifests := published(k.script)
		delete(manifests, k.gone)
		var n int
		fmt.Sscan(k.to, &n)
		for _, r := range [][]Receipt{receipts, nil} {
			want := k.want
			if r == nil && k.alone != "" {
				want = k.alone
			}
			chain, err := Chain(visits, stepAt(n).End, r, manifests)
			var keys []string
			for _, e := range chain {
				keys = append(keys, e.Key)
			}
			got := strings.Join(keys, " ")
			var missing *MissingError
			if err != nil {
				got = err.Error()
			}
			if got != want && (!errors.As(err, &missing) || !strings.Contains(got, want)) {
				t.Errorf("%s without %q to %s, receipts %v: got %q, want %q", k.script, k.gone, k.to, r != nil, got, want)
			}
		}
	}
}

// An attempt that was never published leaves a manifest, too (invariant 1).
func TestAttemptsThatWereNotPublished(t *testing.T) {
	receipts, manifests := published("R1 d2")
	other := manifests["m2"]
	other.Attempt = "again"
	manifests["m2b"] = other // the same rows
	for _, r := range [][]Receipt{receipts, nil} {
		if chain, err := Chain(visits, stepAt(9).End, r, manifests); err != nil || len(chain) != 2 {
			t.Errorf("%v, %v", chain, err)
		}
	}
	other.Tables = []window.TableLoad{{Table: visits, Upserts: 99}}
	manifests["m2b"] = other
	if chain, err := Chain(visits, stepAt(9).End, receipts, manifests); err != nil || len(chain) != 2 || chain[1].Key != "m2" {
		t.Errorf("%v, %v", chain, err)
	}
	if _, err := Chain(visits, stepAt(9).End, nil, manifests); err == nil || !strings.Contains(err.Error(), "two attempts of the window") {
		t.Errorf("two attempts that differ: %v", err)
	}
}
