package parquet

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/tidemill/tidemill/ingest"
)

// File is one finished file.
type File struct {
	Path   string
	Rows   int64
	Bytes  int64
	SHA256 string // hexadecimal
}

// Sizes at which files are cut. Redshift splits files of 128 MB and more over its slices and writes row groups of 32 MB
// itself; parts far smaller waste requests, far larger ones lose parallelism.
const (
	rowGroupBytes = 64 << 20  // of values, before encoding
	partBytes     = 128 << 20 // of a file; exceeded by at most one row group
	unitRows      = 16 << 10  // row groups end at multiples of this many rows, unless these rows are too large for one
	mostBytes     = 112 << 20 // of values: what is more is written as several row groups of about rowGroupBytes
)

// Writer writes batches into as many files as they need: NAME-0000.parquet, NAME-0001.parquet and so on.
type Writer struct {
	dir, name string
	schema    Schema
	arrow     *arrow.Schema

	groupBytes, mostBytes, partBytes int64 // the constants, smaller in tests

	unit      []arrow.RecordBatch // rows of the unfinished unit
	unitRows  int64
	group     []arrow.RecordBatch // whole units of the unfinished row group
	groupSize int64
	part      *part // open file
	files     []File
	changed   int64
}

// NewWriter returns a writer of files in dir, which exists. Nothing is created before the first row.
func NewWriter(dir, name string, s Schema) *Writer {
	return &Writer{dir: dir, name: name, schema: s, arrow: s.Arrow(), groupBytes: rowGroupBytes, mostBytes: mostBytes, partBytes: partBytes}
}

// Write appends a batch. It may keep a reference to it.
func (w *Writer) Write(ctx context.Context, b arrow.RecordBatch) error {
	if err := w.schema.match(b.Schema()); err != nil {
		return fmt.Errorf("writing %s: %w", w.name, err)
	}
	// Invariant 2: decisions are taken per unit of exactly unitRows rows, never per batch as it came.
	for at := int64(0); at < b.NumRows(); {
		n := min(b.NumRows()-at, unitRows-w.unitRows)
		w.unit = append(w.unit, b.NewSlice(at, at+n))
		w.unitRows += n
		at += n
		if w.unitRows == unitRows {
			if err := w.endUnit(ctx); err != nil {
				return fmt.Errorf("writing %s: %w", w.name, err)
			}
		}
	}
	return nil
}

// endUnit moves the unit to the row group, and ends the row group and the file when they are full.
func (w *Writer) endUnit(ctx context.Context) error {
	w.joinUnit()
	if w.groupSize < w.groupBytes {
		return nil
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	return w.endFull()
}

// joinUnit moves the unit to the row group.
func (w *Writer) joinUnit() {
	for _, b := range w.unit {
		w.groupSize += valueBytes(b)
	}
	w.group = append(w.group, w.unit...)
	w.unit, w.unitRows = w.unit[:0], 0
}

// endFull ends the file if it has its size.
func (w *Writer) endFull() error {
	if w.part == nil || w.part.written() < w.partBytes {
		return nil
	}
	return w.endPart()
}

// flush writes the collected rows as one row group, or as several if they are large: 16,384 rows of long texts may be 1 GB.
func (w *Writer) flush(ctx context.Context) error {
	if len(w.group) == 0 {
		return nil
	}
	cols, err := w.columns()
	if err != nil {
		return err
	}
	defer func() {
		for _, c := range cols {
			c.Release()
		}
	}()
	pieces := int64(1)
	if w.groupSize > w.mostBytes {
		pieces = (w.groupSize + w.groupBytes - 1) / w.groupBytes
	}
	releaseAll(w.group)
	w.group, w.groupSize = w.group[:0], 0
	rows := int64(cols[0].Len())
	each := (rows + pieces - 1) / pieces
	for at := int64(0); at < rows; at += each {
		if err := w.rowGroup(ctx, cols, at, min(at+each, rows)); err != nil {
			return err
		}
		if at+each < rows {
			if err := w.endFull(); err != nil {
				return err
			}
		}
	}
	return nil
}

// rowGroup writes some of the rows as one row group of the open file, or of a new one.
func (w *Writer) rowGroup(ctx context.Context, all []arrow.Array, from, to int64) (err error) {
	cols := make([]arrow.Array, len(all))
	for i, c := range all {
		cols[i] = array.NewSlice(c, from, to)
		defer cols[i].Release()
	}
	if w.part == nil {
		path := filepath.Join(w.dir, fmt.Sprintf("%s-%04d.parquet", w.name, len(w.files)))
		if w.part, err = newPart(path, w.arrow, dictionaries(w.arrow, cols)); err != nil {
			return err
		}
	}
	return w.part.rowGroup(ctx, cols)
}

// columns joins the collected batches into one array per column, so that pages end where they end whatever the batches
// were (invariant 2).
func (w *Writer) columns() ([]arrow.Array, error) {
	out := make([]arrow.Array, w.arrow.NumFields())
	chunks := make([]arrow.Array, len(w.group))
	for i := range out {
		for j, b := range w.group {
			chunks[j] = b.Column(i)
		}
		c, err := array.Concatenate(chunks, memory.DefaultAllocator)
		if err != nil {
			return nil, fmt.Errorf("joining batches: %w", err)
		}
		if w.schema.Op && i == len(w.schema.Columns) && c.DataType().ID() == arrow.UINT8 {
			c = widen(c.(*array.Uint8))
		}
		var n int64
		out[i], n = withoutNUL(c)
		w.changed += n
	}
	return out, nil
}

// Changed is how many texts had U+0000 in them, which the files do not have (invariant 4). It is complete after Close.
func (w *Writer) Changed() int64 { return w.changed }

// widen turns the operation column of log batches into the INT32 of files, and releases c.
func widen(c *array.Uint8) arrow.Array {
	defer c.Release()
	b := array.NewInt32Builder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(c.Len())
	for _, v := range c.Uint8Values() {
		b.UnsafeAppend(int32(v))
	}
	return b.NewArray()
}

func (w *Writer) endPart() error {
	f, err := w.part.close()
	w.part = nil
	if err != nil {
		return err
	}
	w.files = append(w.files, f)
	return nil
}

// Close writes what is left and returns all files: none when there was no row. After an error the files are incomplete
// and the caller removes dir.
func (w *Writer) Close(ctx context.Context) ([]File, error) {
	defer w.release()
	w.joinUnit()
	err := w.flush(ctx)
	if w.part != nil {
		err = errors.Join(err, w.endPart())
	}
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", w.name, err)
	}
	return w.files, nil
}

