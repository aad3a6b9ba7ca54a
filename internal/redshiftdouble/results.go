package redshiftdouble

import (
	"bytes"
	"context"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Type numbers that only Redshift has.
const (
	superOID   = 4000
	varbyteOID = 6551
)

const (
	numericOID = 1700
	textOID    = 25
	varcharOID = 1043
)

// flushAt is how many bytes of rows are collected before they are sent.
const flushAt = 64 << 10

// column says how the values of a result column are changed on their way to the client.
type column struct {
	super, varbyte, numeric bool
}

func (s *session) columnOf(f pgconn.FieldDescription, format int16) column {
	return column{super: f.DataTypeOID == s.server.admin.super, varbyte: f.DataTypeOID == s.server.admin.varbyte,
		numeric: f.DataTypeOID == numericOID && format == 1}
}

// asText reports whether PostgreSQL must send the column as text for us to change it.
func (c column) asText() bool { return c.super || c.varbyte || c.numeric }

// forward runs one statement on PostgreSQL by the simple protocol and passes the result on.
func (s *session) forward(ctx context.Context, sql string) (tag string, err error) {
	results := s.backend.Exec(ctx, sql)
	for results.NextResult() {
		r := results.ResultReader()
		if fields := r.FieldDescriptions(); len(fields) > 0 {
			s.wire.Send(s.rowDescription(fields, nil))
		}
		if tag, err = s.forwardRows(r, nil); err != nil {
			break
		}
	}
	if closed := results.Close(); err == nil {
		err = closed
	}
	return tag, err
}

// forwardRows sends the rows of a result and returns its command tag.
func (s *session) forwardRows(r *pgconn.ResultReader, formats []int16) (string, error) {
	fields := r.FieldDescriptions()
	columns := make([]column, len(fields))
	for i, f := range fields {
		columns[i] = s.columnOf(f, formatAt(formats, i))
	}
	row := make([][]byte, len(fields))
	sent := 0
	for r.NextRow() {
		for i, v := range r.Values() {
			row[i] = s.change(columns[i], v)
			sent += len(row[i])
		}
		s.wire.Send(&pgproto3.DataRow{Values: row})
		if sent > flushAt {
			sent = 0
			if err := s.wire.Flush(); err != nil {
				_, _ = r.Close() // the client is gone; that is the error
				return "", err
			}
		}
	}
	tag, err := r.Close()
	return tag.String(), err
}

func (s *session) change(c column, v []byte) []byte {
	switch {
	case v == nil:
		return nil
	case c.super:
		return superText(v)
	case c.varbyte:
		return bytes.TrimPrefix(v, []byte(`\x`))
	case c.numeric:
		return binaryNumeric(v, s.server.faults.flipped())
	}
	return v
}

func formatAt(formats []int16, i int) int16 {
	switch len(formats) {
	case 0:
		return 0
	case 1:
		return formats[0]
	}
	if i < len(formats) {
		return formats[i]
	}
	return 0
}

func (s *session) rowDescription(fields []pgconn.FieldDescription, formats []int16) *pgproto3.RowDescription {
	out := &pgproto3.RowDescription{Fields: make([]pgproto3.FieldDescription, len(fields))}
	for i, f := range fields {
		d := pgproto3.FieldDescription{
			Name: []byte(s.server.names.original(f.Name)), DataTypeOID: s.oid(f.DataTypeOID), DataTypeSize: f.DataTypeSize,
			TypeModifier: f.TypeModifier, Format: formatAt(formats, i),
		}
		if c := s.columnOf(f, d.Format); c.super || c.varbyte {
			d.Format = 0
		}
		out.Fields[i] = d
	}
	return out
}

// oid is the type number that the client is told.
func (s *session) oid(o uint32) uint32 {
	switch o {
	case s.server.admin.super:
		return superOID
	case s.server.admin.varbyte:
		return varbyteOID
	case textOID:
		return varcharOID
	}
	return o
}
