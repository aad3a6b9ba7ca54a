package redshiftdouble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	pqgo "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
)

// rowStream is PostgreSQL's binary COPY of the rows of all files. Files are fetched and checked one after the other.
type rowStream struct {
	ctx     context.Context
	session *session
	command *copyCommand
	target  []targetColumn
	files   []object

	mu     sync.Mutex // of what follows: pgx may still be reading when its CopyFrom has returned with an error
	ended  bool
	buf    []byte
	done   bool
	begun  bool
	err    error
	bytes  int64
	file   *os.File
	opened *pqgo.File
	loaded int // files
	fields []field
	group  int
	rows   pqgo.Rows
	batch  []pqgo.Row
}

// field is a column of a file and how its values are written.
type field struct {
	first, last int // leaf columns
	encode      func([]byte, pqgo.Value) ([]byte, error)
	nested      bool
}

const rowBatch = 256

// signature begins a binary COPY: eleven bytes, no flags, no extension.
const signature = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"

func (r *rowStream) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return 0, io.ErrClosedPipe
	}
	for len(r.buf) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if r.done {
			return 0, io.EOF
		}
		if r.err = r.guarded(); r.err != nil {
			return 0, r.err
		}
	}
	n := copy(p, r.buf)
	r.buf = r.buf[n:]
	return n, nil
}

// guarded turns a panic of the Parquet library, which a broken file can cause, into an error of the file.
func (r *rowStream) guarded() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = r.locate(scanError(15001, "Invalid Parquet file: %v", p))
		}
	}()
	return r.fill()
}

// fill puts the next batch of rows into the buffer.
func (r *rowStream) fill() error {
	r.buf = r.buf[:0]
	if !r.begun {
		r.begun = true
		r.buf = append(r.buf, signature...)
		return nil
	}
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if r.rows == nil {
		return r.advance()
	}
	n, err := r.rows.ReadRows(r.batch)
	for _, row := range r.batch[:n] {
		if err := r.row(row); err != nil {
			return r.locate(err)
		}
	}
	if errors.Is(err, io.EOF) {
		closed := r.rows.Close()
		r.rows = nil
		return closed
	}
	if err != nil {
		return r.locate(scanError(15001, "Error reading file: %v", err))
	}
	return nil
}

// advance moves to the next row group, the next file, or the end.
func (r *rowStream) advance() error {
	if r.opened != nil && r.group < len(r.opened.RowGroups()) {
		r.rows = r.opened.RowGroups()[r.group].Rows()
		r.group++
		return nil
	}
	if err := r.closeFile(); err != nil {
		return err
	}
	if r.loaded > 0 && r.loaded < len(r.files) && r.session.kill(DuringCopy) {
		return errKilled
	}
	if r.loaded == len(r.files) {
		r.done = true
		r.buf = append(r.buf, 0xff, 0xff)
		return nil
	}
	r.loaded++
	if err := r.open(r.files[r.loaded-1]); err != nil {
		return r.locate(err)
	}
	return nil
}

// locate adds the file to an error.
func (r *rowStream) locate(err error) error {
	var e *loadError
	if !errors.As(err, &e) || e.file != "" {
		return err
	}
	e.file = r.files[r.loaded-1].url()
	if e.scan {
		e.message += ", File name: " + e.file
	}
	return e
}

// open fetches a file and holds its schema and pages against the target.
func (r *rowStream) open(o object) (err error) {
	if r.file, err = r.session.fetch(r.ctx, o); err != nil {
		return err
	}
	st, err := r.file.Stat()
	if err != nil {
		return err
	}
	r.bytes += st.Size()
	r.opened, err = pqgo.OpenFile(r.file, st.Size())
	if err != nil {
		return scanError(15001, "Invalid Parquet file: %v", err)
	}
	if r.fields, err = r.match(r.opened); err != nil {
		return err
	}
	for _, g := range r.opened.Metadata().RowGroups {
		for _, c := range g.Columns {
			if err := checkPages(&c.MetaData); err != nil {
				return err
			}
		}
	}
	r.batch = make([]pqgo.Row, rowBatch)
	r.group = 0
	return nil
}

