package e2e_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// daemon is one `tidemill run` process.
type daemon struct {
	cmd  *exec.Cmd
	log  *logBuffer
	done chan struct{}
	err  error
}

// logBuffer keeps what every daemon of a test printed.
type logBuffer struct {
	also *logBuffer // may be nil
	mu   sync.Mutex
	buf  bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	if b.also != nil {
		_, _ = b.also.Write(p) // it never fails
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// start runs the daemon on a config folder. env is added to the test's environment.
func start(t *testing.T, config string, log *logBuffer, env ...string) *daemon {
	t.Helper()
	return launch(t, binary, config, log, env...)
}

// launch runs a daemon that is built in its own way.
func launch(t *testing.T, program, config string, log *logBuffer, env ...string) *daemon {
	t.Helper()
	d := &daemon{cmd: exec.Command(program, "run", "--config", config), log: log, done: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = log, log
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.done)
	}()
	t.Cleanup(d.kill)
	return d
}

// kill is SIGKILL: nothing of the daemon runs any more when it returns.
func (d *daemon) kill() {
	_ = d.cmd.Process.Signal(syscall.SIGKILL) // it may be gone already
	<-d.done
}

// stop asks politely and expects exit code 0.
func (d *daemon) stop(t *testing.T) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("stopping the daemon: %v", err)
	}
	select {
	case <-d.done:
	case <-time.After(60 * time.Second):
		d.kill()
		t.Fatal("the daemon did not stop within a minute of SIGTERM")
	}
	if d.err != nil {
		t.Errorf("the daemon stopped with %v", d.err)
	}
}

// died waits until the process is gone by itself.
func (d *daemon) died(t *testing.T, within time.Duration) {
	t.Helper()
	select {
	case <-d.done:
	case <-time.After(within):
		t.Fatalf("the daemon is still alive after %s", within)
	}
}

// tidemill runs a CLI command and returns stdout, stderr and the exit code.
func tidemill(ctx context.Context, env []string, args ...string) (stdout, stderr string, code int) {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the exit code says it
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// eventually polls until f is true. When time is up, what the explanations say is told.
func eventually(t *testing.T, within time.Duration, what string, f func() bool, explain ...func() string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(within)
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			for _, x := range explain {
				t.Log(x())
			}
			t.Fatalf("not within %s: %s", within, what)
		}
	}
}

// write makes a file below dir with its folders.
func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.TrimLeft(text, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}
