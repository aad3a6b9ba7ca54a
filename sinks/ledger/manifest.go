package ledger

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/window"
)

// Limits of a warehouse's names.
type Limits struct {
	NameBytes  int      // longest identifier
	FoldCase   bool     // names that differ only in letter case are one
	NoColumns  []string // names that no column may have
	MaxColumns int
}

// CheckManifest refuses a publication that contradicts itself or that this warehouse cannot hold, before anything is
// touched. A publication is made by the pipeline, so most of these are faults of tidemill and not of its user.
func CheckManifest(p *window.Publication, l Limits) error {
	switch {
	case p.Pipeline == "" || p.Hash == "" || p.Lineage == "":
		return fault("a publication names no pipeline, manifest hash or lineage")
	case p.Manifest.Pipeline != p.Pipeline || !Same(p.Manifest.Step, p.Step):
		return fault("the manifest is of another pipeline or step than the publication")
	case p.Step.Start.IsZero() || !p.Step.End.After(p.Step.Start):
		return fault("the step is not a window")
	}
	seen := map[string]bool{}
	for i := range p.Manifest.Tables {
		t := &p.Manifest.Tables[i]
		if name := fold(t.Table.String(), l); seen[name] { // invariant 3
			return fault("the manifest names the table " + t.Table.String() + " twice")
		} else {
			seen[name] = true
		}
		if err := checkTable(t, l); err != nil {
			return err
		}
	}
	return checkQuarantine(p.Manifest.Quarantine)
}

// checkQuarantine compares what the manifest says of its quarantine with what the ledger's table takes.
func checkQuarantine(q *window.TableLoad) error {
	switch {
	case q == nil:
		return nil
	case q.Table != window.QuarantineTable || q.Replace || !slices.Equal(q.Key, window.QuarantineKey) || !slices.Equal(q.Columns, window.QuarantineColumns):
		return fault("the manifest's quarantine is of other columns than " + window.QuarantineTable.String())
	}
	return checkRows(q)
}

func checkTable(t *window.TableLoad, l Limits) error {
	if err := checkName("schema", t.Table.Schema, l); err != nil {
		return err
	}
	if err := checkName("table", t.Table.Name, l); err != nil {
		return err
	}
	if s := strings.ToLower(t.Table.Schema); s == Schema || s == "pg_catalog" || s == "information_schema" || s == "pg_toast" {
		return &window.RefusedError{What: fmt.Sprintf("the table %s would be in a schema of the system", t.Table), Hint: "publish it into another schema"}
	}
	if err := checkColumns(t, l); err != nil {
		return err
	}
	return checkRows(t)
}

func checkRows(t *window.TableLoad) error {
	var rows int64
	for _, part := range t.Parts {
		rows += part.Rows
	}
	if rows != t.Upserts+t.Deletes || t.Upserts < 0 || t.Deletes < 0 {
		return fault(fmt.Sprintf("the parts of %s hold %d rows, the manifest says %d upserts and %d deletes", t.Table, rows, t.Upserts, t.Deletes))
	}
	if t.Replace && t.Deletes > 0 {
		return fault(fmt.Sprintf("the load of %s replaces the table and deletes rows", t.Table))
	}
	return nil
}

func checkColumns(t *window.TableLoad, l Limits) error {
	if l.MaxColumns > 0 && len(t.Columns) >= l.MaxColumns {
		return &window.RefusedError{What: fmt.Sprintf("the table %s has %d columns, the warehouse holds %d", t.Table, len(t.Columns), l.MaxColumns-1), Hint: "publish fewer columns"}
	}
	names := map[string]bool{}
	for _, c := range t.Columns {
		if err := checkName("column", c.Name, l); err != nil {
			return fmt.Errorf("table %s: %w", t.Table, err)
		}
		f := fold(c.Name, l)
		if f == ingest.OpColumn || slices.Contains(l.NoColumns, f) {
			return &window.RefusedError{What: fmt.Sprintf("the table %s has a column %q, a name that is reserved", t.Table, c.Name), Hint: "rename it in the view: SELECT ... AS other_name"}
		}
		if names[f] {
			return &window.RefusedError{What: fmt.Sprintf("the table %s has two columns %q for the warehouse", t.Table, c.Name), Hint: "rename one in the view: SELECT ... AS other_name"}
		}
		names[f] = true
	}
	if len(t.Key) == 0 {
		return fault(fmt.Sprintf("the table %s has no key", t.Table))
	}
	for i, k := range t.Key {
		if !slices.ContainsFunc(t.Columns, func(c ingest.Column) bool { return c.Name == k }) || slices.Contains(t.Key[:i], k) {
			return fault(fmt.Sprintf("the key column %s of %s is no column or is named twice", k, t.Table))
		}
	}
	return nil
}

func checkName(what, name string, l Limits) error {
	switch {
	case name == "" || strings.ContainsRune(name, 0):
		return &window.RefusedError{What: fmt.Sprintf("the %s name %q is not a name", what, name), Hint: "rename it"}
	case l.NameBytes > 0 && len(name) > l.NameBytes:
		return &window.RefusedError{What: fmt.Sprintf("the %s name %s has %d bytes, the warehouse cuts names at %d", what, name, len(name), l.NameBytes), Hint: "rename it"}
	}
	return nil
}

func fold(s string, l Limits) string {
	if l.FoldCase {
		return strings.ToLower(s)
	}
	return s
}

// fault is a contradiction that no person can mend by settings, but that retrying cannot mend either.
func fault(what string) error {
	return &window.RefusedError{What: "internal fault: " + what, Hint: "please report it with the manifest"}
}

// Counts are what staging holds, to be compared with the manifest.
type Counts struct{ Upserts, Deletes, Other, NullKeys, RepeatedKeys int64 }

// CheckCounts refuses staged rows that are not the manifest's.
func CheckCounts(t *window.TableLoad, c Counts) error {
	switch {
	case c.Upserts != t.Upserts || c.Deletes != t.Deletes || c.Other != 0:
		return fault(fmt.Sprintf("the parts of %s hold %d upserts, %d deletes and %d other rows, the manifest says %d and %d",
			t.Table, c.Upserts, c.Deletes, c.Other, t.Upserts, t.Deletes))
	case c.NullKeys != 0:
		return &window.RefusedError{What: fmt.Sprintf("%d rows of %s have NULL in a key column", c.NullKeys, t.Table), Hint: "choose a key that is never NULL, or filter these rows in the view"}
	case c.RepeatedKeys != 0:
		return &window.RefusedError{What: fmt.Sprintf("%d rows of %s repeat a key", c.RepeatedKeys, t.Table), Hint: "choose a key that is unique in the view's result"}
	}
	return nil
}
