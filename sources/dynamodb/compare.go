package dynamodb

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources/dynamodb/item"
)

// compareBatch is how many rows Snapshot hands over at a time.
const compareBatch = 20_000

// readError says that the table cannot be read for a comparison.
type readError struct {
	table ingest.TableName
	err   error
}

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// FailedTable is the table that cannot be read.
func (e *readError) FailedTable() ingest.TableName { return e.table }

// Snapshot reads the table for a comparison, by a parallel Scan with consistent reads, into the columns of settled. No view of a
// DynamoDB table is of one moment: each item is shown as it was at some moment of the Scan. That is enough, since what was
// written during it is in the stream. begun is called last, with the time that the stream must have come to.
func (s *Source) Snapshot(ctx context.Context, settled json.RawMessage, _ []ingest.TableName, begun func(ingest.Position) error, rows func(*ingest.Builder) error) error {
	if settled == nil {
		return &readError{s.tableName(), fmt.Errorf("source %s has written nothing yet", s.name)}
	}
	st, err := parseState(settled)
	if err != nil {
		return err
	}
	config := s.config
	config.ConsistentReads = true // invariant 7: an item that a lagging replica shows as it was before would be a difference
	c, err := config.client(ctx)
	if err != nil {
		return err
	}
	c.now, c.source = s.now, s.name
	t, err := c.describe(ctx)
	if err != nil {
		return err
	}
	if id := t.TableId; id == nil || *id != st.Table {
		return &readError{s.tableName(), s.lost("the table was deleted and made anew")}
	}
	r := &comparison{source: s, client: c, rows: rows, decoder: item.NewTable(st.Columns, s.pins), out: ingest.NewBuilder(item.Schema(s.tableName(), st.Columns))}
	if err := r.read(ctx); err != nil {
		return err
	}
	// Invariant 7. What the stream shows later than its grace is late, and might look like a difference.
	return begun(timePosition(r.end.Add(config.Grace)))
}

// comparison is one reading of the table under way.
type comparison struct {
	source *Source
	client *client
	rows   func(*ingest.Builder) error

	mu      sync.Mutex // of what follows: segments come side by side
	decoder *item.Table
	out     *ingest.Builder
	end     time.Time // when the last page was read, by the service's clock
}

func (r *comparison) read(ctx context.Context) error {
	g, inner := errgroup.WithContext(ctx)
	total := r.source.config.Segments
	for n := range total {
		g.Go(func() error {
			var after map[string]types.AttributeValue
			for {
				var page [][]byte
				var last []byte
				var at time.Time
				err := r.source.patiently(inner, func() (err error) {
					page, last, at, err = r.client.scan(inner, n, total, after, 0)
					return err
				})
				if err == nil {
					err = r.take(page, at)
				}
				if err == nil && last != nil {
					after, err = item.KeyOf(last)
				}
				if err != nil || last == nil {
					return err
				}
			}
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return r.rows(r.out)
}

// take decodes one page.
func (r *comparison) take(page [][]byte, at time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at.After(r.end) {
		r.end = at
	}
	for _, text := range page {
		_, err := r.decoder.Item(text)
		if err == nil {
			err = r.decoder.Row(r.out)
		}
		if err != nil {
			return &readError{r.source.tableName(), fmt.Errorf("an item of the table cannot become a row: %w", err)}
		}
		if r.out.Rows() < compareBatch {
			continue
		}
		if err := r.rows(r.out); err != nil {
			return err
		}
		r.out.Reset()
	}
	return nil
}

// timePosition is the position that Snapshot gives: not of rounds but a time, in seconds since 1970, that a cut covers when its
// windows are complete to there.
func timePosition(t time.Time) ingest.Position {
	return ingest.Position("@" + strconv.FormatInt(t.Unix()+1, 10))
}

// Covers reports whether a cut whose windows are complete to a time holds everything that a snapshot at p has shown.
func (s *Source) Covers(_ ingest.Position, complete time.Time, p ingest.Position) (bool, error) {
	text, ok := strings.CutPrefix(string(p), "@")
	at, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil {
		return false, fmt.Errorf("position %q is not one of a snapshot of a DynamoDB table", p)
	}
	return complete.Unix() >= at, nil
}

// patiently calls until it succeeds: what passes by itself makes a pause that grows, and is an error only when it lasts.
// Throttling lasts as long as the table is busy.
func (s *Source) patiently(ctx context.Context, call func() error) error {
	pause := backoff.NewExponentialBackOff()
	pause.MaxInterval = s.pace.backoff
	failing := time.Now()
	for {
		err := call()
		switch cause := causeOf(err); {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case cause != Throttled && (cause != Unreachable && cause != Failed || time.Since(failing) > s.pace.patient):
			return err
		}
		select {
		case <-time.After(pause.NextBackOff()):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
