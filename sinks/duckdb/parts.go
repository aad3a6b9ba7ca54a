package duckdb

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/parquet"
	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// parts reads the parts of a table as one stream of batches, and counts what it sees (invariant 3). DuckDB pulls from a
// thread of its own, the files are read by a goroutine that Close ends.
type parts struct {
	load   *window.TableLoad
	key    []int
	schema *arrow.Schema
	withOp bool
	counts ledger.Counts
	order  order

	batches chan arrow.RecordBatch
	done    chan struct{} // the goroutine has ended and err is set
	err     error
	stop    context.CancelFunc
	now     arrow.RecordBatch
	refs    atomic.Int64
}

var _ array.RecordReader = (*parts)(nil)

// openParts starts reading. Without withOp the operation column is left out of the stream.
func openParts(ctx context.Context, t *window.TableLoad, files []string, withOp bool) *parts {
	ctx, stop := context.WithCancel(ctx)
	s := ingest.Schema{Columns: t.Columns, Key: t.Key}
	p := &parts{
		load: t, key: s.KeyColumns(), withOp: withOp,
		schema: parquet.Schema{Columns: t.Columns, Op: withOp}.Arrow(),
		// Two batches ahead keep DuckDB busy; more would only hold memory.
		batches: make(chan arrow.RecordBatch, 2), done: make(chan struct{}), stop: stop,
	}
	p.refs.Store(1)
	go func() {
		defer close(p.done)
		defer close(p.batches)
		for _, f := range files {
			if p.err = parquet.Read(ctx, f, parquet.Schema{Columns: t.Columns, Op: true}, func(b arrow.RecordBatch) error { return p.send(ctx, b) }); p.err != nil {
				return
			}
		}
	}()
	return p
}

// Close ends the reading and waits for its goroutine.
func (p *parts) Close() {
	p.stop()
	for b := range p.batches {
		b.Release()
	}
	<-p.done
	if p.now != nil {
		p.now.Release()
		p.now = nil
	}
}

func (p *parts) send(ctx context.Context, b arrow.RecordBatch) error {
	n := len(p.load.Columns)
	for _, k := range p.key {
		p.counts.NullKeys += int64(b.Column(k).NullN())
	}
	if len(p.key) == 1 {
		p.order.add(b.Column(p.key[0]))
	}
	for _, op := range b.Column(n).(*array.Int32).Int32Values() {
		switch ingest.Op(op) {
		case ingest.Upsert:
			p.counts.Upserts++
		case ingest.Delete:
			p.counts.Deletes++
		default:
			return fmt.Errorf("column %s: %d is no operation", ingest.OpColumn, op)
		}
	}
	cols := b.Columns()
	if !p.withOp {
		cols = cols[:n]
	}
	out := array.NewRecordBatch(p.schema, cols, b.NumRows()) // holds the columns beyond this call
	select {
	case p.batches <- out:
		return nil
	case <-ctx.Done():
		out.Release()
		return ctx.Err()
	}
}

// Next is part of array.RecordReader, as are the methods below.
func (p *parts) Next() bool {
	if p.now != nil {
		p.now.Release()
		p.now = nil
	}
	b, ok := <-p.batches
	if ok {
		p.now = b
	}
	return ok
}

func (p *parts) RecordBatch() arrow.RecordBatch { return p.now }
func (p *parts) Record() arrow.RecordBatch      { return p.now } //nolint:staticcheck // the interface still asks for it
func (p *parts) Schema() *arrow.Schema          { return p.schema }
func (p *parts) Retain()                        { p.refs.Add(1) }
func (p *parts) Release()                       { p.refs.Add(-1) } // Close is what frees

// Err is asked after Next has returned false, which is after the goroutine closed the channel.
func (p *parts) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// grows reports whether every key was greater than the one before, as far as that can be told. It is asked after Close.
func (p *parts) grows() bool { return p.order.known && !p.order.broken }

// order follows the values of a numeric column.
type order struct {
	last   decimal128.Num
	known  bool // last is a value
	broken bool
}

func (o *order) add(c arrow.Array) {
	o.broken = o.broken || c.NullN() > 0
	switch c := c.(type) {
	case *array.Int16:
		growing(o, c.Int16Values())
	case *array.Int32:
		growing(o, c.Int32Values())
	case *array.Int64:
		growing(o, c.Int64Values())
	case *array.Decimal128:
		for _, v := range c.Values() {
			o.next(v)
		}
	default:
		o.broken = true
	}
}

func growing[T int16 | int32 | int64](o *order, values []T) {
	for _, v := range values {
		o.next(decimal128.FromI64(int64(v)))
	}
}

func (o *order) next(v decimal128.Num) {
	o.broken = o.broken || o.known && !o.last.Less(v)
	o.last, o.known = v, true
}
