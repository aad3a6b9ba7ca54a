package parquet

import (
	"context"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// readRows is the number of rows of a batch that Read hands out.
const readRows = 32 << 10

// Read calls fn with the rows of a file, batch by batch; a batch is valid only during the call. The file's columns must
// be the schema's.
func Read(ctx context.Context, path string, s Schema, fn func(arrow.RecordBatch) error) (err error) {
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		return fmt.Errorf("reading parquet file: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			err = fmt.Errorf("reading parquet file %s: %w", path, err)
		}
	}()
	r, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{BatchSize: readRows, Parallel: true}, memory.DefaultAllocator)
	if err != nil {
		return err
	}
	as, err := r.Schema()
	if err != nil {
		return err
	}
	if err := s.match(as); err != nil {
		return err
	}
	rr, err := r.GetRecordReader(ctx, nil, nil)
	if err != nil {
		return err
	}
	defer rr.Release()
	for rr.Next() {
		if err := fn(rr.RecordBatch()); err != nil {
			return err
		}
	}
	if err := rr.Err(); err != nil && err != io.EOF {
		return err
	}
	return nil
}
