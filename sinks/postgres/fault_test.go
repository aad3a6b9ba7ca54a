package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/jackc/pgx/v5"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/conform"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/internal/servers"
	"github.com/tidemill/tidemill/window"
)

var table = window.WarehouseTable{Schema: "mart", Name: "visits"}

var columns = []ingest.Column{{Name: "id", Type: ingest.Type{Kind: ingest.Int64}}, {Name: "note", Type: ingest.Type{Kind: ingest.Text}}}

func notes(replace bool, n int64, note string) conform.Load {
	return conform.Load{Table: table, Columns: columns, Key: []string{"id"}, Replace: replace, Parts: []func(*ingest.Builder){func(b *ingest.Builder) {
		for id := range n {
			b.Cols[0].Int64(id)
			b.Cols[1].Bytes([]byte(note))
			b.End(ingest.Upsert)
		}
	}}}
}

func wantNote(t *testing.T, w conform.Warehouse, n int64, note string) {
	t.Helper()
	got := conform.Ask(t, w, "SELECT count(*), min(note), max(note) FROM mart.visits")
	if got[0] != strconv.FormatInt(n, 10) || got[1] != strconv.Quote(note) || got[2] != got[1] {
		t.Errorf("the table holds %s, want %d rows of %q", got, n, note)
	}
}

// wantPlain: neither refused nor fenced, so the caller asks the fence.
func wantPlain(t *testing.T, err error) {
	t.Helper()
	var r *window.RefusedError
	if err == nil || errors.As(err, &r) || errors.Is(err, window.ErrFenced) {
		t.Errorf("got %v, want an error that leaves the outcome open", err)
	}
}

func wantRefused(t *testing.T, err error, word string) {
	t.Helper()
	var r *window.RefusedError
	if !errors.As(err, &r) || r.Hint == "" || !strings.Contains(err.Error(), word) {
		t.Errorf("got %v, want a *window.RefusedError that says %q", err, word)
	}
}

// TestFaults shares one server: starting one takes longer than most of the tests.
func TestFaults(t *testing.T) {
	s := realtest.Postgres(t)
	for name, test := range map[string]func(*testing.T, *servers.Server){
		"LostConnection": faultLostConnection,
		"FenceLock":      faultFenceLock,
		"Race":           faultRace,
		"KilledBackend":  faultKilledBackend,
		"Logins":         faultLogins,
		"DiskFull":       faultDiskFull,
		"Calendar":       faultCalendar,
		"UsersColumns":   faultUsersColumns,
	} {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
}

func faultLostConnection(t *testing.T, s *servers.Server) {
	rows := func(kind byte, _ string) bool { return kind == 'd' }
	for name, c := range map[string]struct {
		cut       func(kind byte, body string) (before, after bool)
		committed bool
	}{
		"commit never arrives":    {func(k byte, b string) (bool, bool) { return isCommit(k, b), false }, false},
		"reply to commit lost":    {func(k byte, b string) (bool, bool) { return false, isCommit(k, b) }, true},
		"in the middle of a copy": {func(k byte, b string) (bool, bool) { return rows(k, b), false }, false},
		"when the copy is done":   {func(k byte, b string) (bool, bool) { return false, k == 'c' }, false},
		"at the first statement":  {func(k byte, _ string) (bool, bool) { return k == 'Q', false }, false},
	} {
		t.Run(name, func(t *testing.T) {
			direct := database(t, s)
			p, address := newProxy(t, direct)
			w := open(t, address)
			pipe := conform.NewPipeline(t, "care")
			pipe.Acquire(w, 1)
			bad := conform.Bad{Table: table, Key: "[7]", Column: "note", Fault: "invalid_json", Row: "{}"}
			pipe.Publish(w, pipe.Quarantine([]conform.Bad{bad}, notes(true, 5000, "before")))
			mended := bad
			mended.Resolved, bad.Key = true, "[8]"
			pub := pipe.Quarantine([]conform.Bad{mended, bad}, notes(false, 5000, "after"))
			p.on(c.cut)
			wantPlain(t, w.Publish(t.Context(), pub, pipe.Local))
			pipe.Follow(w) // on a new connection
			if got := pipe.Fence.Manifest == pub.Hash; got != c.committed {
				t.Errorf("committed: %v, want %v", got, c.committed)
			}
			pipe.Publish(w, pub) // done already, or done now
			wantNote(t, w, 5000, "after")
			got := conform.Ask(t, w, "SELECT (SELECT count(*) FROM tidemill.receipts), count(*), min(row_key) FILTER (WHERE resolved_at IS NULL), count(resolved_at) FROM tidemill.quarantine")
			if want := []string{"2", "2", `"[8]"`, "1"}; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("receipts, entries, what is in quarantine, what is out of it: %s, want %s", got, want)
			}
		})
	}
}

