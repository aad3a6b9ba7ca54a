package e2e_test

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tidemill/tidemill/internal/clinic"
	"github.com/tidemill/tidemill/internal/oracle"
	"github.com/tidemill/tidemill/internal/oracle/cases"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/internal/servers"
)

var (
	lineCases = flag.Int("linecases", 12, "cases of TestCasesOnTheLine on each line")
	lineFrom  = flag.Uint64("linefrom", 1, "seed of the first of them")
)

// lineCase is a case whose tables live beside those of others: its names begin with its own.
type lineCase struct {
	name    string
	seed    uint64
	c       *cases.Case
	now     []*cases.Content
	done    int // groups
	checker *oracle.Checker
	checked int
}

// caseLine is a line whose sources are east and west, with a pipeline for each case.
type caseLine struct {
	*env
	cases []*lineCase
	conns [2]*sql.Conn
}

// TestCasesOnTheLine is the property of window.TestCases on the real line: the tables, views and histories are made by the same
// seeds, changed on real servers by real statements, and every window of every pipeline is judged by replaying the servers'
// logs. In the middle the daemon is killed.
func TestCasesOnTheLine(t *testing.T) {
	for _, c := range []combo{
		{"embedded", "duckdb", "folder", "mariadb", "mysql", ""},
		{"embedded", "postgres", "folder", "mysql", "mariadb", ""},
	} {
		t.Run(c.String(), func(t *testing.T) {
			l := newCaseLine(t, c)
			d := l.run(t)
			l.begun(t, 4*time.Minute)
			l.change(t, 2)
			d.kill()
			l.change(t, 3)
			d = l.run(t)
			l.change(t, 1)
			l.published(t, 5*time.Minute)
			l.compare(t)
			d.stop(t)
			windows, rows, views := 0, 0, 0
			for _, x := range l.cases {
				windows, rows, views = windows+x.checker.Windows, rows+x.checker.Rows, views+len(x.c.Views)
			}
			t.Logf("%s: %d histories, %d cases (a view over a history), %d windows, %d rows compared", c, len(l.cases), views, windows, rows)
		})
	}
}

func newCaseLine(t *testing.T, c combo) *caseLine {
	t.Helper()
	e := &env{combo: c, dir: t.TempDir(), log: &logBuffer{}, program: binary, port: freePort(t), data: "./data", embedded: "./data/log", lake: "./data/lake"}
	e.consult, e.pharmacy, e.pg = sourceServer(t, c.consult), sourceServer(t, c.pharmacy), realtest.Postgres(t)
	e.db = [2]*sql.DB{realtest.Open(t, e.consult, ""), realtest.Open(t, e.pharmacy, "")}
	l := &caseLine{env: e}
	for i, db := range e.db {
		realtest.Exec(t, db, "create database db character set utf8mb4 collate utf8mb4_bin")
		if err := clinic.GrantReader(t.Context(), db, "tidemill", password, cases.Database); err != nil {
			t.Fatal(err)
		}
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		l.conns[i] = conn
		l.exec(t, i, "set time_zone = '+00:00'", "set names utf8mb4")
	}
	for i := range *lineCases {
		l.add(t, i)
	}
	l.project(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the daemon's output ends:\n%s", tail(withoutSpans(e.log.String()), 6000))
		}
	})
	return l
}

