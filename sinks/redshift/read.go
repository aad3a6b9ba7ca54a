package redshift

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/rslint"
	"github.com/tidemill/tidemill/window"
)

// batchRows is the number of rows of a batch that is handed out.
const batchRows = 16 << 10

// ReadTable reads the named columns as of one snapshot: that of its one statement.
func (s *Sink) ReadTable(ctx context.Context, t window.WarehouseTable, columns []ingest.Column, fn func(arrow.RecordBatch) error) error {
	err := s.session(ctx, func(c *session) error {
		have, err := s.describe(ctx, c, t)
		if err != nil && !missing(err) {
			return classify(err)
		}
		if have == nil || have.columns == nil {
			return &window.RefusedError{What: fmt.Sprintf("there is no table %s", t), Hint: "publish it first"}
		}
		types, err := s.readable(t, have, columns)
		if err != nil {
			return err
		}
		return stream(ctx, c, readSQL(t, columns, types), columns, fn)
	})
	if err != nil {
		return fmt.Errorf("reading table %s: %w", t, err)
	}
	return nil
}

// readable refuses a column whose values would change on their way into the wanted type.
func (s *Sink) readable(t window.WarehouseTable, have *shape, columns []ingest.Column) (map[string]colType, error) {
	types := map[string]colType{}
	for _, c := range columns {
		h, there := have.column(c.Name)
		if !there {
			return nil, &window.NoColumnError{Table: t, Column: c.Name}
		}
		types[h.name] = h.typ
		want := wantType(c.Type, h.typ.length, false)
		text := isText(c.Type) && (h.typ.name == varchar || h.typ.name == super)
		if fit := compare(h.typ, want); !text && fit != same && fit != convert && !narrower(h.typ, want) {
			return nil, &window.RefusedError{What: fmt.Sprintf("the column %s of %s is %s, want %s", c.Name, t, h.typ, want), Hint: "rebuild the table"}
		}
	}
	return types, nil
}

// narrower reports whether values of the wider type are read into a narrower one exactly or not at all: the parser refuses
// what does not fit.
func narrower(have, want colType) bool {
	whole := map[string]bool{"smallint": true, "integer": true, "bigint": true}
	return whole[have.name] && whole[want.name] || have.name == "numeric" && (want.name == "numeric" && have.scale <= want.scale || whole[want.name] && have.scale == 0)
}

// stream runs a query and hands its rows out as batches of the columns. All values come as text.
func stream(ctx context.Context, c *session, sql string, columns []ingest.Column, fn func(arrow.RecordBatch) error) error {
	rows, err := c.conn.Query(ctx, sql)
	if err != nil {
		return classify(err)
	}
	defer rows.Close()
	return collect(rows, columns, fn)
}

func collect(rows pgx.Rows, columns []ingest.Column, fn func(arrow.RecordBatch) error) error {
	b := ingest.NewBuilder(&ingest.Schema{Columns: columns})
	sent := 0
	for rows.Next() {
		for i, raw := range rows.RawValues() {
			if raw == nil {
				b.Cols[i].Null()
			} else if err := decode(&b.Cols[i], string(raw)); err != nil {
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
		return classify(err)
	}
	if b.Rows() > 0 || sent == 0 { // an empty result still shows its columns
		return emit(b, fn)
	}
	return nil
}

// emit hands out what the builder holds, without the operation column of the log.
func emit(b *ingest.Builder, fn func(arrow.RecordBatch) error) error {
	rec := b.Record()
	defer rec.Release()
	n := len(b.Cols)
	out := array.NewRecordBatch(arrow.NewSchema(rec.Schema().Fields()[:n], nil), rec.Columns()[:n], rec.NumRows())
	defer out.Release()
	err := fn(out)
	b.Reset()
	return err
}

var errText = errors.New("the server sent a value that is not of the column's type")

// decode appends a value that came as text. It is a switch over the kinds.
func decode(c *ingest.ColumnBuilder, s string) error {
	integer := func(bits int) (int64, error) {
		v, err := strconv.ParseInt(s, 10, bits)
		if err != nil {
			return 0, errText // the parser's error quotes the value
		}
		return v, nil
	}
	switch t := c.Type(); t.Kind {
	case ingest.Bool:
		c.Bool(s == "t" || s == "true")
	case ingest.Int16:
		v, err := integer(16)
		c.Int16(int16(v))
		return err
	case ingest.Int32:
		v, err := integer(32)
		c.Int32(int32(v))
		return err
	case ingest.Int64:
		v, err := integer(64)
		c.Int64(v)
		return err
	case ingest.Float32, ingest.Float64:
		return decodeFloat(c, s)
	case ingest.Decimal:
		return decodeDecimal(c, s, int(t.Scale))
	case ingest.Bytes:
		v, err := hex.DecodeString(strings.TrimPrefix(s, `\x`))
		if err != nil {
			return errText
		}
		c.Bytes(v)
	case ingest.Date:
		day, rest, err := parseDay(s)
		if err != nil || rest != "" {
			return errText
		}
		c.Int32(int32(day))
	case ingest.Timestamp, ingest.TimestampTZ:
		v, err := parseInstant(s)
		c.Int64(v)
		return err
	default:
		c.Bytes([]byte(s))
	}
	return nil
}

func decodeFloat(c *ingest.ColumnBuilder, s string) error {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return errText
	}
	if c.Type().Kind == ingest.Float32 {
		c.Float32(float32(v))
	} else {
		c.Float64(v)
	}
	return nil
}

// decodeDecimal reads digits with at most scale of them behind the point.
func decodeDecimal(c *ingest.ColumnBuilder, s string, scale int) error {
	whole, fraction, _ := strings.Cut(s, ".")
	for len(fraction) > scale && strings.HasSuffix(fraction, "0") {
		fraction = fraction[:len(fraction)-1]
	}
	v, ok := new(big.Int).SetString(whole+fraction+strings.Repeat("0", max(0, scale-len(fraction))), 10)
	if !ok || len(fraction) > scale || v.BitLen() > 127 {
		return errText
	}
	d := decimal128.FromBigInt(v)
	c.Decimal(d.HighBits(), d.LowBits())
	return nil
}

// parseDay reads 2026-01-05, with as many digits of the year as it has, before what is left; " BC" may end the whole.
func parseDay(s string) (days int64, rest string, err error) {
	s, bc := strings.CutSuffix(s, " BC")
	var y, m, d int
	date, rest, _ := strings.Cut(s, " ")
	if n, err := fmt.Sscanf(date, "%d-%d-%d", &y, &m, &d); n != 3 || err != nil {
		return 0, "", errText
	}
	if bc {
		y = 1 - y
	}
	return time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC).Unix() / 86400, rest, nil
}

