package elt

import (
	"context"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// Book is what a runner has read of the warehouse. It can be thrown away and read again: everything in it is committed.
type Book struct {
	Committed *Committed
	Deadlines map[DeadlineKey]Deadline
	Alerts    []AlertEvent
	Sends     []Send

	whole time.Time // when all of the ledger was read last
	bases bases
}

// NewBook is a book that nothing is in.
func NewBook() *Book { return &Book{Committed: NewCommitted(), Deadlines: map[DeadlineKey]Deadline{}} }

const (
	// bookOverlap is how far back the ledger is read again: a transaction may commit after its row was stamped.
	bookOverlap = 10 * time.Minute
	// bookWhole is how often it is read as a whole.
	bookWhole = time.Hour
)

// refresh brings the book up to date, in one snapshot.
func (b *Book) refresh(ctx context.Context, s store, g *Graph, now time.Time) error {
	names := make([]string, len(g.Jobs))
	for i, j := range g.Jobs {
		names[i] = j.Name
	}
	registered, err := s.register(ctx, names)
	if err != nil {
		return fmt.Errorf("reading the register of the jobs: %w", err)
	}
	return s.Transact(ctx, Snapshot, func() error {
		tables, err := s.tables(ctx, &b.bases)
		if err != nil {
			return err
		}
		if err := b.ledger(ctx, s, now); err != nil {
			return err
		}
		for name, at := range registered {
			b.history(name).Registered = at
		}
		b.Committed.Tables = tables
		if b.Committed.Requests, err = s.requests(ctx); err != nil {
			return fmt.Errorf("reading the requests: %w", err)
		}
		if err := b.outbox(ctx, s, now.Add(-outboxKept-g.horizon())); err != nil {
			return fmt.Errorf("reading the alerts: %w", err)
		}
		return nil
	})
}

func (b *Book) history(job string) *History {
	h := b.Committed.Ledger[job]
	if h == nil {
		h = NewHistory()
		b.Committed.Ledger[job] = h
	}
	return h
}

func (b *Book) ledger(ctx context.Context, s store, now time.Time) error {
	var since time.Time
	if now.Sub(b.whole) < bookWhole {
		for _, h := range b.Committed.Ledger {
			if h.Newest().After(since) {
				since = h.Newest()
			}
		}
		if !since.IsZero() {
			since = since.Add(-bookOverlap)
		}
	} else {
		b.whole = now
	}
	by := map[string][]Entry{}
	err := s.entries(ctx, since, func(e Entry) { by[e.Job] = append(by[e.Job], e) })
	if err != nil {
		return fmt.Errorf("reading the ledger: %w", err)
	}
	for job, entries := range by {
		b.history(job).Add(entries...)
	}
	return nil
}

// outboxKept is how long ago, beyond every horizon, deadlines are still looked at. Alerts are few and all are.
const outboxKept = 7 * 24 * time.Hour

// horizon is the longest of all jobs.
func (g *Graph) horizon() (out time.Duration) {
	for _, j := range g.Jobs {
		out = max(out, j.Spec.Late.Horizon.Duration)
	}
	return out
}

func (b *Book) outbox(ctx context.Context, s store, since time.Time) error {
	since = since.UTC()
	err := s.Query(ctx, "SELECT job, interval_start, interval_end, kind, due, met, written_at FROM tidemill.job_deadlines WHERE due >= $1", func(row []any) error {
		d := Deadline{Job: row[0].(string), Interval: grid.Window{Start: instant(row[1]), End: instant(row[2])}, Kind: row[3].(string), Due: instant(row[4]), Met: row[5].(bool), At: instant(row[6])}
		b.Deadlines[d.Key()] = d
		return nil
	}, since)
	if err != nil {
		return err
	}
	b.Alerts, b.Sends = nil, nil
	err = s.Query(ctx, `SELECT job, interval_start, kind, what, episode, event, written_at, name, owner, text, cause, actor, warning, ended
 FROM tidemill.job_alerts ORDER BY written_at, episode, CASE event WHEN 'open' THEN 0 ELSE 1 END`, func(row []any) error {
		b.Alerts = append(b.Alerts, AlertEvent{Key: alertKey(row), Episode: int(row[4].(int64)), Event: row[5].(string), At: instant(row[6]), Name: row[7].(string),
			Owner: row[8].(string), Text: row[9].(string), Cause: row[10].(string), Actor: row[11].(string), Warning: row[12].(bool), Over: row[13].(bool)})
		return nil
	})
	if err != nil {
		return err
	}
	return s.Query(ctx, `SELECT job, interval_start, kind, what, channel, episode, event, attempt, written_at, outcome, why FROM tidemill.job_sends
 ORDER BY written_at, attempt, CASE outcome WHEN 'claimed' THEN 0 ELSE 1 END`, func(row []any) error {
		b.Sends = append(b.Sends, Send{Key: alertKey(row), Channel: row[4].(string), Episode: int(row[5].(int64)), Event: row[6].(string), Try: int(row[7].(int64)),
			At: instant(row[8]), Outcome: row[9].(string), Why: row[10].(string)})
		return nil
	})
}

func alertKey(row []any) AlertKey {
	return AlertKey{Job: row[0].(string), Start: instant(row[1]).Unix(), Kind: AlertKind(row[2].(string)), What: row[3].(string)}
}

func (s store) latch(ctx context.Context, list []Deadline) error {
	return s.Transact(ctx, Write, func() error {
		for _, d := range list {
			if err := s.insert(ctx, "job_deadlines", "job, interval_start, interval_end, kind, due, met, written_at",
				d.Job, d.Interval.Start.UTC(), d.Interval.End.UTC(), d.Kind, d.Due.UTC(), d.Met, d.At.UTC()); err != nil {
				return err
			}
		}
		return nil
	})
}

// tell writes events of alerts.
func (s store) tell(ctx context.Context, list []AlertEvent) error {
	return s.Transact(ctx, Write, func() error {
		for _, e := range list {
			if err := s.insert(ctx, "job_alerts", "job, interval_start, kind, what, episode, event, written_at, name, owner, text, cause, actor, warning, ended",
				e.Key.Job, time.Unix(e.Key.Start, 0).UTC(), string(e.Key.Kind), e.Key.What, int64(e.Episode), e.Event, e.At.UTC(), e.Name, e.Owner, e.Text, e.Cause, e.Actor, e.Warning, e.Over); err != nil {
				return err
			}
		}
		return nil
	})
}

// sent writes what became of sends. A claim that is there already is of another daemon: the error is Overtaken.
func (s store) sent(ctx context.Context, list []Send) error {
	return s.Transact(ctx, Write, func() error {
		for _, x := range list {
			if x.Outcome == Claimed {
				if err := s.unclaimed(ctx, x); err != nil {
					return err
				}
			}
			if err := s.insert(ctx, "job_sends", "channel, job, interval_start, kind, what, episode, event, attempt, outcome, written_at, why", x.Channel, x.Key.Job, time.Unix(x.Key.Start, 0).UTC(),
				string(x.Key.Kind), x.Key.What, int64(x.Episode), x.Event, int64(x.Try), x.Outcome, x.At.UTC(), x.Why); err != nil {
				return err
			}
		}
		return nil
	})
}

// unclaimed refuses a claim that somebody has made, where no index does.
func (s store) unclaimed(ctx context.Context, x Send) error {
	if s.dialect.Constraints {
		return nil
	}
	return s.Query(ctx, `SELECT count(*) FROM tidemill.job_sends WHERE channel = $1 AND job = $2 AND interval_start = $3 AND kind = $4 AND what = $5
 AND episode = $6 AND event = $7 AND attempt = $8 AND outcome = 'claimed'`, func(row []any) error {
		if row[0].(int64) > 0 {
			return &Error{Class: Overtaken, Err: fmt.Errorf("the send of %s to %s is claimed", x.Key, x.Channel)}
		}
		return nil
	}, x.Channel, x.Key.Job, time.Unix(x.Key.Start, 0).UTC(), string(x.Key.Kind), x.Key.What, int64(x.Episode), x.Event, int64(x.Try))
}