func (l *caseLine) exec(t *testing.T, source int, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := l.conns[source].ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// add makes a case's tables with the rows that the first load will find.
func (l *caseLine) add(t *testing.T, i int) {
	t.Helper()
	x := &lineCase{name: fmt.Sprint("c", i), seed: *lineFrom + uint64(i)}
	x.c = cases.New(x.seed, cases.Options{MySQL: true, Views: 3, Windows: 2})
	for n := range x.c.Tables {
		table := &x.c.Tables[n]
		table.Name = x.name + "_" + table.Name
		l.exec(t, table.Source, table.Create(cases.Database+"."+table.Name))
	}
	x.now = x.c.Start()
	for n := range x.c.Tables {
		table := &x.c.Tables[n]
		load := cases.Group{}
		for _, row := range table.Rows {
			load.Changes = append(load.Changes, cases.Change{Table: n, Row: row})
		}
		if zero := make([]int, len(table.Columns)); len(table.Rows) == 0 { // who reads rows alone knows only tables that have had one
			load.Changes = append(load.Changes, cases.Change{Table: n, Row: zero}, cases.Change{Table: n, Old: zero[:table.Key]})
		}
		l.exec(t, table.Source, load.Statements(x.c, x.now)...)
	}
	l.cases = append(l.cases, x)
	l.oracle(t, x, uint32(9000+10*i))
}

func (l *caseLine) oracle(t *testing.T, x *lineCase, id uint32) {
	t.Helper()
	realtest.Exec(t, realtest.Open(t, l.pg, ""), "create database oracle_"+x.name)
	conn, err := pgx.Connect(t.Context(), l.pg.DSN("oracle_"+x.name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	engine, err := oracle.NewEngine(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	x.checker = &oracle.Checker{Length: length, Engine: engine, Replays: map[string]oracle.Log{
		"east": l.replay(t, l.consult, l.combo.consult, cases.Database, id),
		"west": l.replay(t, l.pharmacy, l.combo.pharmacy, cases.Database, id+1),
	}}
	for _, table := range x.c.Tables {
		x.checker.Outputs = append(x.checker.Outputs, oracle.Output{Name: "raw_" + x.name + "." + table.Name, Source: cases.Sources[table.Source], Table: table.Name})
	}
	for i := range x.c.Views {
		x.checker.Outputs = append(x.checker.Outputs, oracle.Output{Name: fmt.Sprintf("mart_%s.v%d", x.name, i), SQL: x.c.Views[i].SQL(x.c)})
	}
}

func (l *caseLine) project(t *testing.T) {
	t.Helper()
	warehouse := "duckdb:./data/warehouse.db"
	if l.warehouse == "postgres" {
		realtest.Exec(t, realtest.Open(t, l.pg, ""), "create database warehouse")
		warehouse = l.pg.DSN("warehouse")
	}
	write(t, l.dir, "tidemill.yaml", fmt.Sprintf("project: cases\nwindow: %s\nlog: {embedded: ./data/log, partitions: 2}\nstore: ./data/lake\nwarehouse: %q\nlisten: 127.0.0.1:%d\nmemory: 2GiB\n", length, warehouse, l.port))
	for i, s := range []*servers.Server{l.consult, l.pharmacy} {
		write(t, l.dir, "sources/"+cases.Sources[i]+".yaml", fmt.Sprintf("kind: source\nname: %s\ntype: mysql\naddress: %s\nuser: tidemill\npassword: ${env:SOURCE_PASSWORD}\ntables: {db.*: }\n", cases.Sources[i], s.Addr()))
	}
	for _, x := range l.cases {
		var b strings.Builder
		fmt.Fprintf(&b, "kind: pipeline\nname: %s\ntables:\n", x.name)
		for _, table := range x.c.Tables {
			fmt.Fprintf(&b, "  - replicate: %s.db.%s\n    into: raw_%s\n", cases.Sources[table.Source], table.Name, x.name)
		}
		for i := range x.c.Views {
			v := &x.c.Views[i]
			fmt.Fprintf(&b, "  - name: mart_%s.v%d\n    sql: %s_v%d.sql\n    key: [%s]\n", x.name, i, x.name, i, strings.Join(v.Key(x.c), ", "))
			write(t, l.dir, fmt.Sprintf("pipelines/%s_v%d.sql", x.name, i), v.SQL(x.c)+"\n")
		}
		write(t, l.dir, "pipelines/"+x.name+".yaml", b.String())
	}
	l.vars = append(l.vars, "SOURCE_PASSWORD="+password)
}

// begun waits until every pipeline has published its base: what comes then are changes.
func (l *caseLine) begun(t *testing.T, within time.Duration) {
	t.Helper()
	eventually(t, within, "every pipeline has published", func() bool {
		rows, err := l.ask(t.Context(), "select cast(count(*) as text) as n from tidemill.fence where window_start is not null")
		return err == nil && len(rows) == 1 && rows[0]["n"] == fmt.Sprint(len(l.cases))
	})
}

// change carries out one share of the groups that are left, the cases by turns, about as fast as their histories say.
func (l *caseLine) change(t *testing.T, share int) {
	t.Helper()
	pace := time.NewTicker(500 * time.Millisecond)
	defer pace.Stop()
	ends := make([]int, len(l.cases))
	for i, x := range l.cases {
		ends[i] = x.done + (len(x.c.Groups)-x.done)/share
	}
	for busy := true; busy; <-pace.C {
		busy = false
		for i, x := range l.cases {
			if x.done < ends[i] {
				l.group(t, x)
				busy = true
			}
		}
	}
}

func (l *caseLine) group(t *testing.T, x *lineCase) {
	t.Helper()
	g := &x.c.Groups[x.done]
	statements := g.Statements(x.c, x.now)
	if g.Alter == nil {
		statements = slices.Concat([]string{"begin"}, statements, []string{"commit"})
	}
	l.exec(t, g.Source, statements...)
	x.now = g.Apply(x.now)
	x.done++
}

func (l *caseLine) receiptsOf(ctx context.Context, x *lineCase) ([]receiptRow, error) {
	rows, err := l.ask(ctx, strings.ReplaceAll(receiptsSQL, "'care'", "'"+x.name+"'"))
	if err != nil {
		return nil, err
	}
	out := make([]receiptRow, len(rows))
	for i, r := range rows {
		out[i] = receiptRow{Start: epoch(r["s"]), End: epoch(r["e"]), Slice: int(epoch(r["k"]).Unix()), Final: r["f"] == "true", ManifestKey: r["m"]}
		if err := json.Unmarshal([]byte(r["cut"]), &out[i].Cut); err != nil {
			return nil, fmt.Errorf("reading a cut: %w", err)
		}
	}
	return out, nil
}

// published waits until every pipeline has published all that the servers hold, and judges every window.
func (l *caseLine) published(t *testing.T, within time.Duration) {
	t.Helper()
	want := map[string]string{"east": l.position(t, 0, l.combo.consult), "west": l.position(t, 1, l.combo.pharmacy)}
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(within)
	for _, x := range l.cases {
		for {
			rows, err := l.receiptsOf(t.Context(), x)
			if err == nil && len(rows) > 0 && rows[len(rows)-1].Final && covers(rows[len(rows)-1].Cut, want) {
				l.judge(t, x, rows)
				break
			}
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("%s, seed %d, has not published %v within %s: %d receipts, %v\n%s", x.name, x.seed, want, within, len(rows), err, x.c.Describe())
			}
		}
	}
}

func (l *caseLine) judge(t *testing.T, x *lineCase, rows []receiptRow) {
	t.Helper()
	for _, r := range rows {
		if err := x.checker.Check(t.Context(), l.receipt(t, r)); err != nil {
			t.Errorf("%v\n%s\nrun it again: go test ./internal/e2e -run TestCasesOnTheLine -linefrom %d -linecases 1", err, x.c.Describe(), x.seed)
			return
		}
	}
}

// compare reads the warehouse itself: what a dashboard sees is what was proved. Each warehouse has texts of its own for
// numbers and bytes.
func (l *caseLine) compare(t *testing.T) {
	t.Helper()
	for _, x := range l.cases {
		for _, o := range x.checker.Outputs {
			cols, key, want := x.checker.Content(o.Name)
			if cols == nil {
				continue // it has never held a row
			}
			got, twice, err := l.content(t.Context(), o.Name, cols, key)
			if err != nil {
				t.Fatal(err)
			}
			if len(twice) > 0 {
				t.Errorf("seed %d: warehouse %s holds %d keys twice", x.seed, o.Name, len(twice))
			}
			if err := oracle.Diff("warehouse "+o.Name, cols, plainRows(want, cols, key), plainRows(got, cols, key)); err != nil {
				t.Errorf("seed %d: %v", x.seed, err)
			}
		}
	}
}

// plainRows are rows with one text for every number.
func plainRows(rows map[string][]oracle.Val, cols, key []string) map[string][]oracle.Val {
	out := map[string][]oracle.Val{}
	for _, row := range rows {
		plain := make([]oracle.Val, len(row))
		for i, v := range row {
			plain[i] = oracle.Val{Text: plainText(v.Text), Null: v.Null}
		}
		k := ""
		for _, name := range key {
			k += plain[slices.Index(cols, name)].Text + "|"
		}
		out[k] = plain
	}
	return out
}

func plainText(text string) string {
	if raw, isHex := strings.CutPrefix(text, `\x`); isHex {
		if b, err := hex.DecodeString(raw); err == nil {
			return string(b)
		}
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && strings.ContainsAny(text, ".e") {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return text
}