// parseInstant reads a timestamp, with or without the offset of UTC, in microseconds.
func parseInstant(s string) (int64, error) {
	days, clock, err := parseDay(s)
	if err != nil {
		return 0, err
	}
	clock = strings.TrimSuffix(clock, "+00")
	at, err := time.Parse("15:04:05.999999", clock)
	if err != nil {
		return 0, errText
	}
	return days*86400*1e6 + int64(at.Hour()*3600+at.Minute()*60+at.Second())*1e6 + int64(at.Nanosecond()/1000), nil
}

var errNotSelect = &window.RefusedError{What: "only one SELECT (or EXPLAIN, SHOW) is answered", Hint: "remove other statements"}

// Query answers one read-only statement. Redshift does not keep a READ ONLY transaction from writing, so the grammar decides
// what is a SELECT; the transaction is rolled back all the same.
func (s *Sink) Query(ctx context.Context, sql string, fn func(arrow.RecordBatch) error) error {
	if err := readsOnly(sql); err != nil {
		return err
	}
	return s.session(ctx, func(c *session) error {
		if _, err := c.Exec(ctx, "BEGIN READ ONLY"); err != nil {
			return fmt.Errorf("beginning a query: %w", classify(err))
		}
		if _, err := c.Exec(ctx, fmt.Sprintf("SET LOCAL statement_timeout TO %d", queryTimeout.Milliseconds())); err != nil {
			return fmt.Errorf("beginning a query: %w", classify(err))
		}
		if err := c.query(ctx, strings.TrimRight(strings.TrimSpace(sql), ";"), fn); err != nil {
			return fmt.Errorf("running the query: %w", classify(err))
		}
		_, err := c.Exec(ctx, "ROLLBACK")
		return classify(err)
	})
}

// queryTimeout is the server's limit of a user's query; the caller's context may be shorter.
const queryTimeout = 5 * time.Minute

// acting are functions that do something in a SELECT: the daemon's own sessions have the same user.
var acting = regexp.MustCompile(`(?i)\b(pg_terminate_backend|pg_cancel_backend|set_config)\b`)

// readsOnly refuses what is not one SELECT, EXPLAIN or SHOW.
func readsOnly(sql string) error {
	kind := rslint.Kind(sql)
	if kind != "select" && kind != "explain" && kind != "show" || acting.MatchString(sql) {
		return errNotSelect
	}
	for _, f := range rslint.Check(sql, rslint.Options{}) {
		if !f.Warning {
			return &window.RefusedError{What: "Redshift does not answer that: " + f.What, Hint: f.Remedy}
		}
	}
	return nil
}

func (c *session) query(ctx context.Context, sql string, fn func(arrow.RecordBatch) error) error {
	rows, err := c.conn.Query(ctx, sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	var columns []ingest.Column
	for _, f := range rows.FieldDescriptions() {
		columns = append(columns, ingest.Column{Name: f.Name, Nullable: true, Type: resultType(f.DataTypeOID, f.TypeModifier)})
	}
	if len(columns) == 0 {
		if rows.Close(); rows.Err() != nil {
			return rows.Err()
		}
		return errNotSelect
	}
	return collect(rows, columns, fn)
}

// varbyteOID is Redshift's own.
const varbyteOID = 6551

// resultType is the kind of a result column; what has none is text.
func resultType(oid uint32, modifier int32) ingest.Type {
	kinds := map[uint32]ingest.Kind{
		pgtype.BoolOID: ingest.Bool, pgtype.Int2OID: ingest.Int16, pgtype.Int4OID: ingest.Int32, pgtype.Int8OID: ingest.Int64, pgtype.Float4OID: ingest.Float32,
		pgtype.Float8OID: ingest.Float64, pgtype.DateOID: ingest.Date, pgtype.TimestampOID: ingest.Timestamp, pgtype.TimestamptzOID: ingest.TimestampTZ, varbyteOID: ingest.Bytes,
	}
	if k, ok := kinds[oid]; ok {
		return ingest.Type{Kind: k}
	}
	if m := modifier - 4; oid == pgtype.NumericOID && m >= 0 && m>>16 <= 38 && m&0xffff <= m>>16 {
		return ingest.Type{Kind: ingest.Decimal, Precision: m >> 16, Scale: m & 0xffff}
	}
	return ingest.Type{Kind: ingest.Text}
}
