package elt

import (
	"context"
	"fmt"

	"github.com/tidemill/tidemill/internal/grid"
)

// Late counts the intervals whose deadline has passed and that are not there, by job.
func (l *Look) Late() map[string]int {
	out := map[string]int{}
	for _, d := range l.Book.Deadlines {
		if d.Kind != DeadlineLate || d.Met {
			continue
		}
		if rec := l.Book.Committed.History(d.Job).Of(d.Interval); rec == nil || rec.Published == nil && rec.Skip == nil {
			out[d.Job]++
		}
	}
	return out
}

// Oldest is the oldest interval that is not as it should be, or the newest that has ended.
func (s *Situation) Oldest(j *Job) grid.Window {
	last := j.First
	for w := j.First; !w.End.After(s.now()); w = j.Calendar.Next(w) {
		last = w
		if st := s.Assess(j, w); st.State != Published && st.State != Skipped {
			return w
		}
	}
	if next := j.Calendar.Next(last); !s.Now.Before(next.Start) && s.Committed.History(j.Name).Of(last) != nil {
		return next // what is to come
	}
	return last
}

// Skip marks an interval as not wanted: nobody waits for it, and nothing makes it until somebody asks.
func Skip(ctx context.Context, w Warehouse, s *Situation, j *Job, at grid.Window, actor, reason string) error {
	rec := s.Committed.History(j.Name).Of(at)
	if state := rec.State(); !state.May(Skipped) {
		return fmt.Errorf("%s %s is %s: only what is waiting or has failed can be skipped", j.Name, j.IntervalName(at), state)
	}
	attempt := 0
	if rec != nil {
		for _, f := range rec.Failures {
			attempt = max(attempt, f.Attempt)
		}
	}
	return w.JobSession(ctx, func(session Session) error {
		d := w.JobDialect()
		if err := ensure(ctx, session, d); err != nil {
			return err
		}
		st := store{session, d}
		return session.Transact(ctx, Write, func() error {
			epoch, err := st.epoch(ctx, true)
			if err != nil {
				return err
			}
			return st.append(ctx, &Entry{Job: j.Name, Interval: at, Generation: rec.Generation() + 1, Attempt: attempt, State: Skipped, Actor: actor, Reason: reason, Definition: j.Definition, Epoch: epoch})
		})
	})
}

// Answer notes that somebody has seen the alerts of an interval, or wants to hear no more of them.
func Answer(ctx context.Context, w Warehouse, b *Book, j *Job, at grid.Window, event, actor string) error {
	var events []AlertEvent
	for k, a := range Alerts(b.Alerts) {
		if k.Job == j.Name && k.Start == at.Start.Unix() && a.Resolved.IsZero() {
			events = append(events, AlertEvent{Key: k, Episode: a.Episode, Event: event, Name: a.Name, Actor: actor})
		}
	}
	if len(events) == 0 {
		return fmt.Errorf("%s %s has no open alert", j.Name, j.IntervalName(at))
	}
	return w.JobSession(ctx, func(s Session) error {
		st := store{s, w.JobDialect()}
		now, err := st.now(ctx)
		if err != nil {
			return err
		}
		for i := range events {
			events[i].At = now
		}
		return st.tell(ctx, events)
	})
}
