package rows

import (
	"bytes"
	"encoding/binary"

	"github.com/tidemill/tidemill/ingest"
)

// Kind is what a rows event does.
type Kind uint8

// The kinds of rows events.
const (
	Write Kind = iota + 1
	Update
	Delete
	PartialUpdate // an update that may hold partial JSON: always an *ImageError
)

// Target is where rows go. Builder is asked once per partition and event at most; what it returns must stay valid until
// Rows returns.
type Target interface {
	Partitions() int
	Builder(partition int) *ingest.Builder
}

// Toucher is a Target that wants to know the canonical key of every changed row, before the row is appended: it drops those
// keys from the chunk of a first load. key is valid during the call. Keys are computed only for a Target that is a
// Toucher or has several partitions.
type Toucher interface {
	Touched(key []byte)
}

// Rows decodes the rows of one rows event. body is what follows the event's table id, flags and extra data: column
// count, column bitmaps, row images (see Split). n counts the source's rows: the rows of the event, where an update is
// one, whether it becomes one row of a batch or two (a changed key is a delete and an upsert).
//
// On an error the first n rows are in the builders, and of the row after them nothing (invariant 4), save when it was
// an update of the key whose new image is bad: then its delete is there.
func (p *Plan) Rows(kind Kind, body []byte, emit Target) (n int, err error) {
	_, n, err = p.RowsAfter(kind, body, 0, emit)
	return n, err
}

// RowsAfter is Rows without the event's first skip rows, which an earlier run has emitted; skipped tells how many of
// them this event held.
func (p *Plan) RowsAfter(kind Kind, body []byte, skip int, emit Target) (skipped, n int, err error) {
	rest, err := p.header(kind, body)
	if err != nil {
		return 0, 0, err
	}
	for ; skipped < skip && len(rest) > 0; skipped++ {
		if rest, err = p.skip(kind, rest); err != nil {
			return skipped, 0, err
		}
	}
	d := &p.out
	d.open(emit)
	defer d.close()
	for ; len(rest) > 0; n++ {
		switch kind {
		case Write:
			rest, err = p.write(rest, d)
		case Update:
			rest, err = p.update(rest, d)
		default:
			rest, err = p.delete(rest, d)
		}
		if err != nil {
			return skipped, n, err
		}
	}
	return skipped, n, nil
}

// header checks that the event has the plan's columns, all of them (invariant 7), and returns the row images.
func (p *Plan) header(kind Kind, body []byte) ([]byte, error) {
	if kind == PartialUpdate {
		return nil, &ImageError{Table: p.table, Partial: true}
	}
	if kind < Write || kind > Delete {
		return nil, p.malformed("kind %d is no kind of rows event", kind)
	}
	count, size := lengthEncoded(body)
	if size == 0 || count != uint64(len(p.fields)) {
		return nil, p.malformed("the event's columns are not those of its table map")
	}
	body = body[size:]
	bitmaps := 1
	if kind == Update {
		bitmaps = 2
	}
	if len(body) < bitmaps*p.nulls {
		return nil, p.malformed("the event ends in its header")
	}
	for range bitmaps {
		if !allSet(body[:p.nulls], len(p.fields)) {
			return nil, &ImageError{Table: p.table}
		}
		body = body[p.nulls:]
	}
	return body, nil
}

func allSet(bitmap []byte, n int) bool {
	for ; n >= 8; n, bitmap = n-8, bitmap[1:] {
		if bitmap[0] != 0xff {
			return false
		}
	}
	mask := byte(1)<<n - 1
	return n == 0 || bitmap[0]&mask == mask
}

// lengthEncoded reads a length-encoded integer; size is 0 when it is cut off or none.
func lengthEncoded(b []byte) (v uint64, size int) {
	if len(b) == 0 {
		return 0, 0
	}
	switch {
	case b[0] < 0xfb:
		return uint64(b[0]), 1
	case b[0] == 0xfc && len(b) >= 3:
		return uint64(b[1]) | uint64(b[2])<<8, 3
	case b[0] == 0xfd && len(b) >= 4:
		return uint64(b[1]) | uint64(b[2])<<8 | uint64(b[3])<<16, 4
	case b[0] == 0xfe && len(b) >= 9:
		return binary.LittleEndian.Uint64(b[1:]), 9
	}
	return 0, 0
}

