package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// EnvironmentError is a machine that does not let the daemon run: a port in use, a full disk, a folder held by another.
type EnvironmentError struct {
	What   string
	Remedy string
	Err    error
}

func (e *EnvironmentError) Error() string {
	if e.Err == nil {
		return e.What
	}
	return e.What + ": " + e.Err.Error()
}

func (e *EnvironmentError) Unwrap() error { return e.Err }

// Hint is the remedy.
func (e *EnvironmentError) Hint() string { return e.Remedy }

// Environment tells the exit code's classifier.
func (e *EnvironmentError) Environment() bool { return true }

// lock takes the data folder (invariant 1). The kernel lets go of it when the process ends in any way.
func lock(data string) (*os.File, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, &EnvironmentError{What: "making the data folder", Err: err, Remedy: "choose another folder: data in tidemill.yaml"}
	}
	name := filepath.Join(data, "lock")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, &EnvironmentError{What: "locking the data folder", Err: err, Remedy: "run tidemill as the owner of " + data}
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		holder, _ := os.ReadFile(name)
		_ = f.Close() // nothing was written
		return nil, &EnvironmentError{What: fmt.Sprintf("another daemon (process %s) runs with the data folder %s", strings.TrimSpace(string(holder)), data),
			Remedy: "stop it first, or give this project another data folder"}
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		_ = f.Close() // the error above is the one to tell
		return nil, &EnvironmentError{What: "locking the data folder", Err: err}
	}
	return f, nil
}