// Abort closes the open file without finishing it. It does nothing after Close.
func (w *Writer) Abort() error {
	w.release()
	if w.part == nil {
		return nil
	}
	err := w.part.file.Close()
	w.part = nil
	return err
}

func (w *Writer) release() {
	releaseAll(w.unit)
	releaseAll(w.group)
	w.unit, w.group = nil, nil
}

func releaseAll(batches []arrow.RecordBatch) {
	for _, b := range batches {
		b.Release()
	}
}

// valueBytes is the size of a batch's values: a function of the values alone, not of how buffers are shared.
func valueBytes(b arrow.RecordBatch) int64 {
	var n int64
	for _, c := range b.Columns() {
		switch c := c.(type) {
		case *array.String:
			n += int64(len(c.ValueBytes()))
		case *array.Binary:
			n += int64(len(c.ValueBytes()))
		default:
			n += int64(c.Len()) * int64(max(1, c.DataType().(arrow.FixedWidthDataType).BitWidth()/8))
		}
	}
	return n + b.NumRows()*int64(b.NumCols())/8
}

// dictionaries chooses the columns that are dictionary-encoded: those whose values repeat in the first rows of the file.
// A dictionary on every column writes a larger file more slowly.
func dictionaries(s *arrow.Schema, cols []arrow.Array) []bool {
	out := make([]bool, len(cols))
	for i, c := range cols {
		switch c := c.(type) {
		case *array.String:
			out[i] = repeats(c, 4, c.Value)
		case *array.Binary:
			out[i] = repeats(c, 4, func(i int) string { return string(c.Value(i)) })
		case *array.Int16:
			out[i] = repeats(c, 8, c.Value)
		case *array.Int32:
			out[i] = s.Field(i).Name == ingest.OpColumn || repeats(c, 8, c.Value)
		case *array.Int64:
			out[i] = repeats(c, 8, c.Value)
		case *array.Date32:
			out[i] = repeats(c, 8, c.Value)
		case *array.Timestamp:
			out[i] = repeats(c, 8, c.Value)
		case *array.Decimal128:
			out[i] = repeats(c, 8, c.Value)
		}
	}
	return out
}

// repeats reports whether the first n rows hold at most n/share different values. What lies beneath a NULL is no value:
// DuckDB leaves there what its memory held before (invariant 2).
func repeats[T comparable](c arrow.Array, share int, value func(int) T) bool {
	n := min(c.Len(), unitRows)
	seen := make(map[T]struct{}, n/share+1)
	for i := range n {
		if c.IsNull(i) {
			continue
		}
		seen[value(i)] = struct{}{}
		if len(seen)*share > n {
			return false
		}
	}
	return true
}
