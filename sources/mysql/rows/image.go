package rows

import (
	"encoding/binary"

	"github.com/tidemill/tidemill/ingest"
)

// span is where a value's bytes lie in a row image, its length prefix left out.
type span struct{ from, to int }

// image decodes one row image into b, without ending the row, and returns what follows it. It is the hot loop.
func (p *Plan) image(row []byte, b *ingest.Builder) ([]byte, error) {
	if len(row) < p.nulls {
		return nil, p.truncated(-1)
	}
	nulls, rest := row[:p.nulls], row[p.nulls:]
	for i := range p.fields {
		f := &p.fields[i]
		if nulls[i>>3]>>(i&7)&1 != 0 {
			if f.key >= 0 {
				return nil, p.fault(f, nullKey)
			}
			if f.col >= 0 {
				b.Cols[f.col].Null()
			}
			continue
		}
		n := f.size
		if f.prefix > 0 {
			if n = prefixed(rest, f.prefix); n < 0 {
				return nil, p.truncated(i)
			}
			rest = rest[f.prefix:]
		}
		if n > len(rest) {
			return nil, p.truncated(i)
		}
		if f.col >= 0 {
			if ft := f.decode(&b.Cols[f.col], rest[:n], &p.state); ft != fine {
				return nil, p.fault(f, ft)
			}
		}
		rest = rest[n:]
	}
	return rest, nil
}

// walk finds the spans of the key columns, and the size of the image when all of it is wanted.
func (p *Plan) walk(row []byte, spans []span, all bool) (size int, err error) {
	if len(row) < p.nulls {
		return 0, p.truncated(-1)
	}
	nulls, at := row[:p.nulls], p.nulls
	for i := range p.fields {
		f := &p.fields[i]
		if nulls[i>>3]>>(i&7)&1 != 0 {
			if f.key >= 0 {
				return 0, p.fault(f, nullKey)
			}
			continue
		}
		n := f.size
		if f.prefix > 0 {
			if n = prefixed(row[at:], f.prefix); n < 0 {
				return 0, p.truncated(i)
			}
			at += f.prefix
		}
		if n > len(row)-at {
			return 0, p.truncated(i)
		}
		if f.key >= 0 {
			spans[f.key] = span{at, at + n}
			if i == p.lastKey && !all {
				return 0, nil
			}
		}
		at += n
	}
	return at, nil
}

// prefixed reads a length prefix of 1 to 4 bytes, -1 when it is cut off.
func prefixed(b []byte, prefix int) int {
	if len(b) < prefix {
		return -1
	}
	switch prefix {
	case 1:
		return int(b[0])
	case 2:
		return int(binary.LittleEndian.Uint16(b))
	case 3:
		return int(b[0]) | int(b[1])<<8 | int(b[2])<<16
	}
	return int(binary.LittleEndian.Uint32(b))
}

// canonicalKey decodes the key at the spans into p.state.key (invariant 2: the same code as for the row itself).
func (p *Plan) canonicalKey(row []byte, spans []span) error {
	st := &p.state
	st.keys.Reset()
	for i, k := range p.key {
		f := &p.fields[k]
		if ft := f.decode(&st.keys.Cols[i], row[spans[i].from:spans[i].to], st); ft != fine {
			return p.fault(f, ft)
		}
	}
	st.key = appendKey(st.key[:0], st.keys)
	return nil
}

// appendKey is the canonical form of a key: per column its builder bytes, with a length where the kind has none.
func appendKey(dst []byte, keys *ingest.Builder) []byte {
	for i := range keys.Cols {
		c := &keys.Cols[i]
		v := c.Last()
		switch c.Type().Kind {
		case ingest.Text, ingest.JSON, ingest.Bytes:
			dst = binary.AppendUvarint(dst, uint64(len(v)))
		}
		dst = append(dst, v...)
	}
	return dst
}

func (p *Plan) truncated(i int) error {
	return p.malformed("a row image is cut off in column %d of its table map", i+1)
}

func (p *Plan) fault(f *field, ft fault) error { return valueError(p.schema, f.col, ft.String()) }
