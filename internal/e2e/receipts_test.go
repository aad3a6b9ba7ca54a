package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidemill/tidemill/internal/oracle"
	"github.com/tidemill/tidemill/window"
)

// receiptRow is one row of tidemill.receipts.
type receiptRow struct {
	Start, End  time.Time
	Slice       int
	Final       bool
	Epoch       int64
	Cut         window.Cut
	ManifestKey string
}

const receiptsSQL = `select cast(extract(epoch from window_start) as bigint) as s, cast(extract(epoch from window_end) as bigint) as e,
 cast(slice as bigint) as k, cast(final as text) as f, epoch as o, cast(cut as text) as cut, manifest_key as m
 from tidemill.receipts where pipeline = 'care' order by window_start, slice`

// receipts reads the history of publishes from the warehouse: through the daemon for DuckDB, whose file it holds.
func (e *env) receipts(ctx context.Context) ([]receiptRow, error) {
	rows, err := e.ask(ctx, receiptsSQL)
	if err != nil {
		return nil, err
	}
	out := make([]receiptRow, len(rows))
	for i, r := range rows {
		out[i] = receiptRow{Start: epoch(r["s"]), End: epoch(r["e"]), Slice: int(epoch(r["k"]).Unix()), Epoch: epoch(r["o"]).Unix(), Final: r["f"] == "true", ManifestKey: r["m"]}
		if err := json.Unmarshal([]byte(r["cut"]), &out[i].Cut); err != nil {
			return nil, fmt.Errorf("reading a cut: %w", err)
		}
	}
	return out, nil
}

