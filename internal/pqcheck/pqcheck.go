package pqcheck

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go/format"
)

// Finding is one thing that COPY refuses or reads otherwise.
type Finding struct {
	Rule   string // stable id
	Column string // empty for what is about the file
	Group  int    // row group, from 0; -1 for what is about all
	What   string
	Why    string
	Remedy string
	// Warning says that the file loads: slower than it could, or as something else than was meant.
	Warning bool
}

func (f Finding) String() string {
	s := ""
	if f.Column != "" {
		s = "column " + f.Column + ": "
	}
	if f.Group >= 0 {
		s += fmt.Sprintf("row group %d: ", f.Group)
	}
	s += f.What + ": " + f.Why
	if f.Remedy != "" {
		s += "; " + f.Remedy
	}
	return s + " [" + f.Rule + "]"
}

// Options are what the file is compared with.
type Options struct {
	// Columns are those of the staging table, in order. COPY goes by place, not by name. Nil: whatever the file has.
	Columns []Column
	// MaxText is the longest text in bytes, where Columns does not say it. 0 is 65535, what a VARCHAR holds; negative is no
	// limit, for files that are not for Redshift.
	MaxText int
}

// Column is a column of the staging table.
type Column struct {
	Name  string
	Text  bool // VARCHAR: the file must say that it is text
	Bytes int  // of the VARCHAR; 0 is Options.MaxText
}

// maxVarchar is what a VARCHAR holds in bytes.
const maxVarchar = 65535

// Report is what a file holds.
type Report struct {
	Rows    int64
	Groups  int
	Pages   int
	Longest map[string]int // bytes of the longest text, by column
}

// File checks a local file, its name too.
func File(path string, o Options) (Report, []Finding, error) {
	f, err := os.Open(path)
	if err != nil {
		return Report{}, nil, err
	}
	defer f.Close() // only read
	st, err := f.Stat()
	if err != nil {
		return Report{}, nil, err
	}
	r, found, err := Read(f, st.Size(), o)
	if err != nil {
		err = fmt.Errorf("checking %s: %w", path, err)
	}
	return r, append(Name(path), found...), err
}

// Name checks the last part of a key or path.
func Name(path string) []Finding {
	base := filepath.Base(path)
	c := &check{}
	if strings.ContainsAny(base[:1], "_.#") || strings.HasSuffix(base, "~") {
		c.add("hidden-name", "", -1, "the file's name begins with _, . or #, or ends with ~", "Redshift takes such files for hidden and passes over them", "rename it")
	}
	if slices.Contains([]string{".gz", ".bz2", ".lzo", ".zst", ".snappy"}, filepath.Ext(base)) {
		c.add("compressed-name", "", -1, "the file's name ends like that of a compressed file", "COPY would decompress the whole file first", "end it with .parquet")
	}
	return c.found
}

// check collects findings.
type check struct {
	r     io.ReaderAt
	size  int64
	o     Options
	meta  *format.FileMetaData
	cols  []leaf
	found []Finding
	out   Report
}

func (c *check) add(rule, column string, group int, what, why, remedy string) {
	c.found = append(c.found, Finding{Rule: rule, Column: column, Group: group, What: what, Why: why, Remedy: remedy})
}

func (c *check) warn(rule, column string, group int, what, why, remedy string) {
	c.add(rule, column, group, what, why, remedy)
	c.found[len(c.found)-1].Warning = true
}

// Read checks a file. An error says that it could not be read at all: what is no Parquet is a finding, not an error.
func Read(r io.ReaderAt, size int64, o Options) (Report, []Finding, error) {
	c := &check{r: r, size: size, o: o, out: Report{Longest: map[string]int{}}}
	if c.o.MaxText == 0 {
		c.o.MaxText = maxVarchar
	}
	meta, err := c.footer()
	if err != nil || meta == nil {
		return c.out, c.found, err
	}
	c.meta = meta
	c.out.Rows, c.out.Groups = meta.NumRows, len(meta.RowGroups)
	c.file()
	if !c.schema() {
		return c.out, c.found, nil
	}
	c.order()
	for g := range meta.RowGroups {
		if err := c.group(g); err != nil {
			return c.out, c.found, err
		}
	}
	if len(c.found) > 0 && slices.ContainsFunc(c.found, func(f Finding) bool { return !f.Warning }) {
		return c.out, c.found, nil // the texts of a file that is refused anyhow are not read
	}
	err = c.texts()
	return c.out, c.found, err
}

// Err is the findings that are no warnings, as one error; nil when there is none.
func Err(found []Finding) error {
	var errs []error
	for _, f := range found {
		if !f.Warning {
			errs = append(errs, errors.New(f.String()))
		}
	}
	return errors.Join(errs...)
}

const (
	gigabyte      = 1 << 30
	leastGroup    = 32 << 20
	largestGroup  = 128 << 20
	mostColumns   = 1600
	longestName   = 127
	footerTrailer = 8
)

// file checks sizes.
func (c *check) file() {
	if c.size > gigabyte {
		c.add("file-size", "", -1, fmt.Sprintf("the file has %d bytes", c.size), "Redshift's readers give up on files of more than 1 GB", "write several files")
	}
	if c.meta.NumRows == 0 {
		c.warn("no-rows", "", -1, "the file has no rows", "whether COPY takes it is not documented", "write no file")
	}
	last := len(c.meta.RowGroups) - 1
	var rows int64
	for g, rg := range c.meta.RowGroups {
		rows += rg.NumRows
		switch {
		case rg.TotalByteSize > largestGroup:
			c.add("row-group-size", "", g, fmt.Sprintf("%d bytes before compression", rg.TotalByteSize), "a row group is read by one slice at once; UNLOAD writes at most 128 MB", "write row groups of 32 to 128 MB")
		case g < last && rg.TotalByteSize < leastGroup:
			c.warn("row-group-size", "", g, fmt.Sprintf("%d bytes before compression, and it is not the last", rg.TotalByteSize), "small row groups cost a request each", "write row groups of 32 to 128 MB")
		}
	}
	if rows != c.meta.NumRows {
		c.add("footer", "", -1, fmt.Sprintf("the row groups have %d rows, the footer says %d", rows, c.meta.NumRows), "the file contradicts itself", "write it anew")
	}
}

// order compares names and places with the staging table.
func (c *check) order() {
	if c.o.Columns == nil {
		return
	}
	if len(c.cols) != len(c.o.Columns) {
		c.add("column-count", "", -1, fmt.Sprintf("the file has %d columns, the staging table %d", len(c.cols), len(c.o.Columns)), "COPY goes by place and wants as many: Unmatched number of columns (15007)", "make the staging table of the file's schema")
		return
	}
	for i, l := range c.cols {
		want := c.o.Columns[i]
		if !strings.EqualFold(l.name, want.Name) {
			c.add("column-order", l.name, -1, fmt.Sprintf("it is column %d, where the staging table has %s", i+1, want.Name), "COPY goes by place and loads it into that column", "write the columns in the table's order")
		}
		if want.Text != l.text {
			c.add("text", l.name, -1, textOrNot(l.text)+" in the file and "+textOrNot(want.Text)+" in the staging table", "COPY refuses an incompatible Parquet schema", "annotate texts with STRING, and nothing else")
		}
	}
}

func textOrNot(text bool) string {
	if text {
		return "text"
	}
	return "no text"
}
