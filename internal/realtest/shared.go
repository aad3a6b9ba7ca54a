package realtest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/tidemill/tidemill/internal/servers"
)

// shared is the one broker of a test binary. It is package state because it belongs to the process: TestMain,
// where it ends, and the tests have no other place in common.
var shared struct {
	sync.Mutex
	wrapped bool
	kafka   *servers.Server
}

// Runner is what TestMain hands on: goleak.VerifyTestMain(realtest.Wrap(m)).
type Runner struct{ m interface{ Run() int } }

// Wrap makes SharedKafka available and stops it after the last test, before a leak check looks.
func Wrap(m *testing.M) Runner {
	shared.Lock()
	defer shared.Unlock()
	shared.wrapped = true
	return Runner{m}
}

// Run runs the tests, then removes what they shared.
func (r Runner) Run() int {
	code := r.m.Run()
	shared.Lock()
	defer shared.Unlock()
	if shared.kafka != nil {
		if err := shared.kafka.Remove(); err != nil && code == 0 {
			code = 1
		}
	}
	return code
}

// SharedKafka is one broker for all tests of a binary whose TestMain uses Wrap (3-4 s are saved per test). Use
// topic names of your own; do not stop it. Without Wrap it is the same as Kafka.
func SharedKafka(t testing.TB) *servers.Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.wrapped {
		return Kafka(t)
	}
	if shared.kafka == nil {
		s := servers.NewKafka(servers.Options{})
		// Detached from this test: the broker serves the ones after it too.
		if err := s.Start(context.WithoutCancel(t.Context())); err != nil {
			giveUp(t, errors.Join(err, s.Remove()))
		}
		shared.kafka = s
	}
	return shared.kafka
}
