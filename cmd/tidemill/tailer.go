package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/kafka"
)

// errEnough ends a reading that has printed all it was asked for.
var errEnough = errors.New("enough rows")

// tailer prints records of the log.
type tailer struct {
	out             io.Writer
	follow, markers bool
	limit, printed  int64
	line            []byte
}

// followOn prints what arrives until ctx ends.
func (t *tailer) followOn(ctx context.Context, cfg kafka.Config, from map[string]map[int32]kgo.Offset) error {
	cl, err := kafka.New(cfg, kgo.ConsumePartitions(from))
	if err != nil {
		return err
	}
	defer cl.Close()
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("reading the log: %w", err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			if err := t.record(it.Next()); err != nil {
				return err
			}
		}
	}
}

// record prints one record.
func (t *tailer) record(r *kgo.Record) error {
	h, payload, err := ingest.ParseRecord(r.Value)
	if err != nil {
		return fmt.Errorf("reading offset %d of partition %d: %w", r.Offset, r.Partition, err)
	}
	if h.Kind == ingest.BatchRecord && h.Flags&ingest.FlagClaim == 0 {
		return t.batch(r, &h, payload)
	}
	if h.Kind != ingest.BatchRecord && !t.markers {
		return nil
	}
	b, err := json.Marshal(marker(r, &h, payload))
	if err != nil {
		return fmt.Errorf("printing a marker: %w", err)
	}
	_, err = t.out.Write(append(b, '\n'))
	return err
}

// mark is a record that is not rows: a seal, an owner's epoch, or a batch that lies in the object store.
type mark struct {
	Kind      string          `json:"kind"`
	Partition int32           `json:"partition"`
	Offset    int64           `json:"offset"`
	Epoch     int64           `json:"epoch"`
	Window    time.Time       `json:"window,omitzero"`
	Slice     int32           `json:"slice"`
	Final     bool            `json:"final,omitempty"`
	Seq       int64           `json:"seq"`
	Rows      int64           `json:"rows"`
	Position  string          `json:"position,omitempty"`
	Payload   json.RawMessage `json:"payload,omitempty"`
}

func marker(r *kgo.Record, h *ingest.Header, payload []byte) mark {
	m := mark{Partition: r.Partition, Offset: r.Offset, Epoch: h.Epoch, Window: h.Window, Slice: h.Slice,
		Final: h.Flags&ingest.FlagFinal != 0, Seq: h.Seq, Rows: h.Rows, Position: string(h.Position)}
	switch h.Kind {
	case ingest.SealRecord:
		m.Kind = "seal"
	case ingest.EpochRecord:
		m.Kind = "epoch"
	default:
		m.Kind = "claim"
	}
	if json.Valid(payload) {
		m.Payload = payload
	}
	return m
}

func (t *tailer) batch(r *kgo.Record, h *ingest.Header, payload []byte) error {
	rec, err := ingest.DecodeBatch(payload)
	if err != nil {
		return fmt.Errorf("reading offset %d of partition %d: %w", r.Offset, r.Partition, err)
	}
	defer rec.Release()
	schema, err := ingest.SchemaOf(rec.Schema())
	if err != nil {
		return err
	}
	ops, ok := rec.Column(int(rec.NumCols()) - 1).(*array.Uint8)
	if !ok {
		return fmt.Errorf("reading offset %d of partition %d: the last column is not %s", r.Offset, r.Partition, ingest.OpColumn)
	}
	for i := range int(rec.NumRows()) {
		t.line = appendRow(t.line[:0], rec, schema, h, ingest.Op(ops.Value(i)), i)
		if _, err := t.out.Write(t.line); err != nil {
			return err
		}
		if t.printed++; t.limit > 0 && t.printed >= t.limit {
			return errEnough
		}
	}
	return nil
}

// appendRow writes {"op":…,"window":…,"seq":…,"row":{…}}. A delete shows its key, which is all that it carries.
func appendRow(b []byte, rec arrow.RecordBatch, schema *ingest.Schema, h *ingest.Header, op ingest.Op, i int) []byte {
	name := "upsert"
	switch {
	case op == ingest.Delete:
		name = "delete"
	case h.Flags&ingest.FlagLoad != 0:
		name = "load"
	}
	b = fmt.Appendf(b, `{"op":%q,"window":%q,"seq":%d,"row":{`, name, h.Window.Format(time.RFC3339), h.Seq+int64(i))
	first := true
	for c, col := range schema.Columns {
		if op == ingest.Delete && !slices.Contains(schema.Key, col.Name) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = console.AppendName(b, col.Name)
		b = console.AppendJSON(b, rec.Column(c), i)
	}
	return append(b, "}}\n"...)
}
