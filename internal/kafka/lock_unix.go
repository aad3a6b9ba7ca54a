//go:build unix

package kafka

import (
	"os"
	"syscall"
)

// lockFile takes the file for this process; closing it, or the end of the process, gives it back (invariant 5).
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // the lock's error is the one that counts
		return nil, err
	}
	return f, nil
}
