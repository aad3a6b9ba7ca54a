package failpoint

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestMain plays the victim when it is started by TestHit: it passes one point three times and says how far it came.
func TestMain(m *testing.M) {
	if out := os.Getenv("FAILPOINT_TEST_VICTIM"); out != "" {
		for i := byte('1'); i <= '3'; i++ {
			Hit(MidUpload)
			if err := os.WriteFile(out, []byte{i}, 0o600); err != nil {
				panic(err)
			}
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func victim(t *testing.T, point string) (*exec.Cmd, string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "reached")
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "FAILPOINT_TEST_VICTIM="+out, Variable+"="+point)
	return c, out
}

func TestHit(t *testing.T) {
	c, out := victim(t, MidUpload+":2")
	err := c.Run()
	got, rerr := os.ReadFile(out)
	if rerr != nil {
		t.Fatal(rerr)
	}
	if !Enabled { // invariant 1
		if err != nil || string(got) != "3" {
			t.Fatalf("a binary without the tag reached %q with %v, want 3 and no error", got, err)
		}
		return
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL { // invariant 2
		t.Fatalf("victim ended with %v, want SIGKILL", err)
	}
	if string(got) != "1" {
		t.Fatalf("victim reached %q, want to die at the second hit", got)
	}
}

func TestPause(t *testing.T) {
	if !Enabled {
		t.Skip("needs the build tag failpoint: go test -tags failpoint ./internal/failpoint")
	}
	hold := filepath.Join(t.TempDir(), "hold")
	c, out := victim(t, MidUpload+":3:pause="+hold)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(hold); err == nil {
			break
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the victim never paused")
		}
	}
	if got, _ := os.ReadFile(out); string(got) != "2" {
		t.Fatalf("paused after %q, want 2", got)
	}
	if err := os.Remove(hold); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(out); string(got) != "3" {
		t.Fatalf("after the pause it reached %q, want 3", got)
	}
}
