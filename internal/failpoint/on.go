//go:build failpoint

package failpoint

import (
	"os"
	"sync"
	"syscall"
	"time"
)

// Enabled reports whether this binary was built with the tag failpoint.
const Enabled = true

var (
	armed = sync.OnceValues(func() (spec, error) { return parse(os.Getenv(Variable)) })
	mu    sync.Mutex
	hits  = map[string]int{}
)

// Hit marks a point. When TIDEMILL_FAILPOINT names it, the n-th hit kills or pauses the process (see Variable).
func Hit(name string) {
	s, err := armed()
	if err != nil {
		panic(err) // a test asked for something that cannot happen: better loud than never
	}
	if s.name != name {
		return
	}
	mu.Lock()
	hits[name]++
	now := hits[name]
	mu.Unlock()
	if now != s.n {
		return
	}
	if s.pause != "" {
		wait(s.pause)
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way: go no further (invariant 2)
}

// wait creates file and returns when somebody has removed it.
func wait(file string) {
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		panic(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := os.Stat(file); os.IsNotExist(err) {
			return
		}
	}
}
