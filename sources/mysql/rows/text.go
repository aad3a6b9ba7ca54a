package rows

import (
	"fmt"
	"slices"

	"github.com/tidemill/tidemill/ingest"
)

// SessionStatement is what the session that runs a snapshot's SELECT executes first: instants in UTC, text in utf8mb4, CHAR
// without padding. TextPlan relies on it.
const SessionStatement = "SET SESSION time_zone = '+00:00', sql_mode = '', character_set_results = utf8mb4"

// TextPlan decodes the rows that a snapshot reads: text-protocol rows of SELECT <SelectList> FROM the table. It holds
// scratch buffers: one goroutine uses it.
//
// The text protocol is enough and cheaper than prepared statements: every type has an exact text or raw-byte form once
// the select list asks for it, and numbers as text cost less than the round trip and bitmap of the binary form save.
type TextPlan struct {
	table   ingest.TableName
	schema  *ingest.Schema
	cols    []column
	fields  []field
	key     []int // indexes into fields, in key order
	lastKey int
	spans   []span
	state   scratch
}

// NewTextPlan binds a table's catalogue to decoders. Its schema is SchemaFrom's.
func NewTextPlan(table ingest.TableName, c Catalogue) (*TextPlan, error) {
	cols, err := c.describe(table)
	if err != nil {
		return nil, err
	}
	s, err := schemaOf(table, cols, c.Key)
	if err != nil {
		return nil, err
	}
	p := &TextPlan{table: table, schema: s, cols: cols, key: s.KeyColumns(), fields: make([]field, len(cols)), spans: make([]span, len(s.Key))}
	for i := range cols {
		p.fields[i] = newField(&cols[i], 0, 0)
		p.fields[i].col = i
	}
	for i, k := range p.key {
		p.fields[k].key = i
	}
	p.lastKey = slices.Max(p.key)
	p.state = newScratch(s)
	return p, nil
}

// Schema is the table as the catalogue describes it.
func (p *TextPlan) Schema() *ingest.Schema { return p.schema }

// Invalid counts, per schema column and since NewTextPlan, the values that had no canonical form (invariant 8).
func (p *TextPlan) Invalid() []int64 { return p.state.invalid }

// SelectList is the expressions to select, one per column of the schema and in its order, the same for both servers. Text
// is asked for as the bytes of its own charset, since the binlog has those and one conversion must serve both
// (invariant 2); FLOAT and DOUBLE are widened, since the server rounds a FLOAT and a DOUBLE(m,d) when it prints it.
func (p *TextPlan) SelectList() []string {
	out := make([]string, len(p.cols))
	for i := range p.cols {
		out[i] = p.cols[i].expression()
	}
	return out
}

func (c *column) expression() string {
	name := quote(c.name)
	switch {
	case c.logical == isUUID || c.logical == isINET6 || c.logical == isINET4:
		return fmt.Sprintf("CAST(%s AS BINARY(%d))", name, c.octets)
	case c.family == famFloat || c.family == famDouble:
		return name + " * 1e0" // times one, not plus nought: -0.0 must survive
	case c.charset != nil && c.charset.name != "utf8mb4": // not CAST: beyond max_allowed_packet MariaDB makes that NULL
		return "CONVERT(" + name + " USING binary)"
	}
	return name
}

// TextRow decodes one row packet of the text protocol into b and ends the row as an upsert. On an error b is as it was
// (invariant 4).
func (p *TextPlan) TextRow(packet []byte, b *ingest.Builder) error {
	if err := p.row(packet, b); err != nil {
		b.Abort()
		return err
	}
	b.End(ingest.Upsert)
	return nil
}

func (p *TextPlan) row(packet []byte, b *ingest.Builder) error {
	for i := range p.fields {
		f := &p.fields[i]
		raw, rest, null, ok := nextText(packet)
		if !ok {
			return p.truncated()
		}
		packet = rest
		if null {
			if f.key >= 0 {
				return valueError(p.schema, i, nullKey.String())
			}
			b.Cols[i].Null()
			continue
		}
		if ft := f.parse(&b.Cols[i], raw, &p.state); ft != fine {
			return valueError(p.schema, i, ft.String())
		}
	}
	if len(packet) > 0 {
		return &MalformedError{Table: p.table, Reason: "a row packet has more columns than were selected"}
	}
	return nil
}

// TextKey is the canonical key bytes of a row packet: those that a Plan's Toucher sees for the same key, and whose Hash
// chooses the same partition. They are valid until the next call.
func (p *TextPlan) TextKey(packet []byte) ([]byte, error) {
	st := &p.state
	at := 0
	for i := 0; i <= p.lastKey; i++ {
		raw, rest, null, ok := nextText(packet[at:])
		if !ok {
			return nil, p.truncated()
		}
		end := len(packet) - len(rest)
		if k := p.fields[i].key; k >= 0 {
			if null {
				return nil, valueError(p.schema, i, nullKey.String())
			}
			p.spans[k] = span{end - len(raw), end}
		}
		at = end
	}
	st.keys.Reset()
	for i, k := range p.key {
		s := p.spans[i]
		if ft := p.fields[k].parse(&st.keys.Cols[i], packet[s.from:s.to], st); ft != fine {
			return nil, valueError(p.schema, k, ft.String())
		}
	}
	st.key = appendKey(st.key[:0], st.keys)
	return st.key, nil
}

// nextText takes one length-encoded string off a row packet.
func nextText(packet []byte) (raw, rest []byte, null, ok bool) {
	if len(packet) > 0 && packet[0] == 0xfb {
		return nil, packet[1:], true, true
	}
	n, size := lengthEncoded(packet)
	if size == 0 || n > uint64(len(packet)-size) {
		return nil, nil, false, false
	}
	end := size + int(n)
	return packet[size:end], packet[end:], false, true
}

func (p *TextPlan) truncated() error {
	return &MalformedError{Table: p.table, Reason: "a row packet is cut off"}
}
