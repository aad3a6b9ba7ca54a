package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/parquet"
	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// The binary format of COPY.
var (
	copyHeader  = []byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	copyTrailer = []byte{0xff, 0xff}
)

// chunkBytes is what is encoded before it is handed to the connection.
const chunkBytes = 1 << 20

// encoder turns batches of a table's parts into COPY data. It counts what it sees (invariant 3).
type encoder struct {
	load   *window.TableLoad
	key    []int
	withOp bool // the operation is a column of what is copied
	counts ledger.Counts
	buf    []byte
}

func newEncoder(t *window.TableLoad, withOp bool) *encoder {
	s := ingest.Schema{Columns: t.Columns, Key: t.Key}
	return &encoder{load: t, key: s.KeyColumns(), withOp: withOp, buf: make([]byte, 0, chunkBytes+64<<10)}
}

// copyFrom streams the parts to the server: one goroutine reads and encodes, this one sends.
func copyFrom(ctx context.Context, conn *pgconn.PgConn, sql string, e *encoder, files []string) error {
	pr, pw := io.Pipe()
	encoded := make(chan error, 1)
	go func() {
		err := e.stream(ctx, pw, files)
		pw.CloseWithError(err)
		encoded <- err
	}()
	tag, err := conn.CopyFrom(ctx, pr, sql)
	pr.Close() // ends the goroutine when the server refused before the last row
	if own := <-encoded; own != nil && !errors.Is(own, io.ErrClosedPipe) {
		return own // the cause; the server's error is the echo of it
	}
	if err != nil {
		return err
	}
	if n := e.counts.Upserts + e.counts.Deletes; tag.RowsAffected() != n {
		return fmt.Errorf("copying into %s: the server took %d rows of %d", e.load.Table, tag.RowsAffected(), n)
	}
	return nil
}

func (e *encoder) stream(ctx context.Context, w io.Writer, files []string) error {
	e.buf = append(e.buf[:0], copyHeader...)
	schema := parquet.Schema{Columns: e.load.Columns, Op: true}
	for _, f := range files {
		if err := parquet.Read(ctx, f, schema, func(b arrow.RecordBatch) error { return e.batch(w, b) }); err != nil {
			return err
		}
	}
	e.buf = append(e.buf, copyTrailer...)
	_, err := w.Write(e.buf)
	return err
}

// batch encodes row by row: that is the format. The types are resolved once per batch, into one function per column.
func (e *encoder) batch(w io.Writer, b arrow.RecordBatch) error {
	cols := make([]fieldFunc, len(e.load.Columns))
	for i, c := range e.load.Columns {
		f, err := e.field(c, b.Column(i))
		if err != nil {
			return err
		}
		cols[i] = f
	}
	for _, k := range e.key {
		e.counts.NullKeys += int64(b.Column(k).NullN())
	}
	ops := b.Column(len(cols)).(*array.Int32).Int32Values()
	fields := uint16(len(cols))
	if e.withOp {
		fields++
	}
	for row := range int(b.NumRows()) {
		e.buf = binary.BigEndian.AppendUint16(e.buf, fields)
		var err error
		for i, f := range cols {
			if e.buf, err = f(e.buf, row); err != nil {
				return fmt.Errorf("column %s: %w", e.load.Columns[i].Name, err)
			}
		}
		if err := e.op(ops[row]); err != nil {
			return err
		}
		if len(e.buf) >= chunkBytes {
			if _, err := w.Write(e.buf); err != nil {
				return err
			}
			e.buf = e.buf[:0]
		}
	}
	return nil
}

func (e *encoder) op(op int32) error {
	switch ingest.Op(op) {
	case ingest.Upsert:
		e.counts.Upserts++
	case ingest.Delete:
		e.counts.Deletes++
	default:
		return fmt.Errorf("column %s: %d is no operation", ingest.OpColumn, op)
	}
	if e.withOp {
		e.buf = append(e.buf, 0, 0, 0, 2, 0, byte(op))
	}
	return nil
}

// fieldFunc appends the field of a row: its length, then its value; length -1 is NULL.
type fieldFunc func(buf []byte, row int) ([]byte, error)

var null = []byte{0xff, 0xff, 0xff, 0xff}