func epoch(s string) time.Time {
	var n int64
	if _, err := fmt.Sscan(s, &n); err != nil {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// ask runs a query on the warehouse and returns rows as text by column.
func (e *env) ask(ctx context.Context, sql string) ([]map[string]string, error) {
	if e.warehouse != "duckdb" { // what is behind redshift is read past it: it would want the tests to speak its dialect
		return askPostgres(ctx, e.pg.DSN("warehouse"), sql)
	}
	return asText(e.query(ctx, sql))
}

func asText(rows []map[string]any, err error) ([]map[string]string, error) {
	if err != nil {
		return nil, err
	}
	out := make([]map[string]string, len(rows))
	for i, r := range rows {
		out[i] = map[string]string{}
		for k, v := range r {
			if v != nil {
				out[i][k] = fmt.Sprint(v)
			}
		}
	}
	return out, nil
}

func askPostgres(ctx context.Context, dsn, sql string) ([]map[string]string, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return asText(pgx.CollectRows(rows, pgx.RowToMap))
}

// judge checks every receipt that has not been checked yet and returns how many there are in all.
func (e *env) judge(t *testing.T) int {
	t.Helper()
	rows, err := e.receipts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for ; e.checked < len(rows); e.checked++ {
		if e.checked > 0 && rows[e.checked].Epoch < rows[e.checked-1].Epoch {
			t.Errorf("window %s was published by epoch %d after epoch %d had taken over", rows[e.checked].Start, rows[e.checked].Epoch, rows[e.checked-1].Epoch)
		}
		if err := e.checker.Check(t.Context(), e.receipt(t, rows[e.checked])); err != nil {
			t.Fatal(err)
		}
		if e.each != nil {
			e.each(rows[e.checked])
		}
	}
	return len(rows)
}

func (e *env) receipt(t *testing.T, r receiptRow) oracle.Receipt {
	t.Helper()
	out := oracle.Receipt{Start: r.Start, End: r.End, Slice: r.Slice, Final: r.Final, Positions: map[string]string{}}
	for name, c := range r.Cut {
		out.Positions[name] = string(c.Position)
	}
	if r.ManifestKey == "" { // an empty step: the fence moved, no file
		return out
	}
	text, err := os.ReadFile(e.local(t, r.ManifestKey))
	if err != nil {
		t.Fatal(err)
	}
	var m window.Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	for _, tab := range m.Tables {
		p := oracle.PublishedTable{Name: tab.Table.String(), Key: tab.Key, Replace: tab.Replace}
		for _, part := range tab.Parts {
			p.Paths = append(p.Paths, e.local(t, part.Key))
		}
		out.Tables = append(out.Tables, p)
	}
	if m.Quarantine != nil {
		for _, part := range m.Quarantine.Parts {
			out.Quarantine = append(out.Quarantine, e.local(t, part.Key))
		}
	}
	return out
}

// settled waits until the newest receipt's cut covers what both servers hold now, then judges everything.
func (e *env) settled(t *testing.T, within time.Duration) {
	t.Helper()
	until := time.Time{}
	if e.chats != nil { // its cut says nothing that can be compared: the window that holds this second does
		until = time.Now().Truncate(time.Second).Add(time.Second)
	}
	var last error
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(within)
	for {
		// Asked each time: a server may yet commit what a client had sent before it was stopped.
		want := map[string]string{"consult": e.position(t, 0, e.combo.consult), "pharmacy": e.position(t, 1, e.combo.pharmacy)}
		var rows []receiptRow
		if rows, last = e.receipts(t.Context()); last == nil && len(rows) > 0 && rows[len(rows)-1].Final && !rows[len(rows)-1].End.Before(until) && covers(rows[len(rows)-1].Cut, want) {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			at := "no receipt"
			if len(rows) > 0 {
				at = fmt.Sprintf("window %s, cut %v", rows[len(rows)-1].Start, rows[len(rows)-1].Cut)
			}
			t.Fatalf("not published within %s: want %v; last: %s (%v)", within, want, at, last)
		}
	}
	e.judge(t)
}

// covers holds when the sources stand still: then the cut's position text is the server's own.
func covers(cut window.Cut, want map[string]string) bool {
	for name, pos := range want {
		if strings.ReplaceAll(string(cut[name].Position), " ", "") != pos {
			return false
		}
	}
	return true
}

func (e *env) position(t *testing.T, i int, kind string) string {
	t.Helper()
	q := "select @@gtid_binlog_pos"
	if kind == "mysql" {
		q = "select @@gtid_executed"
	}
	var pos string
	if err := e.db[i].QueryRowContext(t.Context(), q).Scan(&pos); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(pos, "\n", "")
}

// warehouseEquals reads every table of the warehouse itself and compares it with what the receipts published: what a
// dashboard sees is what was proved.
func (e *env) warehouseEquals(t *testing.T) {
	t.Helper()
	for _, o := range e.checker.Outputs {
		cols, key, want := e.checker.Content(o.Name)
		if cols == nil {
			t.Errorf("%s was never published", o.Name)
			continue
		}
		got, twice, err := e.content(t.Context(), o.Name, cols, key)
		if err != nil {
			t.Fatal(err)
		}
		if e.checker.Doubled += len(twice); len(twice) > 0 {
			t.Errorf("%s: %d rows are there twice: %s ...", o.Name, len(twice), twice[0])
		}
		if err := e.checker.Compare("warehouse "+o.Name, cols, want, got); err != nil {
			t.Error(err)
		}
	}
}

// content reads a table by key; twice are the keys that it holds more than once.
func (e *env) content(ctx context.Context, table string, cols, key []string) (out map[string][]oracle.Val, twice []string, err error) {
	sel := make([]string, len(cols))
	for i, c := range cols {
		sel[i] = fmt.Sprintf(`cast("%s" as text) as "%s"`, c, c)
	}
	q := "select " + strings.Join(sel, ", ") + " from " + table
	var rows []map[string]string
	if e.warehouse != "duckdb" {
		rows, err = e.ask(ctx, q)
	} else {
		rows, err = asText(e.queryByCommand(ctx, q)) // as a person would
	}
	if err != nil {
		return nil, nil, err
	}
	out = map[string][]oracle.Val{}
	for _, r := range rows {
		row := make([]oracle.Val, len(cols))
		k := ""
		for i, c := range cols {
			v, ok := r[c]
			if v = strings.TrimSuffix(v, "+00"); len(v) > 19 && v[4] == '-' && v[10] == ' ' {
				v = oracle.TrimFraction(v)
			}
			row[i] = oracle.Val{Text: v, Null: !ok}
		}
		for _, name := range key {
			v := row[slices.Index(cols, name)].Text
			k += fmt.Sprintf("%d:%s,", len(v), v)
		}
		if _, dup := out[k]; dup {
			twice = append(twice, k)
		}
		out[k] = row
	}
	return out, twice, nil
}
