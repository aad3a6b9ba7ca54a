package folder_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tidemill/tidemill/sinks/folder"
	"github.com/tidemill/tidemill/window"
)

func store(t *testing.T, address string) *folder.Store {
	t.Helper()
	s, err := folder.New(address)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func file(t *testing.T, n int) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(f, make([]byte, n), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAddress(t *testing.T) {
	for _, bad := range []string{"", "folder:", "lake?region=x"} {
		if _, err := folder.New(bad); err == nil {
			t.Errorf("address %q: no error", bad)
		}
	}
}

func TestNothingLeavesTheRootThroughALink(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "way-out")); err != nil {
		t.Fatal(err)
	}
	if err := store(t, dir).Put(t.Context(), "way-out/key", file(t, 1)); err == nil {
		t.Error("put through a symbolic link: no error")
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("a file was made outside of the root: %v", left)
	}
}

func TestNothingHalfWritten(t *testing.T) {
	dir := t.TempDir()
	s := store(t, dir)
	if err := s.Put(t.Context(), "a/b", file(t, 1000)); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "a/b"); err != nil {
		t.Fatal(err)
	}
	left := []string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if p != dir && d.Name() != ".tidemill-incoming" {
			left = append(left, p)
		}
		return err
	})
	if err != nil || len(left) > 0 {
		t.Errorf("left after put and delete: %v, %v", left, err)
	}
}

// wantRefused checks a failed Put: classified, with a hint that names the folder, and nothing in place.
func wantRefused(t *testing.T, s *folder.Store, err error, dir, word string) {
	t.Helper()
	var r *window.RefusedError
	if !errors.As(err, &r) || !strings.Contains(r.Hint, dir) || !strings.Contains(err.Error(), word) {
		t.Fatalf("got %v, want a RefusedError that says %q and names %s", err, word, dir)
	}
	if err := s.Get(t.Context(), "a/key", filepath.Join(t.TempDir(), "copy")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after a failed put the key gives %v, want fs.ErrNotExist", err)
	}
}

// smallDisk mounts a file system of one mebibyte.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("SKIPPED: no small disk to fill: mounting tmpfs: %v; run the tests as root", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestDiskFull(t *testing.T) {
	dir := smallDisk(t)
	s := store(t, dir)
	wantRefused(t, s, s.Put(t.Context(), "a/key", file(t, 2<<20)), dir, "disk of the store is full")
	if err := s.Put(t.Context(), "a/key", file(t, 900<<10)); err != nil {
		t.Errorf("a put that fits, after one that did not: %v", err)
	}
}

func TestNotWritable(t *testing.T) {
	if os.Getenv("FOLDER_TEST_CHILD") != "" {
		dir := os.Getenv("FOLDER_TEST_CHILD")
		s := store(t, dir)
		wantRefused(t, s, s.Put(t.Context(), "a/key", file(t, 1)), dir, "not writable")
		return
	}
	if os.Geteuid() != 0 {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
		s := store(t, dir)
		wantRefused(t, s, s.Put(t.Context(), "a/key", file(t, 1)), dir, "not writable")
		return
	}
	// root may write anywhere: the test is run again by nobody.
	dir, err := os.MkdirTemp("", "folder-store")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "test")
	bin, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, bin, 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program, "-test.run=^TestNotWritable$", "-test.v")
	c.Dir = dir
	c.Env = append(os.Environ(), "FOLDER_TEST_CHILD="+dir, "TMPDIR=/tmp", "GOCOVERDIR=/tmp")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS: TestNotWritable") {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}
