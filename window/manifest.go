package window

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/tidemill/tidemill/ingest"
)

// Hash identifies what a publish contains: the same step with the same rows has the same hash, whatever attempt, machine
// or order of tables it came from. Parts are sorted by key and written deterministically, so their own hashes stand for
// their rows; object keys and the attempt are left out.
func (m *Manifest) Hash() string {
	type table struct {
		Table   WarehouseTable
		Columns []ingest.Column
		Key     []string
		Parts   []string
		Counts  [2]int64
		Replace bool
	}
	of := func(t TableLoad) table {
		out := table{t.Table, t.Columns, t.Key, nil, [2]int64{t.Upserts, t.Deletes}, t.Replace}
		for _, p := range t.Parts {
			out.Parts = append(out.Parts, p.SHA256)
		}
		return out
	}
	tables := make([]table, 0, len(m.Tables))
	for _, t := range m.Tables {
		tables = append(tables, of(t))
	}
	var quarantine *table
	if m.Quarantine != nil {
		quarantine = new(of(*m.Quarantine))
	}
	slices.SortFunc(tables, func(a, b table) int {
		return cmp.Or(cmp.Compare(a.Table.Schema, b.Table.Schema), cmp.Compare(a.Table.Name, b.Table.Name))
	})
	b, err := json.Marshal(struct {
		Pipeline string
		Start    string
		End      string
		Slice    int
		Final    bool
		Tables   []table
		Bad      *table `json:",omitempty"`
	}{m.Pipeline, stamp(m.Step.Start), stamp(m.Step.End), m.Step.Slice, m.Step.Final, tables, quarantine})
	if err != nil {
		panic(err) // plain data
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// loads are all that the publish loads: its tables, and its quarantine.
func (m *Manifest) loads() []TableLoad {
	if m.Quarantine == nil {
		return m.Tables
	}
	return append(slices.Clone(m.Tables), *m.Quarantine)
}

// partKey is the object key of a part: one folder per attempt, so that no two attempts ever meet in a name (H5).
func partKey(pipeline string, t WarehouseTable, s Step, attempt string, n int) string {
	return fmt.Sprintf("%s/%s/w=%s/k=%d/%s/part-%d.parquet", pipeline, t, stamp(s.Start), s.Slice, attempt, n)
}

// manifestKey is the object key of an attempt's manifest. An attempt without one is an orphan.
func manifestKey(pipeline string, s Step, attempt string) string {
	return fmt.Sprintf("%s/%s/w=%s/k=%d/%s/manifest.json", pipeline, manifestFolder, stamp(s.Start), s.Slice, attempt)
}

// Folders of a pipeline in the store that hold no table. Warehouse tables have a dot in their name, these have none.
const (
	manifestFolder = "_manifest"
	stateFolder    = "_state"
)
