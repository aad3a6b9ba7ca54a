package redshift_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidemill/tidemill/internal/conform"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/internal/redshiftdouble"
	"github.com/tidemill/tidemill/window"
)

// TestStorm: three pipelines publish into one serializable warehouse while three readers look at ledger and tables in long transactions,
// and every third commit fails with 1023 whatever it did. Every publish happens once, and no reader sees half of one.
func TestStorm(t *testing.T) {
	l := newLab(t)
	const writers, readers, windows = 3, 3, 6
	d := l.start(t, redshiftdouble.Config{Isolation: redshiftdouble.Serializable})
	store := l.store(t, "storm")
	for n := 3; n < 60; n += 3 {
		d.Faults().FailCommit(n, redshiftdouble.Commit1023)
	}
	var busy atomic.Bool
	busy.Store(true)
	var looks atomic.Int64
	var reading sync.WaitGroup
	for i := range readers {
		c, err := pgx.Connect(t.Context(), d.DSN())
		if err != nil {
			t.Fatal(err)
		}
		reading.Go(func() {
			defer c.Close(context.WithoutCancel(t.Context()))
			for busy.Load() && !t.Failed() {
				looks.Add(look(t, c, i%writers))
			}
		})
	}
	t.Run("writers", func(t *testing.T) {
		for i := range writers {
			t.Run(fmt.Sprint("writer ", i), func(t *testing.T) {
				t.Parallel()
				w, p := l.client(t, d, store), conform.NewPipeline(t, fmt.Sprint("p", i))
				p.Acquire(w, 1)
				for n := 1; n <= windows; n++ {
					load := rows(n == 1, version(n), version(n), version(n))
					load.Table.Name = fmt.Sprint("visits", i)
					p.Publish(w, p.Next(load))
				}
			})
		}
	})
	busy.Store(false)
	reading.Wait()
	w := l.client(t, d, store)
	for i := range writers {
		if got := conform.Ask(t, w, fmt.Sprintf("SELECT count(*), min(name), max(name) FROM mart.visits%d", i)); got[0] != "3" || got[1] != fmt.Sprintf("%q", version(windows)) || got[2] != got[1] {
			t.Errorf("visits%d is %s", i, got)
		}
	}
	if n := receipts(t, w); n != fmt.Sprint(writers*windows) {
		t.Errorf("%s receipts, want %d", n, writers*windows)
	}
	if d.Faults().Happened("commit") < 10 || looks.Load() < 20 {
		t.Errorf("%d commits failed, readers looked %d times: that is no storm", d.Faults().Happened("commit"), looks.Load())
	}
	t.Logf("%d publishes, %d commits failed by script, %d looks", writers*windows, d.Faults().Happened("commit"), looks.Load())
}

func version(n int) string { return fmt.Sprint("v", n) }

// look reads a pipeline's receipts and its table in one transaction: the table is of the last receipt. What Redshift refuses a reader
// (1023: it, too, may be on a cycle) is not looked at.
func look(t *testing.T, c *pgx.Conn, i int) (looked int64) {
	t.Helper()
	var n, different int
	var name *string
	err := pgx.BeginFunc(t.Context(), c, func(tx pgx.Tx) error {
		if err := tx.QueryRow(t.Context(), "SELECT count(*) FROM tidemill.receipts WHERE pipeline = $1", fmt.Sprint("p", i)).Scan(&n); err != nil {
			return err
		}
		return tx.QueryRow(t.Context(), fmt.Sprintf("SELECT count(DISTINCT name), max(name) FROM mart.visits%d", i)).Scan(&different, &name)
	})
	var pe *pgconn.PgError
	switch {
	case errors.As(err, &pe) && (pe.Code == "42P01" || pe.Code == "3F000" || strings.Contains(pe.Message, "1023")): // not there yet, or refused
		return 0
	case err != nil:
		t.Error(err)
	case n == 0 && name == nil:
	case different != 1 || *name != version(n):
		t.Errorf("behind %d receipts the table holds %d versions, the last is %s", n, different, *name)
	}
	return 1
}

// TestSlowCommits: a publish waits in the commit queue as long as it must, and says how long. Who gives up waiting does not know what
// becomes of it; the fence does.
func TestSlowCommits(t *testing.T) {
	l := newLab(t)
	d, w, p := l.begun(t, redshiftdouble.Config{})
	d.Faults().SlowCommits(300 * time.Millisecond)
	pub := p.Next(rows(false, "Anna"))
	var commit time.Duration
	pub.Took = func(stage string, d time.Duration) {
		if stage == "commit" {
			commit = d
		}
	}
	p.Publish(w, pub)
	if commit < 300*time.Millisecond {
		t.Errorf("the commit took %s", commit)
	}
	d.Faults().Clear()
	release := d.Faults().HoldCommits()
	pub = p.Next(rows(false, "ANNA"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := w.Publish(ctx, pub, p.Local); err == nil || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Errorf("a publish that could not commit: %v", err)
	}
	release()
	p.Publish(w, pub)
	wantRows(t, w, "ANNA", "budi")
	if n := receipts(t, w); n != "3" {
		t.Errorf("%s receipts, want 3", n)
	}
}

// TestIdleSessionsEnd: what the server ends between two publishes is no error; what it ends within one is one that passes.
func TestIdleSessionsEnd(t *testing.T) {
	l := newLab(t)
	d, w, p := l.begun(t, redshiftdouble.Config{})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for d.Sessions() > 0 {
		d.KillIdle()
		<-tick.C
	}
	p.Publish(w, p.Next(rows(false, "Anna")))
	pub := p.Next(rows(false, "ANNA"))
	killed := false
	pub.Took = func(stage string, _ time.Duration) {
		if stage == "apply" && !killed { // behind the lock, before the commit
			killed = true
			for d.Sessions() > 0 {
				d.KillIdle()
				<-tick.C
			}
		}
	}
	err := w.Publish(t.Context(), pub, p.Local)
	var refused *window.RefusedError
	if !killed || err == nil || errors.As(err, &refused) {
		t.Errorf("a session that ended within a publish: %v", err)
	} else {
		realtest.NoCanary(t, "error", err.Error())
	}
	p.Follow(w)
	wantRows(t, w, "Anna", "budi")
	p.Publish(w, pub)
	wantRows(t, w, "ANNA", "budi")
	if n := receipts(t, w); n != "3" {
		t.Errorf("%s receipts, want 3", n)
	}
}
