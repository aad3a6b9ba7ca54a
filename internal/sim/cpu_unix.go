//go:build unix

package sim

import (
	"syscall"
	"time"
)

// processorTime is what this process has used: the figure to read on a machine that does other things as well.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
