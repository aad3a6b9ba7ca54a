package parquet

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"runtime"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"golang.org/x/sync/errgroup"
)

// part is one file being written.
type part struct {
	path   string
	schema *arrow.Schema
	file   *os.File
	buf    *bufio.Writer
	hash   hash.Hash
	size   int64
	pq     *file.Writer
	rows   int64
}

// newPart creates the file with the profile's properties (invariant 1).
func newPart(path string, s *arrow.Schema, dict []bool) (*part, error) {
	props := []parquet.WriterProperty{
		parquet.WithCreatedBy("tidemill"),
		parquet.WithVersion(parquet.V2_6), // of the format: needed for the logical types; pages stay V1
		parquet.WithDataPageVersion(parquet.DataPageV1),
		parquet.WithEncoding(parquet.Encodings.Plain),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(1),
		parquet.WithDictionaryDefault(false),
	}
	for i, on := range dict {
		if on {
			props = append(props, parquet.WithDictionaryPath(parquet.ColumnPath{s.Field(i).Name}, true))
		}
	}
	wp := parquet.NewWriterProperties(props...)
	ps, err := pqarrow.ToParquet(s, wp, pqarrow.NewArrowWriterProperties(pqarrow.WithCoerceTimestamps(arrow.Microsecond)))
	if err != nil {
		return nil, fmt.Errorf("making the schema: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	p := &part{path: path, schema: s, file: f, hash: sha256.New()}
	p.buf = bufio.NewWriterSize(io.MultiWriter(f, p.hash), 1<<20)
	// A plain io.Writer: the parquet writer would close the file itself if it could.
	if p.pq, err = file.NewParquetWriterWithError(writerFunc(p.write), ps.Root(), file.WithWriterProps(wp)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return p, nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func (p *part) write(b []byte) (int, error) {
	n, err := p.buf.Write(b)
	p.size += int64(n)
	return n, err
}

func (p *part) written() int64 { return p.size }

// rowGroup writes the columns, encoding several at a time: the columns of a buffered row group are independent until it
// is closed.
func (p *part) rowGroup(ctx context.Context, cols []arrow.Array) error {
	rg, err := p.pq.AppendBufferedRowGroupChecked()
	if err != nil {
		return err
	}
	rows := cols[0].Len()
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, c := range cols {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			cw, err := rg.Column(i)
			if err != nil {
				return err
			}
			nullable := p.schema.Field(i).Nullable
			var levels []int16
			if nullable {
				levels = definitionLevels(c)
			}
			return pqarrow.WriteArrowToColumn(pqarrow.NewArrowWriteContext(ctx, nil), cw, c, levels, nil, nullable)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	p.rows += int64(rows)
	return rg.Close()
}

// definitionLevels are 1 for a value and 0 for a NULL.
func definitionLevels(c arrow.Array) []int16 {
	out := make([]int16, c.Len())
	for i := range out {
		out[i] = 1
	}
	if c.NullN() > 0 {
		for i := range out {
			if c.IsNull(i) {
				out[i] = 0
			}
		}
	}
	return out
}

// close finishes the file: footer, flush, sync (invariant 3).
func (p *part) close() (File, error) {
	err := p.pq.Close()
	err = errors.Join(err, p.buf.Flush())
	err = errors.Join(err, p.file.Close())
	if err != nil {
		return File{}, err
	}
	return File{Path: p.path, Rows: p.rows, Bytes: p.size, SHA256: hex.EncodeToString(p.hash.Sum(nil))}, nil
}
