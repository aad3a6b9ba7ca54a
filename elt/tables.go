package elt

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// bases is what has been read of the receipts: which publish made each table anew last. A receipt is never changed, so only
// new ones are read again.
type bases struct {
	by   map[string]base // by schema.table
	read time.Time       // the newest receipt
}

type base struct {
	pipeline string
	id       string
	at       time.Time
}

// tables reads what fences and receipts say of the tables that pipelines publish (ADR 0011): through when they are committed,
// and which publish made each of them anew last.
func (s store) tables(ctx context.Context, known *bases) (map[string]TableState, error) {
	out := map[string]TableState{}
	there, err := s.Columns(ctx, "tidemill.fence")
	if err != nil || there == nil { // no pipeline has ever published here
		return out, err
	}
	err = s.Query(ctx, `SELECT t.table_schema, t.table_name, f.pipeline, f.window_start, f.window_end, f.final, f.published_at, t.stands_since, t.stands_because
 FROM tidemill.fence f JOIN tidemill.tables t ON t.pipeline = f.pipeline WHERE f.published_at IS NOT NULL`, func(row []any) error {
		t := TableState{Table: row[0].(string) + "." + row[1].(string), Pipeline: row[2].(string), Through: instant(row[4]), Published: instant(row[6])}
		if final, _ := row[5].(bool); !final { // a slice: the window is not complete
			t.Through = instant(row[3])
		}
		if since := instant(row[7]); !since.IsZero() && since.Before(t.Through) {
			t.Through = since
		}
		t.Standing, _ = row[8].(string)
		out[t.Table] = t
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the fences: %w", err)
	}
	if err := s.bases(ctx, known); err != nil {
		return nil, fmt.Errorf("reading the receipts: %w", err)
	}
	for name, t := range out {
		if b, ok := known.by[name]; ok && b.pipeline == t.Pipeline {
			t.Base, t.BaseAt = b.id, b.at
			out[name] = t
		}
	}
	return out, nil
}

// bases finds the newest receipt that replaced each table.
func (s store) bases(ctx context.Context, known *bases) error {
	tables := "CAST(tables AS " + s.dialect.text() + ")"
	q, args := "SELECT pipeline, window_start, slice, committed_at, "+tables+" FROM tidemill.receipts WHERE "+tables+" LIKE '%\"replace\"%'", []any(nil)
	if known.by == nil {
		known.by = map[string]base{}
	} else if !known.read.IsZero() { // a transaction may commit after its receipt was stamped
		q, args = q+" AND committed_at >= $1", []any{known.read.Add(-bookOverlap).UTC()}
	}
	return s.Query(ctx, q+" ORDER BY committed_at", func(row []any) error {
		var loads []struct {
			Table   string `json:"table"`
			Replace bool   `json:"replace"`
		}
		if err := json.Unmarshal([]byte(row[4].(string)), &loads); err != nil {
			return fmt.Errorf("tables of a receipt are not JSON: %w", err)
		}
		at := instant(row[3])
		if at.After(known.read) {
			known.read = at
		}
		for _, l := range loads {
			if l.Replace && !at.Before(known.by[l.Table].at) {
				known.by[l.Table] = base{row[0].(string), fmt.Sprintf("%s.%d@%s", instant(row[1]).Format(time.RFC3339), row[2].(int64), at.Format(time.RFC3339)), at}
			}
		}
		return nil
	}, args...)
}
