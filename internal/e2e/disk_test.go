package e2e_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFullDisks: the disk of the lake, of the log, of the state is full, one after another. The daemon says so in one clear
// error, loses nothing, and goes on by itself when there is room again.
func TestFullDisks(t *testing.T) {
	t.Parallel()
	var lake, log, state string
	e := newEnv(t, combo{"embedded", "postgres", "folder", "mariadb", "mariadb", ""}, func(e *env) {
		lake, log, state = smallDisk(t), smallDisk(t), smallDisk(t)
		e.lake, e.embedded, e.data = lake, log, state
	})
	e.counted(t)
	d := e.run(t)
	e.recovered(t)
	for range *rounds {
		for _, disk := range []struct{ what, dir string }{{"lake", lake}, {"log", log}, {"state", state}} {
			e.fullDisk(t, disk.what, disk.dir)
		}
	}
	e.settled(t, patience)
	e.warehouseEquals(t)
	d.stop(t)
}

func (e *env) fullDisk(t *testing.T, what, dir string) {
	t.Helper()
	said := len(e.log.String())
	fresh := func() string { return withoutSpans(e.log.String()[said:]) }
	file := fill(t, dir)
	stop := e.busy(t, 150)
	eventually(t, patience, "the daemon names the full disk of the "+what, func() bool {
		return strings.Contains(fresh(), "writing to "+dir+": no space left on device")
	})
	wait(t, 3*length) // it meets what it cannot do, more than once
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	e.toll.others++
	e.toll.hit()
	eventually(t, patience, "the daemon says that the "+what+" has room again", func() bool { return strings.Contains(fresh(), dir+" has space again") })
	e.published(t, 2)
	e.toll.heal()
	stop()
	text := fresh()
	if n := strings.Count(text, "writing to "+dir+": no space left on device"); n != 1 {
		t.Errorf("the full disk of the %s is said %d times", what, n)
	}
	if n := strings.Count(text, "error") + strings.Count(text, "stands still"); n > 6 || len(text) > 4000+300*strings.Count(text, "published") {
		t.Errorf("that is not one clear error for a full disk of the %s", what)
	}
	t.Logf("the disk of the %s is full:\n%s", what, withoutPublishes(text))
	e.judge(t)
}

func withoutPublishes(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.Contains(line, " published ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// smallDisk mounts a disk that a test can fill.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		if os.Getenv("TIDEMILL_REQUIRE") == "all" {
			t.Fatalf("mounting a tmpfs: %v", err)
		}
		t.Skipf("SKIPPED: no small disk to fill: mounting a tmpfs: %v; run the tests as root", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill fills a disk to its last byte and returns the file that does.
func fill(t *testing.T, dir string) string {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "fill"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 1 << 12, 1} {
		for err == nil {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, io.ErrShortWrite) {
			t.Fatal(err)
		}
		err = nil
	}
	return f.Name()
}
