package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Process is a started program that cannot outlive us. A nil Process is one that never ran.
type Process struct {
	pid  int
	done chan struct{} // closed after the process was reaped
	err  error         // how it ended; read after done
}

// Spawn starts cmd in a process group of its own, so that a Ctrl-C at the terminal reaches only us and we decide the
// order of stopping. The account may be nil: the same as ours.
//
// The process must not outlive us, even if we are killed. The kernel does that (Pdeathsig), with two traps: "parent"
// is the *thread* that forked, and Go ends idle threads, so the goroutine below locks its thread and keeps it until
// the process is gone; and the request is dropped when a process changes its own user, so the account is set
// before exec rather than by the server's own --user.
func Spawn(cmd *exec.Cmd, account *syscall.Credential) (*Process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: account}
	dieWithParent(cmd.SysProcAttr)
	p := &Process{done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("running %s: %w", cmd.Path, err)
	}
	return p, nil
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err waits for the end and says how it was: nil for exit code 0, else an *exec.ExitError.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Alive says whether the process has not ended.
func (p *Process) Alive() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Stop sends the polite signal and waits for the end of the process and its helpers. It kills when patience or ctx
// ends, and that is an error. How the process itself ended is told by Err.
func (p *Process) Stop(ctx context.Context, polite syscall.Signal, patience time.Duration) error {
	if !p.Alive() {
		return nil
	}
	helpers := descendants(p.pid)
	p.signal(polite)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		// PostgreSQL's helpers outlive their parent by a moment and hold its shared memory; a restart would trip over it.
		return awaitGone(helpers)
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("process %d did not leave within %s and was killed", p.pid, patience)
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("process %d was killed: %w", p.pid, context.Cause(ctx))
	}
}

// Kill ends the process and everything it started with SIGKILL, and waits until all are gone.
func (p *Process) Kill() {
	if !p.Alive() {
		return
	}
	helpers := descendants(p.pid)
	p.signal(syscall.SIGKILL)
	<-p.done
	for _, pid := range helpers {
		_ = syscall.Kill(pid, syscall.SIGKILL) // usually gone already: they notice their parent's death
	}
	_ = awaitGone(helpers)
}

// signal is safe against a reused pid: until done is closed the process is ours to reap, so the number is taken.
func (p *Process) signal(sig syscall.Signal) {
	if p.Alive() {
		_ = syscall.Kill(p.pid, sig)
	}
}

// awaitGone waits until none of the processes exists. It takes no context: a stop is never abandoned half-way.
func awaitGone(pids []int) error {
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		left := 0
		for _, pid := range pids {
			if running(pid) {
				left++
			}
		}
		if left == 0 {
			return nil
		}
		select {
		case <-limit.C:
			return fmt.Errorf("%d helper processes are still there after %s", left, stopLimit)
		case <-ticker.C:
		}
	}
}

// run executes a short-lived helper (initdb, mariadb-install-db) under the server's account; its output is the error.
func (s *Server) run(ctx context.Context, cmd *exec.Cmd) error {
	credential, err := accountFor(s.kind.account)
	if err != nil {
		return err
	}
	s.keepTemporary(cmd)
	out, err := os.CreateTemp(s.temporary(), "out-")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	p, err := Spawn(cmd, credential)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("running %s: %w", cmd.Path, context.Cause(ctx))
	}
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return fmt.Errorf("running %s: %w\n%s", cmd.Path, p.err, lastLines(tail(out.Name(), 0), 40))
	}
	return p.err
}
