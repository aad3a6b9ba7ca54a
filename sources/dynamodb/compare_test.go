package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/dynamofake"
)

// compared reads the table for a comparison: each row's text by key, and the position.
func (r *rig) compared() (rows map[string]string, at ingest.Position, err error) {
	r.t.Helper()
	src := New("s", r.config, nil, nil)
	src.pace = r.pace
	rows = map[string]string{}
	err = src.Snapshot(r.t.Context(), r.state(), nil, func(p ingest.Position) error { at = p; return nil }, func(b *ingest.Builder) error {
		rec := b.Record()
		defer rec.Release()
		for i := range int(rec.NumRows()) {
			var cells []string
			for c := range int(rec.NumCols()) - 1 {
				cells = append(cells, strings.Clone(rec.Column(c).ValueStr(i)))
			}
			rows[cells[0]] = strings.Join(cells, "|")
		}
		return nil
	})
	return rows, at, err
}

// state is what the source has settled last.
func (r *rig) state() json.RawMessage {
	r.t.Helper()
	points, err := ingest.Checkpoints(r.t.Context(), r.log.Config())
	r.ok(err)
	return points["s"].State
}

// A comparison reads what was written last, in the columns that the stream has, and a cut must have come to where its last page
// was read. Throttling makes it slower and nothing else.
func TestSnapshot(t *testing.T) {
	r := newRig(t, dynamofake.Options{})
	r.create(images)
	r.item(`{"id":{"S":"a"},"v":{"N":"1"},"tags":{"SS":["b","a"]},"note":{"S":"x"}}`)
	for i := range 300 {
		r.put(fmt.Sprint("k", i), i)
	}
	s := r.run(nil)
	r.caughtUp(s)
	r.ok(r.srv.Stale(table, true))
	r.put("k7", 70) // not in what a lagging replica shows
	r.item(`{"id":{"S":"late"},"v":{"S":"no number"}}`)
	r.caughtUp(s)
	r.srv.Fail(dynamofake.Fault{Failure: dynamofake.ProvisionedThroughputExceeded, Operation: "Scan", Every: 2, Times: 4})
	before := time.Now()
	rows, at, err := r.compared()
	r.ok(err)
	r.end(s)
	want, _ := r.content()
	for key, values := range replica(want) {
		text := rows[strings.TrimSuffix(key, "|")]
		for column, v := range values {
			if !strings.Contains("|"+text+"|", "|"+v+"|") {
				t.Errorf("%s: column %s is %q in the log; the comparison reads %q", key, column, v, text)
			}
		}
	}
	if len(rows) != 302 {
		t.Errorf("%d rows", len(rows))
	}
	src := New("s", r.config, nil, nil)
	for complete, covered := range map[time.Time]bool{before: false, before.Add(r.config.Grace): false, time.Now().Add(time.Minute): true} {
		if got, err := src.Covers("1.2", complete, at); err != nil || got != covered {
			t.Errorf("a cut complete to %s covers %s: %v, %v", complete, at, got, err)
		}
	}
	if _, err := src.Covers("1.2", time.Now(), "1.2"); err == nil {
		t.Error("a position of rounds is taken for one of a snapshot")
	}
}

// A table that cannot be compared is named, so that the others are.
func TestSnapshotRefused(t *testing.T) {
	r := newRig(t, dynamofake.Options{})
	r.create(images)
	var failed interface{ FailedTable() ingest.TableName }
	if _, _, err := r.compared(); !errors.As(err, &failed) || !strings.Contains(err.Error(), "has written nothing yet") {
		t.Errorf("before the source has begun: %v", err)
	}
	r.put("a", 1)
	s := r.run(nil)
	r.caughtUp(s)
	r.end(s)
	st, err := parseState(r.state())
	r.ok(err)
	st.Table = "another"
	src := New("s", r.config, nil, nil)
	src.pace = r.pace
	text, err := json.Marshal(st)
	r.ok(err)
	err = src.Snapshot(t.Context(), text, nil, nil, nil)
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "made anew") || !strings.Contains(err.Error(), "tidemill resync") {
		t.Errorf("a table that was made anew: %v", err)
	}
	r.srv.Fail(dynamofake.Fault{Failure: dynamofake.Throttling, Operation: "Scan"})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := src.Snapshot(ctx, r.state(), nil, nil, nil); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Errorf("throttling is waited out until the one who asks gives up: %v", err)
	}
}
