package sim

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Tally counts what has happened in many worlds, and the processor time since the first. The zero value is ready.
type Tally struct {
	mu    sync.Mutex
	n     int
	steps int
	times map[string]int
	began time.Time
	cpu   time.Duration
}

// Add counts a world that is over.
func (t *Tally) Add(w *World) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.times == nil {
		t.times, t.began, t.cpu = map[string]int{}, time.Now(), processorTime()
	}
	t.n++
	t.steps += w.steps
	for what, n := range w.times {
		t.times[what] += n
	}
}

// Never lists what has not happened in any of them.
func (t *Tally) Never() (out []string) {
	for _, what := range Happenings {
		if t.times[what] == 0 {
			out = append(out, what)
		}
	}
	return out
}

func (t *Tally) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%d worlds, %d steps, %.1f s, %.1f CPU seconds", t.n, t.steps, time.Since(t.began).Seconds(), (processorTime() - t.cpu).Seconds())
	for _, what := range Happenings {
		fmt.Fprintf(&b, "; %s: %d", what, t.times[what])
	}
	return b.String()
}
