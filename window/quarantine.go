package window

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/parquet"
	statefile "github.com/tidemill/tidemill/window/state"
)

// QuarantineTable is where the rows go that no warehouse can hold. It is the ledger's: pipelines share it.
var QuarantineTable = WarehouseTable{Schema: "tidemill", Name: "quarantine"}

// quarantineText is the type of all columns that a publish gives the quarantine.
var quarantineText = ingest.Type{Kind: ingest.Text}

// QuarantineColumns are the columns of the parts of Manifest.Quarantine. An upsert is a row that is put into quarantine; it
// takes the place of an earlier one of its key. A delete says that the row of this key is in order again, or gone.
var QuarantineColumns = []ingest.Column{
	{Name: "table_schema", Type: quarantineText},
	{Name: "table_name", Type: quarantineText},
	{Name: "row_key", Type: quarantineText},                     // JSON array of the key's values
	{Name: "column_name", Type: quarantineText, Nullable: true}, // the first column that is bad
	{Name: "fault", Type: quarantineText, Nullable: true},       // parquet.Fault
	{Name: "row_image", Type: quarantineText, Nullable: true},   // JSON object of the row
}

// QuarantineKey are the key columns of the parts.
var QuarantineKey = []string{"table_schema", "table_name", "row_key"}

// Quarantined is one row that is in quarantine.
type Quarantined struct {
	Table WarehouseTable
	Key   string // row_key
}

// quarantined are the rows in quarantine as of the fence, by table and key. The warehouse is where they are remembered.
type quarantined map[WarehouseTable]map[string]bool

func quarantinedOf(rows []Quarantined) quarantined {
	out := quarantined{}
	for _, r := range rows {
		out.put(r.Table, r.Key)
	}
	return out
}

func (q quarantined) put(t WarehouseTable, key string) {
	if q[t] == nil {
		q[t] = map[string]bool{}
	}
	q[t][key] = true
}

// after is what is in quarantine when these tables are published.
func (q quarantined) after(tables []preparedTable) quarantined {
	out := maps.Clone(q)
	for _, t := range tables {
		if t.load.Replace {
			delete(out, t.load.Table)
		}
		if len(t.bad)+len(t.resolved) == 0 {
			continue
		}
		out[t.load.Table] = maps.Clone(out[t.load.Table])
		for _, k := range t.resolved {
			delete(out[t.load.Table], k)
		}
		for _, b := range t.bad {
			out.put(t.load.Table, b.Key)
		}
	}
	return out
}

// tooMany refuses a step of which more rows are bad than the pipeline lets through. It names tables, columns and faults,
// never a key or a value.
func tooMany(pipeline string, limit int64, tables []preparedTable) error {
	var n int64
	var where []string
	for _, t := range tables {
		for at, rows := range t.faults {
			n += rows
			where = append(where, fmt.Sprintf("%s column %s: %d with %s", t.load.Table, at.Column, rows, at.Fault.Describe()))
		}
	}
	if n <= limit {
		return nil
	}
	slices.Sort(where)
	return &RefusedError{
		What: fmt.Sprintf("%d rows of this window hold a value that no warehouse can hold, and max_quarantine is %d (%s)", n, limit, strings.Join(where, "; ")),
		Hint: fmt.Sprintf("set max_quarantine: %d in pipeline %s: the rows are then kept in %s and left out of their tables until they are mended; "+
			"and mend the values at the source, or in the SQL of a view: the window that brings a mended row puts it back", n, pipeline, QuarantineTable),
	}
}

// quarantinePart writes what goes into and out of quarantine as one more table of the publish; nil when nothing does. The
// rows are sorted, whatever order the tables have in the configuration (invariant 8).
func quarantinePart(ctx context.Context, tables []preparedTable, dir string) (_ *preparedTable, err error) {
	out := &preparedTable{load: TableLoad{Table: QuarantineTable, Columns: QuarantineColumns, Key: QuarantineKey}}
	tables = slices.Clone(tables)
	slices.SortFunc(tables, func(a, b preparedTable) int {
		return cmp.Or(cmp.Compare(a.load.Table.Schema, b.load.Table.Schema), cmp.Compare(a.load.Table.Name, b.load.Table.Name))
	})
	rows := ingest.NewBuilder(&ingest.Schema{Columns: QuarantineColumns, Key: QuarantineKey})
	for _, t := range tables {
		addQuarantined(rows, out, t)
	}
	if rows.Rows() == 0 {
		return nil, nil
	}
	w := parquet.NewWriter(dir, "quarantine", parquet.Schema{Columns: QuarantineColumns, Op: true})
	rec := rows.Record()
	defer rec.Release()
	if err := w.Write(ctx, rec); err != nil {
		return nil, fmt.Errorf("writing the quarantine: %w", err)
	}
	files, err := w.Close(ctx)
	if err != nil {
		return nil, fmt.Errorf("writing the quarantine: %w", err)
	}
	for _, f := range files {
		out.load.Parts = append(out.load.Parts, Part{Bytes: f.Bytes, Rows: f.Rows, SHA256: f.SHA256})
		out.files = append(out.files, f.Path)
	}
	return out, nil
}

// addQuarantined appends one table's rows, by key.
func addQuarantined(b *ingest.Builder, out *preparedTable, t preparedTable) {
	row := func(op ingest.Op, key string, rest ...string) {
		for i, v := range append([]string{t.load.Table.Schema, t.load.Table.Name, key}, rest...) {
			b.Cols[i].Bytes([]byte(v))
		}
		for i := 3 + len(rest); i < len(b.Cols); i++ {
			b.Cols[i].Null()
		}
		b.End(op)
	}
	bad, resolved := slices.Clone(t.bad), slices.Sorted(slices.Values(t.resolved))
	slices.SortFunc(bad, func(a, b statefile.BadRow) int { return cmp.Compare(a.Key, b.Key) })
	for len(bad)+len(resolved) > 0 {
		if len(resolved) == 0 || len(bad) > 0 && bad[0].Key < resolved[0] {
			row(ingest.Upsert, bad[0].Key, bad[0].Column, string(bad[0].Fault), bad[0].Row)
			bad = bad[1:]
			out.load.Upserts++
			continue
		}
		row(ingest.Delete, resolved[0])
		resolved = resolved[1:]
		out.load.Deletes++
	}
}

// isolate decides what becomes of a step's bad rows: refused, or put into quarantine with the publish.
func (k *keeper) isolate(ctx context.Context, p *Publication, tables []preparedTable, dir string) (*preparedTable, error) {
	if err := tooMany(k.cfg.Name, k.cfg.MaxQuarantine, tables); err != nil {
		return nil, err
	}
	q, err := quarantinePart(ctx, tables, dir)
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		p.Stats.Changed += t.changed
	}
	k.prepared = k.quarantine.after(tables)
	return q, nil
}

// readQuarantine learns what is in quarantine as of the fence.
func (k *keeper) readQuarantine(ctx context.Context) error {
	rows, err := k.cfg.Sink.Quarantined(ctx, k.cfg.Name)
	if err != nil {
		return fmt.Errorf("reading the quarantine: %w", err)
	}
	k.setQuarantine(quarantinedOf(rows))
	return nil
}

func (k *keeper) setQuarantine(q quarantined) {
	k.quarantine = q
	counts := map[string]int64{}
	for t, keys := range q {
		counts[t.String()] = int64(len(keys))
	}
	k.board.quarantined(counts)
}