// blocked waits until n sessions wait for a lock.
func blocked(t *testing.T, conn *pgx.Conn, n int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-tick.C {
		var got int
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got == n {
			return
		}
	}
	t.Fatalf("never saw %d sessions wait for a lock", n)
}

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// A publisher that hangs with the fence's lock makes the next one wait; when its session dies the next one goes on, and a
// waiting publish that is cancelled leaves nothing behind.
func faultFenceLock(t *testing.T, s *servers.Server) {
	address := database(t, s)
	w := open(t, address)
	pipe := conform.NewPipeline(t, "care")
	pipe.Acquire(w, 1)
	pipe.Publish(w, pipe.Next(notes(true, 10, "before")))
	zombie, watch := connect(t, address), connect(t, address)
	for _, q := range []string{"BEGIN", "SELECT * FROM tidemill.fence WHERE pipeline = 'care' FOR UPDATE"} {
		if _, err := zombie.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	pub := pipe.Next(notes(false, 10, "after"))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var cancelled, second error
	wg.Go(func() { cancelled = w.Publish(ctx, pub, pipe.Local) })
	blocked(t, watch, 1)
	cancel()
	wg.Wait()
	if !errors.Is(cancelled, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", cancelled)
	}
	blocked(t, watch, 0) // the server was told
	wg.Go(func() { second = w.Publish(t.Context(), pub, pipe.Local) })
	blocked(t, watch, 1)
	if _, err := watch.Exec(t.Context(), "SELECT pg_terminate_backend($1)", int32(zombie.PgConn().PID())); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if second != nil {
		t.Errorf("after the zombie's session ended: %v", second)
	}
	wantNote(t, w, 10, "after")
}

// Two owners' publishes of one step meet: the loser finds the step committed when it is the same, and is fenced when not.
func faultRace(t *testing.T, s *servers.Server) {
	address := database(t, s)
	a, b := open(t, address), open(t, address)
	pipe := conform.NewPipeline(t, "care")
	pipe.Acquire(a, 1)
	for round := range 10 {
		note := strconv.Itoa(round)
		pub := pipe.Next(notes(round == 0, 100, note))
		other := pipe.Next(notes(round == 0, 100, note+" other"))
		var wg sync.WaitGroup
		errs := make([]error, 3)
		for i, p := range []*window.Publication{pub, pub, other} {
			w := []conform.Warehouse{a, b, b}[i]
			wg.Go(func() { errs[i] = w.Publish(t.Context(), p, pipe.Local) })
		}
		wg.Wait()
		pipe.Follow(a)
		won := pipe.Fence.Manifest == pub.Hash
		for i, err := range errs {
			if mine := won == (i < 2); mine && err != nil || !mine && !errors.Is(err, window.ErrFenced) {
				t.Errorf("round %d, publisher %d (the common step won: %v): %v", round, i, won, err)
			}
		}
		if !won {
			note += " other"
		}
		wantNote(t, a, 100, note)
	}
}

func faultKilledBackend(t *testing.T, s *servers.Server) {
	address := database(t, s)
	w := open(t, address)
	pipe := conform.NewPipeline(t, "care")
	pipe.Acquire(w, 1)
	pipe.Publish(w, pipe.Next(notes(true, 10, "before")))
	holder, watch := connect(t, address), connect(t, address)
	for _, q := range []string{"BEGIN", "LOCK TABLE mart.visits IN ACCESS EXCLUSIVE MODE"} {
		if _, err := holder.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	pub := pipe.Next(notes(false, 10, "after"))
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { err = w.Publish(t.Context(), pub, pipe.Local) })
	blocked(t, watch, 1) // staged, and now stuck in the merge
	if _, err := watch.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	wantPlain(t, err)
	if _, err := holder.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	wantNote(t, w, 10, "before")
	pipe.Publish(w, pub)
	wantNote(t, w, 10, "after")
}

func faultLogins(t *testing.T, s *servers.Server) {
	address := database(t, s)
	_, err := open(t, as(t, address, "postgres", realtest.Canary)).Acquire(t.Context(), "care", 1)
	wantRefused(t, err, "does not accept the login")
	realtest.NoCanary(t, "error", fmt.Sprint(err))
	_, err = open(t, s.DSN("nowhere")).Fence(t.Context(), "care")
	wantRefused(t, err, "database does not exist")
	_, err = open(t, unreachable(t)).Fence(t.Context(), "care")
	wantPlain(t, err)

	exec(t, address, "CREATE ROLE reader LOGIN PASSWORD 'reader'", "CREATE TABLE public.mine (id BIGINT PRIMARY KEY, note TEXT)")
	_, err = open(t, as(t, address, "reader", "reader")).Acquire(t.Context(), "care", 1)
	wantRefused(t, err, "grant")

	// Schemas that somebody made for it are enough: no CREATE on the database is asked for.
	exec(t, address, "REVOKE ALL ON DATABASE "+mustDatabase(t, address)+" FROM PUBLIC", "GRANT CONNECT, TEMPORARY ON DATABASE "+mustDatabase(t, address)+" TO reader",
		"CREATE SCHEMA tidemill AUTHORIZATION reader", "CREATE SCHEMA mart AUTHORIZATION reader")
	w := open(t, as(t, address, "reader", "reader"))
	pipe := conform.NewPipeline(t, "care")
	pipe.Acquire(w, 1)
	pipe.Publish(w, pipe.Next(notes(true, 3, "x")))
	foreign := notes(true, 3, "x")
	foreign.Table = window.WarehouseTable{Schema: "public", Name: "mine"}
	wantRefused(t, w.Publish(t.Context(), pipe.Next(foreign), pipe.Local), "grant")
	wantNote(t, w, 3, "x")
}

func faultDiskFull(t *testing.T, s *servers.Server) {
	// Not below t.TempDir: the server's account must reach it.
	dir, err := os.MkdirTemp("", "tidemill-tablespace")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("SKIPPED: no small disk to fill: mounting tmpfs: %v; run the tests as root", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil { // the server still has it open
			t.Error(err)
		}
	})
	account, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	exec(t, s.DSN(""), "CREATE TABLESPACE small LOCATION '"+dir+"'", "CREATE DATABASE small")
	address := s.DSN("small")
	exec(t, address, "ALTER DATABASE small SET default_tablespace = 'small'")
	w := open(t, address)
	pipe := conform.NewPipeline(t, "care")
	pipe.Acquire(w, 1)
	pipe.Publish(w, pipe.Next(notes(true, 1000, "before")))
	wantRefused(t, w.Publish(t.Context(), pipe.Next(notes(false, 100_000, strings.Repeat("wide ", 60))), pipe.Local), "cannot write to its disk")
	wantNote(t, w, 1000, "before")
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=100m"); err != nil {
		t.Fatal(err)
	}
	pipe.Publish(w, pipe.Next(notes(false, 1000, "after")))
	wantNote(t, w, 1000, "after")
}

