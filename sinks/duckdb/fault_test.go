package duckdb_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/conform"
	"github.com/tidemill/tidemill/internal/failpoint"
	"github.com/tidemill/tidemill/sinks/duckdb"
	"github.com/tidemill/tidemill/window"
)

var stepTable = window.WarehouseTable{Schema: "raw", Name: "steps"}

// stepLoad sets n rows to the number of a step, and one row more is inserted in each.
func stepLoad(step, n int64, replace bool, pad int) conform.Load {
	return conform.Load{
		Table: stepTable, Key: []string{"id"}, Replace: replace,
		Columns: []ingest.Column{{Name: "id", Type: ingest.Type{Kind: ingest.Int64}}, {Name: "step", Type: ingest.Type{Kind: ingest.Int64}}, {Name: "pad", Type: ingest.Type{Kind: ingest.Text}}},
		Parts: []func(*ingest.Builder){func(b *ingest.Builder) {
			for id := range n + step {
				b.Cols[0].Int64(id)
				b.Cols[1].Int64(step)
				p := make([]byte, pad)
				for i := range p { // does not compress
					p[i] = byte(33 + (uint64(id)*2654435761+uint64(i)*uint64(i)*40503+uint64(id)*uint64(i)*97)>>7%90)
				}
				b.Cols[2].Bytes(p)
				b.End(ingest.Upsert)
			}
		}},
	}
}

// TestChild is the process that holds the file in the tests below.
func TestChild(t *testing.T) {
	path := os.Getenv("DUCKDB_TEST_FILE")
	if path == "" {
		t.Skip("runs as a child of other tests")
	}
	s := open(t, path)
	p := conform.NewPipeline(t, "care")
	epoch, err := strconv.ParseInt(os.Getenv("DUCKDB_TEST_EPOCH"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	p.Acquire(s, epoch)
	receipts, err := strconv.ParseInt(conform.Ask(t, s, "SELECT count(*) FROM tidemill.receipts")[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("ready")
	for step := receipts; ; step++ {
		p.Publish(s, p.Quarantine([]conform.Bad{
			{Table: stepTable, Key: fmt.Sprintf("[%d]", step), Column: "pad", Fault: "invalid_text", Row: "{}"},
			{Table: stepTable, Key: fmt.Sprintf("[%d]", step-1), Resolved: true},
		}, stepLoad(step, 2000, step == 0, 10)))
		fmt.Println("published", step)
	}
}

// child starts it and returns when it has printed n lines.
func child(t *testing.T, path string, epoch, n int, env ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
	c.Env = append(os.Environ(), append(env, "TMPDIR="+t.TempDir(), "DUCKDB_TEST_FILE="+path, fmt.Sprintf("DUCKDB_TEST_EPOCH=%d", epoch))...)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill() // it is dead already when the test went well
		_ = c.Wait()
	})
	lines := bufio.NewScanner(out)
	for seen := 0; seen < n; {
		if !lines.Scan() {
			if env == nil {
				t.Fatal("the child ended by itself")
			}
			return c
		}
		if strings.HasPrefix(lines.Text(), "ready") || strings.HasPrefix(lines.Text(), "published") {
			seen++
		}
	}
	return c
}

func kill(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // says that it was killed
}

// wantWhole checks that table, receipts and fence are of one step.
func wantWhole(t *testing.T, s *duckdb.Sink) (receipts int64) {
	t.Helper()
	got := conform.Ask(t, s, "SELECT count(*), (SELECT count(*) FROM tidemill.receipts WHERE window_start IS NOT NULL) FROM tidemill.fence WHERE published_at IS NOT NULL")
	if got[0] == "0" {
		return 0
	}
	row := conform.Ask(t, s, `SELECT min(step), max(step), count(*), (SELECT count(*) FROM tidemill.receipts),
 (SELECT manifest FROM tidemill.fence) = (SELECT manifest FROM tidemill.receipts ORDER BY window_start DESC, slice DESC LIMIT 1) FROM raw.steps`)
	n, err := strconv.ParseInt(row[3], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	last := strconv.FormatInt(n-1, 10)
	if row[0] != last || row[1] != last || row[2] != strconv.FormatInt(2000+n-1, 10) || row[4] != "true" {
		t.Errorf("after a kill: steps %s to %s, %s rows, %s receipts, fence and receipt equal: %s", row[0], row[1], row[2], row[3], row[4])
	}
	return n
}

// wantQuarantine checks that of the rows that TestChild puts into quarantine, one in each step, exactly the last is in it.
func wantQuarantine(t *testing.T, s *duckdb.Sink, receipts int64) {
	t.Helper()
	got := conform.Ask(t, s, "SELECT count(*), min(row_key) FILTER (WHERE resolved_at IS NULL), max(row_key) FILTER (WHERE resolved_at IS NULL), count(resolved_at) FROM tidemill.quarantine")
	last := strconv.Quote(fmt.Sprintf("[%d]", receipts-1))
	if want := []string{fmt.Sprint(receipts), last, last, fmt.Sprint(receipts - 1)}; receipts > 0 && fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("entries, what is in quarantine, what is out of it: %s, want %s", got, want)
	}
}

// A killed process loses no published step and leaves no half one.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "warehouse.db")
	var before int64
	for round := 1; round <= 6; round++ {
		kill(t, child(t, path, round, 1+round*2))
		s := open(t, path)
		n := wantWhole(t, s)
		if n < before+int64(round*2) {
			t.Errorf("round %d: %d receipts, want at least %d", round, n, before+int64(round*2))
		}
		wantQuarantine(t, s, n)
		before = n
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKillAtFailpoints(t *testing.T) {
	if !failpoint.Enabled {
		t.Skip("needs the build tag failpoint")
	}
	for _, point := range []string{failpoint.BeforeLock, failpoint.MidCopy, failpoint.BeforeCommit, failpoint.AfterCommit} {
		t.Run(point, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "warehouse.db")
			_ = child(t, path, 1, 100, failpoint.Variable+"="+point+":3").Wait() // says that it was killed
			s := open(t, path)
			want := int64(2)
			if point == failpoint.AfterCommit {
				want = 3
			}
			if n := wantWhole(t, s); n != want {
				t.Errorf("%d receipts, want %d", n, want)
			}
			wantQuarantine(t, s, want)
		})
	}
}

func wantRefused(t *testing.T, err error, word string) {
	t.Helper()
	var r *window.RefusedError
	if !errors.As(err, &r) || r.Hint == "" || !strings.Contains(err.Error(), word) {
		t.Errorf("got %v, want a *window.RefusedError that says %q", err, word)
	}
}

func TestHeldByAnotherProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "warehouse.db")
	c := child(t, path, 1, 2)
	s := open(t, path)
	_, err := s.Acquire(t.Context(), "care", 2)
	wantRefused(t, err, "another process holds the warehouse file")
	if err != nil && !strings.Contains(err.Error(), fmt.Sprint(c.Process.Pid)) {
		t.Errorf("the error does not name process %d: %v", c.Process.Pid, err)
	}
	kill(t, c)
	if _, err := s.Acquire(t.Context(), "care", 2); err != nil {
		t.Errorf("after the other process has gone: %v", err)
	}
}

