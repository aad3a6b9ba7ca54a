package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// job is work for the encoder, done in order.
type job interface {
	do(ctx context.Context, w *Writer) error
}

// batchJob appends the batches of one flush.
type batchJob struct {
	batches []batch
	ctx     context.Context //nolint:containedctx // carries the span only, from the source's goroutine to the encoder's
	span    trace.Span
}

// batch is the rows of a builder, from the given one on.
type batch struct {
	part    *part
	builder *Builder
	from    int
	free    chan *Builder // takes the builder back when it is encoded; nil: it is the source's
	header  Header
}

// sealJob appends one seal to many partitions.
type sealJob struct{ seals []sealRecord }

type sealRecord struct {
	part   *part
	header Header
	seal   Seal
	json   []byte
}

// barrier is closed when everything before it has been encoded.
type barrier chan struct{}

func (b barrier) do(context.Context, *Writer) error {
	close(b)
	return nil
}

// encode is the encoder: it does the jobs, one after the other.
func (w *Writer) encode(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case j := <-w.jobs:
			if err := j.do(ctx, w); err != nil {
				return err
			}
		}
	}
}

// encoded waits until the encoder has done everything so far.
func (w *Writer) encoded(ctx context.Context) error {
	b := make(barrier)
	if err := w.enqueue(ctx, b); err != nil {
		return err
	}
	return w.await(ctx, b)
}

func (j *sealJob) do(ctx context.Context, w *Writer) error {
	for i := range j.seals {
		s := &j.seals[i]
		w.produce(ctx, s.part, AppendRecord(nil, &s.header, s.json), nil)
	}
	return nil
}

func (j *batchJob) do(ctx context.Context, w *Writer) error {
	defer j.span.End()
	headers := traceHeaders(j.ctx)
	for i := range j.batches {
		b := &j.batches[i]
		if err := w.appendBatch(ctx, b, headers); err != nil {
			j.span.SetStatus(codes.Error, "appending")
			return err
		}
		if b.free != nil {
			b.builder.Reset()
			select {
			case b.free <- b.builder:
			default:
			}
		}
	}
	return nil
}

// appendBatch encodes the rows into as many records as the record limit asks for.
func (w *Writer) appendBatch(ctx context.Context, b *batch, headers []kgo.RecordHeader) error {
	rec := b.builder.Record()
	defer rec.Release()
	rows := b.builder.Rows()
	// Aim at batches of the usual size: Arrow's encoding is about as large as the buffers are.
	per := rows
	if size := b.builder.Size(); size > w.cfg.FlushBytes*5/4 {
		per = max(1, rows*w.cfg.FlushBytes/size)
	}
	for from := b.from; from < rows; {
		n := min(per, rows-from)
		h := b.header
		h.Rows, h.Seq, h.Ordinal = int64(n), b.header.Seq+int64(from-b.from), b.header.Ordinal
		if h.Flags&FlagLoad == 0 {
			h.Ordinal += int64(from - b.from)
		}
		if from+n < rows {
			h.Flags |= FlagInside // the position is that of a later row
		}
		value, payload, err := encodeRecord(&h, rec, from, from+n)
		if err != nil {
			return fmt.Errorf("encoding %d rows of topic %s: %w", n, b.part.topic, err)
		}
		switch {
		case payload <= w.cfg.maxPayload:
			w.produce(ctx, b.part, value, headers)
		case n > 1:
			releaseValue(value)
			per = max(1, n/2)
			continue
		default:
			claim, err := w.claimCheck(ctx, b.part, &h, value[len(value)-payload:])
			releaseValue(value)
			if err != nil {
				return err
			}
			w.produce(ctx, b.part, claim, headers)
		}
		from += n
	}
	return nil
}

// encodeRecord makes the record of rows [from, to) and says how long its payload is.
func encodeRecord(h *Header, rec arrow.RecordBatch, from, to int) ([]byte, int, error) {
	if from > 0 || to < int(rec.NumRows()) {
		rec = rec.NewSlice(int64(from), int64(to))
		defer rec.Release()
	}
	value := AppendRecord(takeValue(), h, nil)
	start := len(value)
	value, err := EncodeBatch(value, rec)
	if err != nil {
		return nil, 0, err
	}
	binary.BigEndian.PutUint32(value[4:], crc32.Checksum(value[8:], castagnoli))
	return value, len(value) - start, nil
}

// claimCheck puts a payload into the object store, before the record that names it.
func (w *Writer) claimCheck(ctx context.Context, p *part, h *Header, payload []byte) (value []byte, err error) {
	if w.cfg.Claims == nil {
		return nil, fmt.Errorf("a row of %d bytes in topic %s is over the record limit and no object store is configured for it: set store in tidemill.yaml", len(payload), p.topic)
	}
	f, err := os.CreateTemp(w.cfg.Dir, "claim-*")
	if err != nil {
		return nil, fmt.Errorf("writing a claim check: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.Write(payload)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("writing a claim check: %w", err)
	}
	// Epoch and seq together are used once: an epoch is one owner's, and a seq is appended once in it.
	key := fmt.Sprintf("claims/%s/%d/%d-%d.arrow", p.topic, p.n, h.Epoch, h.Seq)
	if err := w.cfg.Claims.Put(ctx, key, f.Name()); err != nil {
		return nil, fmt.Errorf("storing a claim check: %w", err)
	}
	sum := sha256.Sum256(payload)
	text, err := json.Marshal(Claim{Key: key, SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(payload))})
	if err != nil {
		return nil, fmt.Errorf("writing a claim check: %w", err)
	}
	h.Flags |= FlagClaim
	return AppendRecord(nil, h, text), nil
}

// produce appends a record of a partition. Its value is the log's until it is acknowledged.
func (w *Writer) produce(ctx context.Context, p *part, value []byte, headers []kgo.RecordHeader) {
	s := &sent{}
	p.last = s
	w.m.bytes.Add(ctx, int64(len(value)), w.m.source)
	w.env.append(ctx, entry{topic: p.topic, partition: p.n, value: value, headers: headers}, func(offset int64, err error) {
		if err != nil {
			w.fail(fmt.Errorf("appending to partition %d of topic %s: %w", p.n, p.topic, err))
			return
		}
		releaseValue(value)
		s.next.Store(offset + 1)
		select {
		case w.poke <- struct{}{}:
		default:
		}
	})
}

func traceHeaders(ctx context.Context) []kgo.RecordHeader {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return nil
	}
	c := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, c)
	return []kgo.RecordHeader{{Key: "traceparent", Value: []byte(c["traceparent"])}}
}

// values recycles the memory of records: each is about FlushBytes and lives until it is acknowledged.
var values = sync.Pool{New: func() any { return new([]byte) }}

func takeValue() []byte { return (*values.Get().(*[]byte))[:0] }

func releaseValue(b []byte) {
	if cap(b) >= 4<<10 && cap(b) <= 2<<20 {
		values.Put(&b)
	}
}