// What PostgreSQL's calendar does not hold stops the publish, and the value is not named.
func faultCalendar(t *testing.T, s *servers.Server) {
	w := open(t, database(t, s))
	pipe := conform.NewPipeline(t, "care")
	pipe.Acquire(w, 1)
	for name, c := range map[string]struct {
		kind  ingest.Kind
		value int64
	}{
		"date": {ingest.Date, 1<<31 - 1}, "early date": {ingest.Date, -1 << 31}, "early timestamp": {ingest.TimestampTZ, -1 << 63}, "infinity by underflow": {ingest.Timestamp, -1<<63 + 946684800000000},
	} {
		l := conform.Load{Table: table, Key: []string{"id"}, Replace: true, Columns: []ingest.Column{columns[0], {Name: "at", Type: ingest.Type{Kind: c.kind}}},
			Parts: []func(*ingest.Builder){func(b *ingest.Builder) {
				b.Cols[0].Int64(1)
				if c.kind == ingest.Date {
					b.Cols[1].Int32(int32(c.value))
				} else {
					b.Cols[1].Int64(c.value)
				}
				b.End(ingest.Upsert)
			}}}
		err := w.Publish(t.Context(), pipe.Next(l), pipe.Local)
		wantRefused(t, err, "calendar")
		if err != nil && (!strings.Contains(err.Error(), "column at") || strings.Contains(err.Error(), strconv.FormatInt(c.value, 10))) {
			t.Errorf("%s: the error names no column or names the value: %v", name, err)
		}
	}
}