// A file may have any name, also that of a schema in it, and the names that DuckDB uses itself.
func TestFileNames(t *testing.T) {
	for _, name := range []string{"tidemill.db", "raw.db", "main", "system.db", "temp.db", "memory.db", "o'dd \"näme\".db"} {
		s := open(t, filepath.Join(t.TempDir(), name))
		p := conform.NewPipeline(t, "care")
		p.Acquire(s, 1)
		p.Publish(s, p.Next(stepLoad(0, 2000, true, 10)))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if n := wantWhole(t, s); n != 1 {
			t.Errorf("%s: %d receipts after opening it again, want 1", name, n)
		}
	}
}

func TestUnusableFiles(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, garbage).Acquire(t.Context(), "care", 1)
	wantRefused(t, err, "garbage.db")
	_, err = open(t, filepath.Join(garbage, "below.db")).Acquire(t.Context(), "care", 1)
	if err == nil {
		t.Error("a file as a folder: no error")
	}
}

// smallDisk mounts a file system; grow makes it larger.
func smallDisk(t *testing.T, size string) (dir string, grow func(size string)) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("SKIPPED: no small disk to fill: mounting tmpfs: %v; run the tests as root", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir, func(size string) {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size="+size); err != nil {
			t.Fatal(err)
		}
	}
}

func closing(t *testing.T, address string) *duckdb.Sink {
	t.Helper()
	s, err := duckdb.New(address)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDiskFull(t *testing.T) {
	for name, options := range map[string]string{
		"at the spill": "?memory_limit=64MB",
		"at the log":   "?memory_limit=1GB&temp_directory=" + t.TempDir(),
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := smallDisk(t, "12m")
			s := closing(t, filepath.Join(dir, "warehouse.db")+options)
			defer s.Close() // before the disk goes
			p := conform.NewPipeline(t, "care")
			p.Acquire(s, 1)
			p.Publish(s, p.Next(stepLoad(0, 2000, true, 10)))
			err := s.Publish(t.Context(), p.Next(stepLoad(1, 100_000, false, 450)), p.Local)
			wantRefused(t, err, "disk of the warehouse is full")
			if n := wantWhole(t, s); n != 1 {
				t.Errorf("%d receipts, want 1", n)
			}
			if left, err := filepath.Glob(filepath.Join(dir, "warehouse.db.tmp", "*")); err != nil || len(left) > 0 {
				t.Errorf("the failed publish still holds the room of %v (%v)", left, err)
			}
			p.Follow(s)
			p.Publish(s, p.Next(stepLoad(1, 2000, false, 10))) // there is room for this
			if n := wantWhole(t, s); n != 2 {
				t.Errorf("%d receipts, want 2", n)
			}
		})
	}
}

// A checkpoint that finds no room stops the whole database. When there is room again the sink goes on by itself, and the
// fence tells what was committed.
func TestDiskFullAtTheCheckpoint(t *testing.T) {
	dir, grow := smallDisk(t, "30m")
	s := closing(t, filepath.Join(dir, "warehouse.db")+"?memory_limit=1GB&temp_directory="+t.TempDir())
	defer s.Close()
	p := conform.NewPipeline(t, "care")
	p.Acquire(s, 1)
	p.Publish(s, p.Next(stepLoad(0, 2000, true, 10)))
	var err error
	for step := int64(1); step < 9 && err == nil; step++ {
		if err = s.Publish(t.Context(), p.Next(stepLoad(step, 2000, false, 9000/int(step))), p.Local); err == nil {
			p.Follow(s)
		}
	}
	wantRefused(t, err, "disk of the warehouse is full")
	if err != nil && !strings.Contains(err.Error(), "invalidated") {
		t.Errorf("the database was not stopped, this test tests nothing: %v", err)
	}
	grow("200m")
	p.Follow(s)
	n := wantWhole(t, s)
	p.Publish(s, p.Next(stepLoad(n, 2000, false, 10)))
	if got := wantWhole(t, s); got != n+1 {
		t.Errorf("%d receipts, want %d", got, n+1)
	}
}
