package clinic

import (
	"context"
	"errors"
	"time"
)

// Load steps at a rate, in operations a second, until ctx ends; a rate of 0 is as fast as it goes. It returns nil when
// it was asked to stop. A database that is away is waited for: the clinic goes on when it is back. Each trouble is
// told to report, which may be nil.
func (c *Clinic) Load(ctx context.Context, rate float64, report func(error)) error {
	pace := newPace(rate)
	defer pace.stop()
	for pace.wait(ctx) {
		_, err := c.Step(ctx)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		if report != nil {
			report(err)
		}
		if !c.recover(ctx) {
			return nil
		}
	}
	return nil
}

// recover waits until both databases answer again and looks at the tables anew, because the outcome of the step that
// failed is unknown. It is false when ctx ended first.
func (c *Clinic) recover(ctx context.Context) bool {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
		if errors.Join(c.consult.PingContext(ctx), c.pharmacy.PingContext(ctx)) == nil && c.look(ctx) == nil {
			return true
		}
	}
}

// pace spaces steps evenly. A clinic that fell behind catches up by at most a second's worth: a restarted database is
// not greeted by everything that was missed.
type pace struct {
	every time.Duration
	next  time.Time
	timer *time.Timer
}

func newPace(rate float64) *pace {
	p := &pace{next: time.Now(), timer: time.NewTimer(0)}
	if rate > 0 {
		p.every = time.Duration(float64(time.Second) / rate)
	}
	return p
}

func (p *pace) stop() { p.timer.Stop() }

// wait blocks until the next step is due; false when ctx ended.
func (p *pace) wait(ctx context.Context) bool {
	if p.every == 0 {
		return ctx.Err() == nil
	}
	now := time.Now()
	if p.next = p.next.Add(p.every); p.next.Before(now.Add(-time.Second)) {
		p.next = now.Add(-time.Second)
	}
	p.timer.Reset(p.next.Sub(now))
	select {
	case <-ctx.Done():
		return false
	case <-p.timer.C:
		return true
	}
}