// field is a switch over the kinds, one case each.
func (e *encoder) field(c ingest.Column, a arrow.Array) (fieldFunc, error) {
	var f fieldFunc
	switch c.Type.Kind {
	case ingest.Bool:
		v := a.(*array.Boolean)
		f = func(b []byte, i int) ([]byte, error) {
			if v.Value(i) {
				return append(b, 0, 0, 0, 1, 1), nil
			}
			return append(b, 0, 0, 0, 1, 0), nil
		}
	case ingest.Int16:
		v := a.(*array.Int16).Int16Values()
		f = func(b []byte, i int) ([]byte, error) { return append(b, 0, 0, 0, 2, byte(v[i]>>8), byte(v[i])), nil }
	case ingest.Int32:
		v := a.(*array.Int32).Int32Values()
		f = func(b []byte, i int) ([]byte, error) { return fixed4(b, uint32(v[i])), nil }
	case ingest.Int64:
		v := a.(*array.Int64).Int64Values()
		f = func(b []byte, i int) ([]byte, error) { return fixed8(b, uint64(v[i])), nil }
	case ingest.Float32:
		v := a.(*array.Float32).Float32Values()
		f = func(b []byte, i int) ([]byte, error) { return fixed4(b, math.Float32bits(v[i])), nil }
	case ingest.Float64:
		v := a.(*array.Float64).Float64Values()
		f = func(b []byte, i int) ([]byte, error) { return fixed8(b, math.Float64bits(v[i])), nil }
	case ingest.Decimal:
		v := a.(*array.Decimal128).Values()
		scale := int(c.Type.Scale)
		f = func(b []byte, i int) ([]byte, error) {
			return appendNumeric(b, v[i].HighBits(), v[i].LowBits(), scale), nil
		}
	case ingest.Text, ingest.JSON:
		v := a.(*array.String)
		f = func(b []byte, i int) ([]byte, error) {
			b = binary.BigEndian.AppendUint32(b, uint32(v.ValueLen(i)))
			return append(b, v.Value(i)...), nil
		}
	case ingest.Bytes:
		v := a.(*array.Binary)
		f = func(b []byte, i int) ([]byte, error) {
			b = binary.BigEndian.AppendUint32(b, uint32(v.ValueLen(i)))
			return append(b, v.Value(i)...), nil
		}
	case ingest.Date:
		v := a.(*array.Date32).Date32Values()
		f = func(b []byte, i int) ([]byte, error) { return appendDate(b, int32(v[i])) }
	case ingest.Timestamp, ingest.TimestampTZ:
		v := a.(*array.Timestamp).TimestampValues()
		f = func(b []byte, i int) ([]byte, error) { return appendTimestamp(b, int64(v[i])) }
	default:
		return nil, fmt.Errorf("column %s: no encoding for %s", c.Name, c.Type.Kind)
	}
	if a.NullN() == 0 {
		return f, nil
	}
	return func(b []byte, i int) ([]byte, error) {
		if a.IsNull(i) {
			return append(b, null...), nil
		}
		return f(b, i)
	}, nil
}

func fixed4(b []byte, v uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0, 0, 0, 4), v)
}

func fixed8(b []byte, v uint64) []byte {
	return binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 8), v)
}

// PostgreSQL counts from 2000-01-01.
const (
	epochDays   = 10957
	epochMicros = epochDays * 86400 * 1e6
)

// The calendar of PostgreSQL, in its own counting: 4714-11-24 BC up to 5874897-12-31 for dates and 294276-12-31 for
// timestamps. Values outside are infinity or refused.
const (
	minDate, maxDate           = -2451545, 2145031948
	minTimestamp, endTimestamp = -211813488000000000, 9223371331200000000
)

func appendDate(b []byte, days int32) ([]byte, error) {
	v := int64(days) - epochDays
	if v < minDate || v > maxDate {
		return b, rangeError("date")
	}
	return fixed4(b, uint32(int32(v))), nil
}

func appendTimestamp(b []byte, micros int64) ([]byte, error) {
	v := micros - epochMicros
	if v > micros || v < minTimestamp || v >= endTimestamp {
		return b, rangeError("timestamp")
	}
	return fixed8(b, uint64(v)), nil
}

// rangeError names the kind of a value outside of PostgreSQL's calendar, not the value.
func rangeError(kind string) error {
	return &window.RefusedError{What: "a " + kind + " is outside of PostgreSQL's calendar", Hint: "turn it into NULL or text in the view"}
}