// dispatch is where the rows of the event at hand go.
type dispatch struct {
	target     Target
	toucher    Toucher
	partitions int
	builders   []*ingest.Builder
}

func (d *dispatch) open(t Target) {
	d.target = t
	d.toucher, _ = t.(Toucher)
	d.partitions = max(1, t.Partitions())
	for len(d.builders) < d.partitions {
		d.builders = append(d.builders, nil)
	}
}

func (d *dispatch) close() {
	clear(d.builders)
	d.target, d.toucher = nil, nil
}

func (d *dispatch) keyed() bool { return d.partitions > 1 || d.toucher != nil }

func (d *dispatch) builder(partition int) *ingest.Builder {
	b := d.builders[partition]
	if b == nil {
		b = d.target.Builder(partition)
		d.builders[partition] = b
	}
	return b
}

// route finds the builder of the row whose key bytes lie at the spans.
func (p *Plan) route(row []byte, spans []span, d *dispatch) (*ingest.Builder, error) {
	if !d.keyed() {
		return d.builder(0), nil
	}
	if err := p.canonicalKey(row, spans); err != nil {
		return nil, err
	}
	if d.toucher != nil {
		d.toucher.Touched(p.state.key)
	}
	if d.partitions == 1 {
		return d.builder(0), nil
	}
	return d.builder(ingest.PartitionOf(Hash(p.state.key), d.partitions)), nil
}

func (p *Plan) write(row []byte, d *dispatch) ([]byte, error) {
	if d.keyed() {
		if _, err := p.walk(row, p.after, false); err != nil {
			return nil, err
		}
	}
	b, err := p.route(row, p.after, d)
	if err != nil {
		return nil, err
	}
	return p.upsert(row, b)
}

func (p *Plan) update(row []byte, d *dispatch) ([]byte, error) {
	size, err := p.walk(row, p.before, true)
	if err != nil {
		return nil, err
	}
	old, row := row[:size], row[size:]
	if _, err := p.walk(row, p.after, false); err != nil {
		return nil, err
	}
	if !p.sameKey(old, row) {
		if err := p.erase(old, d); err != nil {
			return nil, err
		}
	}
	b, err := p.route(row, p.after, d)
	if err != nil {
		return nil, err
	}
	return p.upsert(row, b)
}

func (p *Plan) delete(row []byte, d *dispatch) ([]byte, error) {
	size, err := p.walk(row, p.before, true)
	if err != nil {
		return nil, err
	}
	return row[size:], p.erase(row, d)
}

func (p *Plan) upsert(row []byte, b *ingest.Builder) ([]byte, error) {
	rest, err := p.image(row, b)
	if err != nil {
		b.Abort()
		return nil, err
	}
	b.End(ingest.Upsert)
	return rest, nil
}

// erase appends the delete of the row whose key lies at p.before.
func (p *Plan) erase(row []byte, d *dispatch) error {
	b, err := p.route(row, p.before, d)
	if err != nil {
		return err
	}
	for i := range p.fields {
		f := &p.fields[i]
		if f.key < 0 {
			if f.col >= 0 {
				b.Cols[f.col].Null()
			}
			continue
		}
		s := p.before[f.key]
		if ft := f.decode(&b.Cols[f.col], row[s.from:s.to], &p.state); ft != fine {
			b.Abort()
			return p.fault(f, ft)
		}
	}
	b.End(ingest.Delete)
	return nil
}

// sameKey compares the key bytes of two row images as they are on the wire. Equal bytes are equal keys; different bytes
// of an equal key would only cost a delete before the upsert.
func (p *Plan) sameKey(before, after []byte) bool {
	for i := range p.key {
		b, a := p.before[i], p.after[i]
		if !bytes.Equal(before[b.from:b.to], after[a.from:a.to]) {
			return false
		}
	}
	return true
}

// skip passes over one row.
func (p *Plan) skip(kind Kind, rest []byte) ([]byte, error) {
	images := 1
	if kind == Update {
		images = 2
	}
	for range images {
		size, err := p.walk(rest, p.before, true)
		if err != nil {
			return nil, err
		}
		rest = rest[size:]
	}
	return rest, nil
}
