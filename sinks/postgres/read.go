package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/window"
)

// batchRows is the number of rows of a batch that is handed out.
const batchRows = 16 << 10

// ReadTable reads the named columns as of one snapshot: that of its one statement.
func (s *Sink) ReadTable(ctx context.Context, t window.WarehouseTable, columns []ingest.Column, fn func(arrow.RecordBatch) error) error {
	err := s.inTx(ctx, func(tx pgx.Tx) error {
		have, err := describe(ctx, tx, t)
		if err != nil {
			return err
		}
		if have == nil {
			return &window.RefusedError{What: fmt.Sprintf("there is no table %s", t), Hint: "publish it first"}
		}
		list, err := selectList(t, have, columns)
		if err != nil {
			return err
		}
		formats := make(pgx.QueryResultFormats, len(columns))
		for i := range formats {
			formats[i] = pgx.BinaryFormatCode
		}
		return stream(ctx, tx, "SELECT "+list+" FROM "+ident(t.Schema, t.Name), formats, columns, fn)
	})
	if err != nil {
		return fmt.Errorf("reading table %s: %w", t, err)
	}
	return nil
}

// selectList casts each column to the type of its kind, refusing a cast that may change a value without an error.
func selectList(t window.WarehouseTable, have *table, columns []ingest.Column) (string, error) {
	out := make([]string, len(columns))
	for i, c := range columns {
		want := columnType(c.Type)
		h, there := have.column(c.Name)
		if !there {
			return "", &window.NoColumnError{Table: t, Column: c.Name}
		}
		_, hs, hnum := numeric(h.typ)
		_, ws, wnum := numeric(want)
		fit := compare(h.typ, want)
		rounds := h.typ == "double precision" || h.typ == "numeric" || hnum && (!wnum || hs > ws) // on the way to a narrower type
		if fit == mismatch || fit == holds && rounds {
			return "", &window.RefusedError{What: fmt.Sprintf("the column %s of %s is %s, want %s", c.Name, t, h.typ, want), Hint: "ALTER it to that type"}
		}
		out[i] = ident(c.Name)
		if fit != same {
			out[i] += "::" + want
		}
	}
	return strings.Join(out, ", "), nil
}

// stream runs a query and hands its rows out as batches of the columns.
func stream(ctx context.Context, tx pgx.Tx, sql string, formats pgx.QueryResultFormats, columns []ingest.Column, fn func(arrow.RecordBatch) error) error {
	return streamOps(ctx, tx, sql, formats, columns, func(rec arrow.RecordBatch) error { return withoutOp(rec, fn) })
}

