package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemill/tidemill/internal/kafka"
)

// Request asks the owner of a source to load a table anew, or the whole source. It is carried out once: the checkpoint that
// holds its effect names its id.
type Request struct {
	ID     string    `json:"id"`
	Source string    `json:"source"`
	Table  string    `json:"table,omitempty"` // schema.table; empty: the source begins anew at the server's present position
	At     time.Time `json:"at"`
}

// wholeSource is what a request is about that names no table.
const wholeSource = ""

// ResyncCommand is what an operator types to have a source, a table of it ("source.schema.table") or a pipeline loaded
// anew. Every error that names it as its remedy uses this.
func ResyncCommand(target string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-/", r)
	}
	if target == "" || strings.ContainsFunc(target, func(r rune) bool { return !plain(r) }) || target[0] == '-' {
		target = "'" + strings.ReplaceAll(target, "'", `'\''`) + "'" // for a shell
	}
	return "tidemill resync " + target
}

// NewLogCommand is what an operator types to have a pipeline publish everything anew from a log that is not the one of its cut.
func NewLogCommand(pipeline string) string { return ResyncCommand(pipeline) + " --new-log" }

// Ask appends requests to the log. It returns when they are durable: whoever owns the sources then, or later, obeys.
func Ask(ctx context.Context, cl *kafka.Client, requests ...Request) error {
	var records []*kgo.Record
	for _, r := range requests {
		v, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("writing a request: %w", err)
		}
		records = append(records, &kgo.Record{Topic: cl.Name(RequestsTopic), Key: []byte(r.Source), Value: v})
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("writing a request: %w", err)
	}
	return nil
}

// parseRequest skips what is not a request about the source.
func parseRequest(source string, value []byte) (Request, bool) {
	var r Request
	err := json.Unmarshal(value, &r)
	return r, err == nil && r.ID != "" && r.Source == source
}

// awaitRequest is env.requested on a cluster.
func awaitRequest(ctx context.Context, cfg kafka.Config, source string, from int64) (next int64, err error) {
	err = kafka.Follow(ctx, cfg, RequestsTopic, 0, from, func(r *kgo.Record) bool {
		_, ours := parseRequest(source, r.Value)
		next = r.Offset + 1
		return !ours
	})
	if err != nil {
		return 0, fmt.Errorf("waiting for requests: %w", err)
	}
	return next, nil
}

// pending reads the requests that are not carried out yet, the last about each table, and the offset to listen from.
func (w *Writer) pending(ctx context.Context) (map[string]Request, int64, error) {
	records, err := w.env.keyed(ctx, RequestsTopic)
	if err != nil {
		return nil, 0, err
	}
	next, last := int64(0), map[string]Request{}
	for _, rec := range records {
		next = rec.offset + 1
		if r, ours := parseRequest(w.cfg.Source, rec.value); ours {
			last[r.Table] = r
		}
	}
	maps.DeleteFunc(last, func(about string, r Request) bool { return w.done[about] == r.ID })
	return last, next, nil
}

// requests looks at a takeover for what is asked. That the source begins anew must be known before its log is read; a table
// waits until everything durable has been passed.
func (w *Writer) requests(ctx context.Context, point *Checkpoint) error {
	if point != nil {
		w.done = orEmpty(point.Requests)
	}
	asked, next, err := w.pending(ctx)
	if err != nil {
		return err
	}
	_, whole := asked[wholeSource]
	w.anew = whole && point != nil
	w.asked.Store((len(asked) > 0 || point != nil && len(point.Exchanged) > 0) && point != nil && !whole)
	w.heard = next
	return nil
}

// forgo takes what is asked as done: everything is about to be loaded anyway.
func (w *Writer) forgo(ctx context.Context) error {
	asked, _, err := w.pending(ctx)
	for about, r := range asked {
		w.done[about] = r.ID
	}
	return err
}

// listen notes that there are requests, until ctx ends.
func (w *Writer) listen(ctx context.Context) error {
	for from := w.heard; ; w.asked.Store(true) {
		var err error
		if from, err = w.env.requested(ctx, w.cfg.Source, from); err != nil {
			return err
		}
	}
}

// obey carries out the requests about tables, and loads those anew whose content was exchanged, or makes way for an owner that
// begins the source anew. Between groups, with nothing durable ahead.
func (w *Writer) obey(ctx context.Context) error {
	w.asked.Store(false) // before reading: what comes later sets it again
	asked, _, err := w.pending(ctx)
	if err != nil || len(asked) == 0 && len(w.exchanged) == 0 {
		return err
	}
	if _, whole := asked[wholeSource]; !whole {
		if err := w.loadAnew(ctx, asked); err != nil {
			return err
		}
	}
	return ErrAnew
}

// ParseTarget splits source.schema.table, as ResyncCommand writes it. Only the table's own name may hold dots.
func ParseTarget(s string) (source string, t TableName, err error) {
	parts := strings.SplitN(s, ".", 3)
	if len(parts) != 3 || slices.Contains(parts, "") {
		return "", TableName{}, errors.New("a table is named source.schema.table")
	}
	return parts[0], TableName{parts[1], parts[2]}, nil
}
