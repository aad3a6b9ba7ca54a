package ingest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A server that was restored or replaced has another history: the takeover notices it before it appends anything that
// contradicts the log.
func TestAnotherHistoryIsNoticed(t *testing.T) {
	a, b := simSchema("a", 1), simSchema("b", 1)
	groups := func() []simGroup {
		var out []simGroup
		for n := range int64(60) {
			out = append(out, simGroup{commit: ten.Add(time.Duration(n) * time.Second), events: []simEvent{{a, []int64{3*n + 1, 3*n + 2}}, {b, []int64{3*n + 3}}}})
		}
		return out
	}
	for name, c := range map[string]struct {
		change func(g []simGroup) []simGroup
		want   error
	}{
		"the same":     {func(g []simGroup) []simGroup { return g }, nil},
		"a group more": {func(g []simGroup) []simGroup { return slices.Insert(g, 0, simGroup{commit: ten}) }, ErrIntegrity},
		"a row more":   {func(g []simGroup) []simGroup { g[2].events[0].rows = append(g[2].events[0].rows, 7); return g }, ErrIntegrity},
		"a row less":   {func(g []simGroup) []simGroup { g[2].events[0].rows = g[2].events[0].rows[1:]; return g }, ErrIntegrity},
		"two groups made one": {func(g []simGroup) []simGroup {
			g[2].events = append(g[2].events, g[3].events...)
			return slices.Delete(g, 3, 4)
		}, ErrIntegrity},
	} {
		h := &history{start: ten, end: ten.Add(2 * time.Minute), groups: groups(), tables: []Schema{*a, *b}, window: 10 * time.Second}
		log := newSimLog()
		if err := takeOver(log, h, 60); !errors.Is(err, errCrash) {
			t.Fatalf("%s: the first owner ended with %v", name, err)
		}
		h.groups = c.change(groups())
		err := takeOver(log, h, -1)
		if !errors.Is(err, c.want) || c.want != nil && !strings.Contains(err.Error(), "history differs") {
			t.Errorf("%s: the second owner ended with %v", name, err)
		}
	}
}

// takeOver runs an owner that writes no checkpoint of its own.
func takeOver(log *simLog, h *history, crashAt int) error {
	var now atomic.Int64
	now.Store(h.start.UnixMicro())
	rng := rand.New(rand.NewPCG(1, 1))
	cfg := simConfig(rng, &now, h.window)
	cfg.FlushBytes, cfg.SliceBytes, cfg.CheckpointEvery = 200, 1<<40, time.Hour
	crashes := crashAt > 0
	var mu sync.Mutex // the encoder and the checkpointer append
	e := log.env(nil, false)
	inner := e.append
	e.append = func(ctx context.Context, x entry, done func(int64, error)) {
		if mu.Lock(); crashAt == 0 {
			mu.Unlock()
			done(0, errCrash)
			return
		}
		crashAt--
		mu.Unlock()
		if x.topic == PositionsTopic && crashes && !strings.Contains(string(x.value), `"number":1,`) {
			done(0, nil) // and forgotten: the next owner begins at the first one
			return
		}
		inner(ctx, x, done)
	}
	return stream(context.Background(), cfg, e, &simSource{h: h, rng: rng, now: &now, pack: 3})
}