// streamOps hands out batches as the log has them: the operation, an upsert, follows the columns.
func streamOps(ctx context.Context, tx pgx.Tx, sql string, formats pgx.QueryResultFormats, columns []ingest.Column, fn func(arrow.RecordBatch) error) error {
	rows, err := tx.Query(ctx, sql, formats)
	if err != nil {
		return err
	}
	defer rows.Close()
	schema := &ingest.Schema{Columns: columns}
	b := ingest.NewBuilder(schema)
	sent := 0
	for rows.Next() {
		for i, raw := range rows.RawValues() {
			c := &b.Cols[i]
			if raw == nil {
				c.Null()
			} else if err := decode(c, raw); err != nil {
				return fmt.Errorf("column %s: %w", columns[i].Name, err)
			}
		}
		b.End(ingest.Upsert)
		if b.Rows() == batchRows {
			if err := emit(b, fn); err != nil {
				return err
			}
			sent++
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if b.Rows() > 0 || sent == 0 { // an empty result still shows its columns
		return emit(b, fn)
	}
	return nil
}

// emit hands out what the builder holds.
func emit(b *ingest.Builder, fn func(arrow.RecordBatch) error) error {
	rec := b.Record()
	defer rec.Release()
	err := fn(rec)
	b.Reset()
	return err
}

// withoutOp hands a batch on without the operation column of the log.
func withoutOp(rec arrow.RecordBatch, fn func(arrow.RecordBatch) error) error {
	n := int(rec.NumCols()) - 1
	out := array.NewRecordBatch(arrow.NewSchema(rec.Schema().Fields()[:n], nil), rec.Columns()[:n], rec.NumRows())
	defer out.Release()
	return fn(out)
}

var errWire = errors.New("the server sent a field of the wrong length")

// decode appends a binary field; for Text and JSON any text will do.
func decode(c *ingest.ColumnBuilder, raw []byte) error {
	t := c.Type()
	if w, ok := widths[t.Kind]; ok && len(raw) != w {
		return errWire
	}
	switch t.Kind {
	case ingest.Bool:
		c.Bool(raw[0] != 0)
	case ingest.Int16:
		c.Int16(int16(binary.BigEndian.Uint16(raw)))
	case ingest.Int32:
		c.Int32(int32(binary.BigEndian.Uint32(raw)))
	case ingest.Int64:
		c.Int64(int64(binary.BigEndian.Uint64(raw)))
	case ingest.Float32:
		c.Float32(math.Float32frombits(binary.BigEndian.Uint32(raw)))
	case ingest.Float64:
		c.Float64(math.Float64frombits(binary.BigEndian.Uint64(raw)))
	case ingest.Decimal:
		hi, lo, err := parseNumeric(raw, int(t.Scale))
		if err != nil {
			return err
		}
		c.Decimal(hi, lo)
	case ingest.Date:
		v := int64(int32(binary.BigEndian.Uint32(raw)))
		if v < minDate || v > maxDate {
			return errors.New("an infinite date has no counterpart")
		}
		c.Int32(int32(v + epochDays))
	case ingest.Timestamp, ingest.TimestampTZ:
		v := int64(binary.BigEndian.Uint64(raw))
		if v < minTimestamp || v >= endTimestamp {
			return errors.New("an infinite timestamp has no counterpart")
		}
		if v > math.MaxInt64-int64(epochMicros) {
			return errors.New("a timestamp is outside of the range of microseconds since 1970")
		}
		c.Int64(v + epochMicros)
	default:
		c.Bytes(raw)
	}
	return nil
}

var widths = map[ingest.Kind]int{
	ingest.Bool: 1, ingest.Int16: 2, ingest.Int32: 4, ingest.Int64: 8, ingest.Float32: 4, ingest.Float64: 8,
	ingest.Date: 4, ingest.Timestamp: 8, ingest.TimestampTZ: 8,
}

// queryTimeout is the server's limit of a user's query; the caller's context may be shorter.
const queryTimeout = 5 * time.Minute

// errNotSelect is the refusal of anything that is not one statement that only reads.
var errNotSelect = &window.RefusedError{What: "only one SELECT (or EXPLAIN, SHOW) is answered", Hint: "remove other statements"}

// Query answers one read-only statement (invariant 6).
func (s *Sink) Query(ctx context.Context, sql string, fn func(arrow.RecordBatch) error) error {
	// A connection of its own: what a query can change in its session (settings, advisory locks) ends with it.
	conn, err := pgx.ConnectConfig(ctx, s.config.ConnConfig)
	if err != nil {
		return fmt.Errorf("connecting to PostgreSQL: %w", classify(err))
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return fmt.Errorf("beginning a query: %w", classify(err))
	}
	if err := query(ctx, tx, sql, fn); err != nil {
		return fmt.Errorf("running the query: %w", classify(err))
	}
	return nil // closing the connection ends the transaction
}

func query(ctx context.Context, tx pgx.Tx, sql string, fn func(arrow.RecordBatch) error) error {
	if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL statement_timeout = %d", queryTimeout.Milliseconds())); err != nil {
		return err
	}
	// Preparing refuses several statements, and tells whether rows come back: DDL, DML, COPY and transaction control have
	// none. What has rows and still writes (INSERT ... RETURNING, EXPLAIN ANALYZE DELETE) is refused by the transaction.
	const name = "tidemill_query"
	d, err := tx.Prepare(ctx, name, sql)
	if err != nil {
		return err
	}
	if len(d.Fields) == 0 || len(d.ParamOIDs) > 0 {
		return errNotSelect
	}
	columns := make([]ingest.Column, len(d.Fields))
	formats := make(pgx.QueryResultFormats, len(d.Fields))
	for i, f := range d.Fields {
		columns[i].Name, columns[i].Nullable = f.Name, true
		columns[i].Type, formats[i] = resultType(f.DataTypeOID, f.TypeModifier)
	}
	return stream(ctx, tx, name, formats, columns, fn)
}

// resultType is the kind of a result column: binary where a kind holds every value of the type, else the server's text.
func resultType(oid uint32, modifier int32) (ingest.Type, int16) {
	kinds := map[uint32]ingest.Kind{
		pgtype.BoolOID: ingest.Bool, pgtype.Int2OID: ingest.Int16, pgtype.Int4OID: ingest.Int32, pgtype.Int8OID: ingest.Int64,
		pgtype.Float4OID: ingest.Float32, pgtype.Float8OID: ingest.Float64, pgtype.TextOID: ingest.Text, pgtype.VarcharOID: ingest.Text,
		pgtype.BPCharOID: ingest.Text, pgtype.NameOID: ingest.Text, pgtype.ByteaOID: ingest.Bytes, pgtype.JSONOID: ingest.JSON,
		pgtype.DateOID: ingest.Date, pgtype.TimestampOID: ingest.Timestamp, pgtype.TimestamptzOID: ingest.TimestampTZ,
	}
	if k, ok := kinds[oid]; ok {
		return ingest.Type{Kind: k}, pgx.BinaryFormatCode
	}
	if m := modifier - 4; oid == pgtype.NumericOID && m >= 0 {
		p, s := m>>16, m&0xffff
		if p <= 38 && s <= p { // not a negative scale either
			return ingest.Type{Kind: ingest.Decimal, Precision: p, Scale: s}, pgx.BinaryFormatCode
		}
	}
	if oid == pgtype.JSONBOID {
		return ingest.Type{Kind: ingest.JSON}, pgx.TextFormatCode
	}
	return ingest.Type{Kind: ingest.Text}, pgx.TextFormatCode
}
