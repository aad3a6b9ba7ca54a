package parquet

import (
	"errors"
	"fmt"
	"io"
	"os"

	pqgo "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/tidemill/tidemill/ingest"
)

// Report is what Check found in a file.
type Report struct {
	Rows      int64
	RowGroups int
	Digest    Digest // per column
}

// Check reads a whole file with parquet-go, the library that did not write it, and compares schema, encodings, page
// version and codec with the profile (invariant 1).
func Check(path string, s Schema) (Report, error) {
	r, err := check(path, s)
	if err != nil {
		return Report{}, fmt.Errorf("checking %s: %w", path, err)
	}
	return r, nil
}

func check(path string, s Schema) (r Report, err error) {
	f, err := os.Open(path)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	st, err := f.Stat()
	if err != nil {
		return r, err
	}
	pf, err := pqgo.OpenFile(f, st.Size())
	if err != nil {
		return r, err
	}
	if err := checkSchema(pf.Metadata().Schema, s); err != nil {
		return r, err
	}
	cols := s.all()
	r = Report{Rows: pf.NumRows(), RowGroups: len(pf.RowGroups()), Digest: make(Digest, len(cols))}
	for g, rg := range pf.RowGroups() {
		for i, chunk := range rg.ColumnChunks() {
			m := &pf.Metadata().RowGroups[g].Columns[i].MetaData
			err := checkChunk(m)
			if err == nil {
				err = checkPages(f, m)
			}
			if err != nil {
				return r, fmt.Errorf("row group %d, column %s: %w", g, cols[i].Name, err)
			}
			n, err := digestChunk(chunk, &r.Digest[i])
			if err != nil {
				return r, fmt.Errorf("row group %d, column %s: %w", g, cols[i].Name, err)
			}
			if n != rg.NumRows() {
				return r, fmt.Errorf("row group %d, column %s: %d values for %d rows", g, cols[i].Name, n, rg.NumRows())
			}
		}
	}
	return r, nil
}

// all is the columns with the operation column.
func (s Schema) all() []ingest.Column {
	if !s.Op {
		return s.Columns
	}
	return append(s.Columns[:len(s.Columns):len(s.Columns)], ingest.Column{Name: ingest.OpColumn, Type: ingest.Type{Kind: ingest.Int32}})
}

func digestChunk(chunk pqgo.ColumnChunk, d *ColumnDigest) (n int64, err error) {
	pages := chunk.Pages()
	defer func() { err = errors.Join(err, pages.Close()) }()
	values := make([]pqgo.Value, 1024)
	for {
		page, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		for vr := page.Values(); ; {
			m, err := vr.ReadValues(values)
			for _, v := range values[:m] {
				d.addValue(v)
			}
			n += int64(m)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return n, err
			}
		}
		pqgo.Release(page)
	}
}

// checkSchema compares the file's schema elements (root first) with the physical and logical types of the profile.
func checkSchema(elements []format.SchemaElement, s Schema) error {
	cols := s.all()
	if len(elements) != len(cols)+1 {
		return fmt.Errorf("file has %d columns, want %d", len(elements)-1, len(cols))
	}
	for i, c := range cols {
		e := elements[i+1]
		if e.Name != c.Name {
			return fmt.Errorf("column %d is %s, want %s", i, e.Name, c.Name)
		}
		if got, want := elementType(e), wantType(c.Type); got != want {
			return fmt.Errorf("column %s is %s, want %s", c.Name, got, want)
		}
	}
	return nil
}

func elementType(e format.SchemaElement) string {
	physical := "none"
	if t, ok := e.Type.Get(); ok {
		physical = t.String()
	}
	length, _ := e.TypeLength.Get()
	logical := e.LogicalType.String()
	if logical == "" {
		logical = "none"
	}
	return fmt.Sprintf("%s(%d) %s", physical, length, logical)
}
