package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/window"
)

// topicReader reads rows of the log by the rules of every reader (DESIGN §3): records of a superseded owner and repeated
// rows do not count. That no row is missing is the pipeline's to check: it has published them.
type topicReader struct {
	cfg   kafka.Config
	store window.Store
	dir   string // for batches that lie in the object store
}

func (r topicReader) changes(ctx context.Context, topic string, from, to []window.PartCut, fn func(*ingest.Schema, arrow.RecordBatch, int) error) error {
	if len(from) != len(to) {
		return fmt.Errorf("the topic %s had %d partitions and has %d now", topic, len(from), len(to))
	}
	var ranges []kafka.Range
	at := append([]window.PartCut(nil), from...)
	for p := range from {
		ranges = append(ranges, kafka.Range{Topic: topic, Partition: p, From: from[p].Offset, To: to[p].Offset})
	}
	err := kafka.Read(ctx, r.cfg, ranges, func(p int, rec *kgo.Record) error {
		h, payload, err := ingest.ParseRecord(rec.Value)
		if err != nil {
			return fmt.Errorf("reading offset %d of partition %d: %w", rec.Offset, p, err)
		}
		if h.Epoch < at[p].Epoch {
			return nil
		}
		at[p].Epoch = h.Epoch
		last := h.Seq + h.Rows - 1
		if h.Kind != ingest.BatchRecord || last <= at[p].Seq {
			return nil
		}
		first := int(max(0, at[p].Seq+1-h.Seq))
		at[p].Seq = last
		if payload, err = r.payload(ctx, &h, payload); err != nil {
			return err
		}
		return rows(payload, first, fn)
	})
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	return nil
}

// loaded reads on from a cut to the log's end, for a batch of a load that no later owner has voided.
func (r topicReader) loaded(ctx context.Context, topic string, from []window.PartCut) (found bool, err error) {
	cl, err := kafka.New(r.cfg)
	if err != nil {
		return false, err
	}
	defer cl.Close()
	bounds, err := kafka.Offsets(ctx, cl, topic)
	if err != nil {
		return false, fmt.Errorf("reading the log: %w", err)
	}
	var ranges []kafka.Range
	at := append([]window.PartCut(nil), from...)
	for p, b := range bounds[topic] {
		if p < len(from) {
			ranges = append(ranges, kafka.Range{Topic: topic, Partition: p, From: max(from[p].Offset, b.Start), To: b.End})
		}
	}
	err = kafka.Read(ctx, r.cfg, ranges, func(p int, rec *kgo.Record) error {
		h, _, err := ingest.ParseRecord(rec.Value)
		if err != nil || h.Epoch < at[p].Epoch {
			return err
		}
		at[p].Epoch = h.Epoch
		found = found || h.Kind == ingest.BatchRecord && h.Flags&ingest.FlagLoad != 0
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("reading the log: %w", err)
	}
	return found, nil
}

// rows calls fn with the rows of a batch from first on.
func rows(payload []byte, first int, fn func(*ingest.Schema, arrow.RecordBatch, int) error) error {
	b, err := ingest.DecodeBatch(payload)
	if err != nil {
		return err
	}
	defer b.Release()
	s, err := ingest.SchemaOf(b.Schema())
	if err != nil {
		return err
	}
	for i := first; i < int(b.NumRows()); i++ {
		if err := fn(s, b, i); err != nil {
			return err
		}
	}
	return nil
}

// payload fetches a batch that was too large for the log.
func (r topicReader) payload(ctx context.Context, h *ingest.Header, payload []byte) (out []byte, err error) {
	if h.Flags&ingest.FlagClaim == 0 {
		return payload, nil
	}
	claim, err := ingest.ParseClaim(payload)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(r.dir, "verify")
	if err != nil {
		return nil, fmt.Errorf("making a folder for %s: %w", claim.Key, err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a temporary folder
	name := filepath.Join(dir, "batch")
	if err := r.store.Get(ctx, claim.Key, name); err != nil {
		return nil, fmt.Errorf("fetching %s: %w", claim.Key, err)
	}
	if out, err = os.ReadFile(name); err != nil {
		return nil, fmt.Errorf("reading %s: %w", claim.Key, err)
	}
	if sum := sha256.Sum256(out); hex.EncodeToString(sum[:]) != claim.SHA256 {
		return nil, fmt.Errorf("fetching %s: its content is not what was written", claim.Key)
	}
	return out, nil
}