// checkPages refuses what Redshift's reader does not decode.
func checkPages(m *format.ColumnMetaData) error {
	name := m.PathInSchema[0]
	switch m.Codec {
	case format.Uncompressed, format.Snappy, format.Gzip, format.Zstd:
	default:
		return scanError(15001, "Unsupported compression codec %s in column '%s'", m.Codec, name)
	}
	for _, e := range m.Encoding {
		switch e {
		case format.Plain, format.RLE, format.RLEDictionary, format.PlainDictionary, format.BitPacked:
		default:
			return scanError(15001, "Unsupported encoding %s in column '%s'", e, name)
		}
	}
	for _, s := range m.EncodingStats {
		if s.PageType == format.DataPageV2 {
			return scanError(15001, "Unsupported page type DATA_PAGE_V2 in column '%s'", name)
		}
	}
	return nil
}

// match maps the file's columns to the table's by position and refuses types that do not agree.
func (r *rowStream) match(f *pqgo.File) ([]field, error) {
	columns := f.Root().Columns()
	if len(columns) > len(r.target) || len(columns) < len(r.target) && !r.command.fill {
		return nil, scanError(15007, "Unmatched number of columns between table and file. Table columns: %d, Data columns: %d", len(r.target), len(columns))
	}
	elements := f.Metadata().Schema
	at := 1
	out := make([]field, len(r.target))
	leaf := 0
	for i, t := range r.target {
		if i >= len(columns) {
			out[i] = field{first: -1}
			continue
		}
		e := elements[at]
		leaves, size := spread(elements, at)
		fd := field{first: leaf, last: leaf + leaves, nested: size > 1}
		if err := r.encoder(&fd, e, columns[i], t); err != nil {
			return nil, err
		}
		out[i] = fd
		at += size
		leaf += leaves
	}
	return out, nil
}

// spread is how many leaves an element has below it, and how many elements it is.
func spread(elements []format.SchemaElement, at int) (leaves, size int) {
	children, _ := elements[at].NumChildren.Get()
	if children == 0 {
		return 1, 1
	}
	size = 1
	for range children {
		l, n := spread(elements, at+size)
		leaves += l
		size += n
	}
	return leaves, size
}

// maxRow is how many bytes of input a row may have, but for SUPER.
const maxRow = 4 << 20

// row appends a row in PostgreSQL's binary form.
func (r *rowStream) row(row pqgo.Row) error {
	start := len(r.buf)
	if err := r.appendRow(row); err != nil {
		return err
	}
	for _, t := range r.target {
		if t.kind.name == "super" {
			return nil
		}
	}
	if n := len(r.buf) - start; n > maxRow {
		return &loadError{code: 1216, message: fmt.Sprintf("Input line is not valid: %d bytes, at most %d", n, maxRow)}
	}
	return nil
}

func (r *rowStream) appendRow(row pqgo.Row) error {
	r.buf = binary.BigEndian.AppendUint16(r.buf, uint16(len(r.target)))
	var document map[string]any
	for i, f := range r.fields {
		switch {
		case f.first < 0:
			r.buf = append(r.buf, 0xff, 0xff, 0xff, 0xff)
			if err := r.notNull(i, true); err != nil {
				return err
			}
		case f.nested:
			if document == nil {
				document = map[string]any{}
				if err := r.opened.Schema().Reconstruct(&document, row); err != nil {
					return scanError(15001, "Error reading nested column: %v", err)
				}
			}
			if err := r.document(i, document); err != nil {
				return err
			}
		default:
			if err := r.value(i, f, row[f.first]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *rowStream) value(i int, f field, v pqgo.Value) error {
	if v.IsNull() {
		r.buf = append(r.buf, 0xff, 0xff, 0xff, 0xff)
		return r.notNull(i, true)
	}
	start := len(r.buf)
	r.buf = append(r.buf, 0, 0, 0, 0)
	var err error
	if r.buf, err = f.encode(r.buf, v); err != nil {
		return r.inColumn(i, err)
	}
	binary.BigEndian.PutUint32(r.buf[start:], uint32(len(r.buf)-start-4))
	return nil
}

func (r *rowStream) notNull(i int, null bool) error {
	if null && r.target[i].notNull {
		return r.inColumn(i, &loadError{code: 1213, message: "Missing data for not-null field"})
	}
	return nil
}

// inColumn adds the column to an error.
func (r *rowStream) inColumn(i int, err error) error {
	var e *loadError
	if errors.As(err, &e) {
		e.column, e.kind = r.target[i].name, r.target[i].kind
	}
	return err
}

func (r *rowStream) closeFile() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file, r.opened = nil, nil
	return err
}

// end closes what is open and tells how much was read, and what was wrong with it.
func (r *rowStream) end() (bytes int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	if r.rows != nil {
		_ = r.rows.Close() // of a file that is thrown away
		r.rows = nil
	}
	_ = r.closeFile()
	return r.bytes, r.err
}
