package state

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
)

// SpillWriter writes change batches of one schema to a run file that Prepare reads back: Arrow IPC with LZ4, so that
// spilling costs little more than the disk.
type SpillWriter struct {
	path string
	file *os.File
	buf  *bufio.Writer
	ipc  *ipc.Writer
	rows int64
}

// NewSpillWriter creates a run file for batches of the Arrow schema.
func NewSpillWriter(path string, schema *arrow.Schema) (*SpillWriter, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("spilling: %w", err)
	}
	buf := bufio.NewWriterSize(f, 1<<20)
	return &SpillWriter{path: path, file: f, buf: buf, ipc: ipc.NewWriter(buf, ipc.WithSchema(schema), ipc.WithLZ4())}, nil
}

// Write appends a batch.
func (w *SpillWriter) Write(b arrow.RecordBatch) error {
	if err := w.ipc.Write(b); err != nil {
		return fmt.Errorf("spilling to %s: %w", w.path, err)
	}
	w.rows += b.NumRows()
	return nil
}

// Close finishes the file and returns its size.
func (w *SpillWriter) Close() (bytes int64, err error) {
	err = errors.Join(w.ipc.Close(), w.buf.Flush())
	if st, serr := w.file.Stat(); serr == nil {
		bytes = st.Size()
	} else {
		err = errors.Join(err, serr)
	}
	if err = errors.Join(err, w.file.Close()); err != nil {
		return 0, fmt.Errorf("spilling to %s: %w", w.path, err)
	}
	return bytes, nil
}

// Rows is the number of rows written so far.
func (w *SpillWriter) Rows() int64 { return w.rows }

// run reads a run file batch by batch.
type run struct {
	file *os.File
	ipc  *ipc.Reader
}

func openRun(path string) (*run, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading spilled run: %w", err)
	}
	r, err := ipc.NewReader(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("reading spilled run %s: %w", path, errors.Join(err, f.Close()))
	}
	return &run{file: f, ipc: r}, nil
}

// next returns the next batch, valid until the next call, or io.EOF.
func (r *run) next() (arrow.RecordBatch, error) {
	if r.ipc.Next() {
		return r.ipc.RecordBatch(), nil
	}
	if err := r.ipc.Err(); err != nil {
		return nil, err
	}
	return nil, io.EOF
}

func (r *run) close() error {
	r.ipc.Release()
	return r.file.Close()
}
