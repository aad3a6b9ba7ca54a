package lake

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tidemill/tidemill/window"
)

// Receipt is what the warehouse says of one publish, in the order of its commits.
type Receipt struct {
	Step        window.Step
	ManifestKey string   // empty: it changed no row
	Tables      []string // that it changed
	Committed   int64    // when, by the warehouse's clock, in seconds since 1970
}

// Entry is one publish of a table.
type Entry struct {
	Key  string // of its manifest
	Step window.Step
	Load window.TableLoad
}

// MissingError says that the store no longer holds what is needed.
type MissingError struct {
	Table window.WarehouseTable
	What  string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("rebuilding %s: %s", e.Table, e.What)
}

// Chain is the publishes that make up the table as of the last window that ends at or before to: from the last one that replaced it
// (invariant 3). receipts may be nil: the warehouse that had them is gone.
func Chain(table window.WarehouseTable, to time.Time, receipts []Receipt, manifests map[string]window.Manifest) ([]Entry, error) {
	if receipts == nil {
		var err error
		if receipts, err = alone(table, manifests); err != nil {
			return nil, err
		}
	}
	var out []Entry
	missing := "the lake holds no publish of it up to that window"
	for _, r := range receipts {
		if r.Step.End.After(to) || !slices.Contains(r.Tables, table.String()) {
			continue
		}
		m, ok := manifests[r.ManifestKey]
		if !ok {
			out, missing = nil, fmt.Sprintf("the manifest %s of the window %s is gone", r.ManifestKey, r.Step.Start.UTC().Format(time.RFC3339))
			continue
		}
		i := slices.IndexFunc(m.Tables, func(t window.TableLoad) bool { return t.Table == table })
		switch {
		case i < 0:
			return nil, &MissingError{table, fmt.Sprintf("the manifest %s does not hold the table, and the receipt of its publish does", r.ManifestKey)}
		case m.Tables[i].Replace:
			out = out[:0:0]
		case out == nil: // it follows what is gone, or what was never there
			continue
		}
		out = append(out, Entry{r.ManifestKey, r.Step, m.Tables[i]})
	}
	if out == nil {
		return nil, &MissingError{table, missing}
	}
	return out, nil
}

// alone makes receipts of the manifests themselves. Several attempts of a step are one when they hold the same (invariant 1).
func alone(table window.WarehouseTable, manifests map[string]window.Manifest) ([]Receipt, error) {
	type stepOf struct {
		start int64
		slice int
	}
	hashes := map[stepOf]string{}
	out := []Receipt{}
	for key, m := range manifests {
		if !slices.ContainsFunc(m.Tables, func(t window.TableLoad) bool { return t.Table == table }) {
			continue
		}
		s := stepOf{m.Step.Start.Unix(), m.Step.Slice}
		switch hash := m.Hash(); {
		case hashes[s] == "":
			hashes[s] = hash
			out = append(out, Receipt{Step: m.Step, ManifestKey: key, Tables: []string{table.String()}})
		case hashes[s] != hash:
			return nil, &MissingError{table, fmt.Sprintf("the lake holds two attempts of the window %s that differ, and the warehouse has no receipts that say which was published", m.Step.Start.UTC().Format(time.RFC3339))}
		}
	}
	slices.SortFunc(out, func(a, b Receipt) int {
		return cmp.Or(a.Step.Start.Compare(b.Step.Start), cmp.Compare(a.Step.Slice, b.Step.Slice))
	})
	return out, nil
}