// Columns that the user made of a wider or a friendlier type are kept.
func faultUsersColumns(t *testing.T, s *servers.Server) {
	address := database(t, s)
	w := open(t, address)
	exec(t, address, "CREATE SCHEMA mart", "CREATE TABLE mart.visits (id numeric NOT NULL, doc jsonb, amount numeric(30,10), name character varying(5), extra text NOT NULL)")
	cols := []ingest.Column{
		{Name: "id", Type: ingest.Type{Kind: ingest.Int64}}, {Name: "doc", Type: ingest.Type{Kind: ingest.JSON}},
		{Name: "amount", Type: ingest.Type{Kind: ingest.Decimal, Precision: 9, Scale: 2}}, {Name: "name", Type: ingest.Type{Kind: ingest.Text}},
	}
	l := conform.Load{Table: table, Columns: cols, Key: []string{"id"}, Replace: true, Parts: []func(*ingest.Builder){func(b *ingest.Builder) {
		b.Cols[0].Int64(1)
		b.Cols[1].Bytes([]byte(`{"b":  1,"a":2}`))
		b.Cols[2].Decimal(0, 150)
		b.Cols[3].Bytes([]byte("longer than five"))
		b.End(ingest.Upsert)
	}}}
	pipe := conform.NewPipeline(t, "care")
	pipe.Acquire(w, 1)
	pipe.Publish(w, pipe.Next(l))
	l.Replace = false
	pipe.Publish(w, pipe.Next(l))
	got := conform.Ask(t, w, `SELECT id::text, doc::text, amount::text, name, extra, (SELECT string_agg(format_type(atttypid, atttypmod), ',' ORDER BY attnum)
 FROM pg_attribute WHERE attrelid = 'mart.visits'::regclass AND attnum > 0) FROM mart.visits`)
	want := []string{`"1"`, `"{\"a\": 2, \"b\": 1}"`, `"1.5000000000"`, `"longer than five"`, "NULL", `"numeric,jsonb,numeric(30,10),text,text"`}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	err := w.ReadTable(t.Context(), table, cols, func(arrow.RecordBatch) error { return nil })
	wantRefused(t, err, "column id") // a numeric without limits may hold what a bigint rounds
	rest := conform.Rows(t, w, table, []ingest.Column{cols[3], cols[1]})
	if row := rest[`"longer than five"`]; row == nil || row[1] != `"{\"a\": 2, \"b\": 1}"` {
		t.Errorf("read back %s", rest)
	}
}
