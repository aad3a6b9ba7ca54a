package conform

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/elt"
)

// The environment of the child of JobsKilled.
const (
	killAt     = "TIDEMILL_TEST_KILL_AT"
	killBehind = "TIDEMILL_TEST_BEHIND"
	killEpoch  = "TIDEMILL_TEST_EPOCH"
	killVia    = "TIDEMILL_TEST_VIA"
)

var killJob = jobFile("full", "1h", "") + sqlFile("full", "mart.visits")

// JobsKilled kills a process that runs a job with SIGKILL after every single statement in turn, and looks at the table each
// time: it holds the old interval or the new one, whole. child makes the command of a process that calls JobsKilledChild on the
// same warehouse; between runs nobody else may need to hold it.
func JobsKilled(t *testing.T, c JobsConfig, release func(), child func() *exec.Cmd) {
	t.Helper()
	b := newBench(t, c, killJob)
	b.publish(6, false, 1)
	b.settle(b.runner(b.w, 1))
	const look = "SELECT count(*), min(amount), max(amount), (SELECT max(generation) FROM tidemill.job_ledger WHERE state = 'published') FROM report.full"
	kills := 0
	for at := 1; ; at++ {
		for i := range int64(8) { // other rows each time, so that no version is like another
			b.p.Publish(b.w, b.p.Next(correct(i, benchStart.Add(time.Duration(i/2)*15*time.Minute), int64(at)+1)))
		}
		b.request(fmt.Sprintf("b%d", at), "full", benchStart, benchStart.Add(time.Hour), elt.OnlyAll) // all attempts again
		before := Ask(t, b.w, look)
		release()
		cmd := child()
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.Env = append(os.Environ(), cmd.Env...)
		cmd.Env = append(cmd.Env, fmt.Sprintf("%s=%d", killAt, at), fmt.Sprintf("%s=%d", killBehind, int64(b.lag().Seconds())), fmt.Sprintf("%s=%d", killEpoch, at+1), killVia+"="+c.Via)
		err := cmd.Run()
		status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		row := Ask(t, b.w, look)
		amount := strconv.Itoa(at + 1)
		fresh := row[0] == "8" && row[1] == amount && row[2] == amount && row[3] != before[3]
		if !slices.Equal(row, before) && !fresh {
			t.Fatalf("killed after statement %d: rows, amounts and generation are %v, before %v", at, row, before)
		}
		if !status.Signaled() {
			if err != nil {
				t.Fatalf("the child ended by itself: %v\n%s", err, out.String())
			}
			break
		}
		kills++
		b.later(time.Second)
	}
	t.Logf("killed %d times", kills)
	if kills < 12 {
		t.Errorf("the child was killed %d times: it runs more statements than that", kills)
	}
	b.ask("SELECT count(*), count(DISTINCT generation) FROM tidemill.job_ledger WHERE state = 'published' AND interval_start = TIMESTAMPTZ '2026-01-05 09:00:00+00'",
		Ask(t, b.w, "SELECT max(generation), max(generation) FROM tidemill.job_ledger WHERE interval_start = TIMESTAMPTZ '2026-01-05 09:00:00+00' AND state = 'published'")...)
}

// JobsKilledChild is the process that is killed. It returns at once when it is not one.
func JobsKilledChild(t *testing.T, open func() JobWarehouse) {
	t.Helper()
	at, err := strconv.Atoi(os.Getenv(killAt))
	if err != nil {
		t.Skip("runs as a child of other tests")
	}
	behind, err1 := strconv.ParseInt(os.Getenv(killBehind), 10, 64)
	epoch, err2 := strconv.ParseInt(os.Getenv(killEpoch), 10, 64)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	w := open()
	b := &bench{t: t, w: w, c: JobsConfig{Via: os.Getenv(killVia)}, behind: time.Duration(behind) * time.Second}
	b.graph = b.compile(killJob)
	r := b.runner(w, epoch) // what has begun before it is taken for lost
	k := &killing{Warehouse: w, left: at}
	if s, ok := w.(Stepper); ok {
		s.OnStep(k.step)
	}
	if _, err := b.trySettle(t.Context(), b.options(k, epoch)); err != nil {
		t.Fatal(err)
	}
	r.Wait()
}

// Stepper is a warehouse that tells of instants inside of Stage at which the process is to be killed too.
type Stepper interface{ OnStep(fn func()) }

// killing ends the process after a number of statements.
type killing struct {
	elt.Warehouse
	mu   sync.Mutex
	left int
}

func (k *killing) step() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.left--; k.left == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}

func (k *killing) JobSession(ctx context.Context, fn func(elt.Session) error) error {
	return k.Warehouse.JobSession(ctx, func(s elt.Session) error { return fn(&killingSession{breakingSession{s, &breaking{left: 1 << 30}}, k}) })
}

type killingSession struct {
	breakingSession
	k *killing
}

func (s *killingSession) Exec(ctx context.Context, sql string, args ...any) (int64, error) {
	n, err := s.Session.Exec(ctx, sql, args...)
	s.k.step()
	return n, err
}

// Stage is a step when its rows are staged.
func (s *killingSession) Stage(ctx context.Context, table, query, via string) (int64, error) {
	n, err := s.breakingSession.Stage(ctx, table, query, via)
	s.k.step()
	return n, err
}

// Query is not counted: what only reads leaves nothing behind. The commit is.
func (s *killingSession) Transact(ctx context.Context, mode elt.Mode, fn func() error) error {
	err := s.Session.Transact(ctx, mode, fn)
	s.k.step()
	return err
}
