package oracle

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Receipts are checked one after the other: each follows the one before it, or the oracle says so (invariant 2).
func TestReceiptsAreAChain(t *testing.T) {
	t0 := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	at := func(minute, slice int, final bool) Receipt {
		start := t0.Add(time.Duration(minute) * time.Minute)
		return Receipt{Start: start, End: start.Add(15 * time.Minute), Slice: slice, Final: final}
	}
	for name, c := range map[string]struct {
		receipts []Receipt
		good     bool
	}{
		"windows":               {[]Receipt{at(0, 0, true), at(15, 0, true), at(30, 0, true)}, true},
		"slices":                {[]Receipt{at(0, 0, true), at(15, 0, false), at(15, 1, false), at(15, 2, true), at(30, 0, true)}, true},
		"a window is missing":   {[]Receipt{at(0, 0, true), at(30, 0, true)}, false},
		"a window is repeated":  {[]Receipt{at(0, 0, true), at(0, 0, true)}, false},
		"a slice is missing":    {[]Receipt{at(0, 0, true), at(15, 0, false), at(15, 2, true)}, false},
		"no final slice":        {[]Receipt{at(0, 0, true), at(15, 0, false), at(30, 0, true)}, false},
		"another window length": {[]Receipt{{Start: t0, End: t0.Add(time.Minute), Final: true}}, false},
	} {
		checker := Checker{Length: 15 * time.Minute, Engine: nil}
		var err error
		for _, r := range c.receipts {
			if err == nil {
				err = checker.Check(t.Context(), r)
			}
		}
		if (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The oracle shares nothing with what it judges (invariant 1): of the module it imports nothing, and its cases neither.
func TestNothingOfOursIsImported(t *testing.T) {
	for _, pattern := range []string{"*.go", "cases/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) < 5 {
			t.Fatalf("%d files, %v", len(files), err)
		}
		for _, name := range slices.DeleteFunc(files, func(n string) bool { return strings.HasSuffix(n, "_test.go") }) {
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range f.Imports {
				if strings.Contains(i.Path.Value, "tidemill/") && !strings.HasSuffix(i.Path.Value, `internal/pqcheck"`) { // which only refuses files
					t.Errorf("%s imports %s", name, i.Path.Value)
				}
			}
		}
	}
}
