package pqcheck

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	pqgo "github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// group checks the chunks of a row group.
func (c *check) group(g int) error {
	for i := range c.meta.RowGroups[g].Columns {
		chunk := &c.meta.RowGroups[g].Columns[i]
		if chunk.FilePath != "" {
			c.add("external", c.cols[i].name, g, "its data is in another file", "COPY reads one file by itself", "write it into the file")
			continue
		}
		if err := c.chunk(g, c.cols[i], &chunk.MetaData); err != nil {
			return err
		}
	}
	return nil
}

// chunk checks the codec and walks over the pages (invariant 1).
func (c *check) chunk(g int, l leaf, m *format.ColumnMetaData) error {
	switch m.Codec {
	case format.Snappy, format.Zstd, format.Gzip, format.Uncompressed:
	default:
		c.add("codec", l.name, g, "it is compressed with "+m.Codec.String(), "only SNAPPY, ZSTD and GZIP are known to load", "write ZSTD or SNAPPY")
	}
	at := m.DataPageOffset
	if m.DictionaryPageOffset > 0 && m.DictionaryPageOffset < at {
		at = m.DictionaryPageOffset
	}
	end := at + m.TotalCompressedSize
	if at < 4 || end > c.size || end < at { // invariant 3
		c.add("footer", l.name, g, "its pages lie outside of the file", "the file is cut off or contradicts itself", "write it anew")
		return nil
	}
	var values int64
	for at < end {
		h, n, ok := c.pageHeader(at, end)
		if !ok {
			c.add("footer", l.name, g, "a page cannot be read", "the file is cut off or contradicts itself", "write it anew")
			return nil
		}
		c.out.Pages++
		values += c.page(g, l, h)
		at += n + int64(h.CompressedPageSize)
	}
	if values != m.NumValues {
		c.add("footer", l.name, g, fmt.Sprintf("its pages hold %d values, the footer says %d", values, m.NumValues), "the file contradicts itself", "write it anew")
	}
	return nil
}

// pageHeader decodes the header at an offset and returns its length. The window grows until the header fits: statistics of
// long texts are part of it.
func (c *check) pageHeader(at, end int64) (h format.PageHeader, n int64, ok bool) {
	for size := int64(4 << 10); ; size *= 8 {
		buf := make([]byte, min(size, end-at))
		if c.read(buf, at) != nil {
			return h, 0, false
		}
		h = format.PageHeader{}
		r := new(thrift.CompactProtocol).NewReaderFromBytes(buf)
		if err := thrift.NewDecoder(r).Decode(&h); err == nil {
			n = int64(r.BytesRead())
			return h, n, n > 0 && h.CompressedPageSize >= 0 && at+n+int64(h.CompressedPageSize) <= end
		}
		if size >= end-at || size > longestHeader {
			return h, 0, false
		}
	}
}

const longestHeader = 16 << 20

// page checks a header and returns how many values the page holds.
func (c *check) page(g int, l leaf, h format.PageHeader) int64 {
	switch h.Type {
	case format.DictionaryPage:
		d, _ := h.DictionaryPageHeader.Get()
		c.encoding(g, l, "dictionary", d.Encoding, format.Plain, format.PlainDictionary)
		return 0
	case format.DataPage:
		d, _ := h.DataPageHeader.Get()
		c.encoding(g, l, "values", d.Encoding, format.Plain, format.PlainDictionary, format.RLEDictionary)
		if l.optional {
			c.encoding(g, l, "definition levels", d.DefinitionLevelEncoding, format.RLE)
		}
		return int64(d.NumValues)
	case format.DataPageV2:
		c.add("page-version", l.name, g, "its data pages are of version 2", "Redshift's reader is known to load version 1 only", "write data page version 1")
		d, _ := h.DataPageHeaderV2.Get()
		return int64(d.NumValues)
	}
	c.add("page-type", l.name, g, fmt.Sprintf("it has a page of type %s", h.Type), "Redshift's reader does not know it", "write data pages of version 1")
	return 0
}

func (c *check) encoding(g int, l leaf, of string, got format.Encoding, allowed ...format.Encoding) {
	if slices.Contains(allowed, got) {
		return
	}
	f := Finding{Rule: "encoding", Column: l.name, Group: g, What: fmt.Sprintf("the %s of a page are encoded %s", of, got),
		Why: "Redshift's reader decodes PLAIN, RLE levels and dictionaries", Remedy: "write PLAIN or a dictionary"}
	if !slices.Contains(c.found, f) { // once per chunk, not per page
		c.found = append(c.found, f)
	}
}

// texts reads every text: length in bytes, UTF-8, U+0000. Bytes that are all text are told, too.
func (c *check) texts() error {
	if !slices.ContainsFunc(c.cols, func(l leaf) bool { return l.text || l.bytes }) {
		return nil
	}
	f, err := pqgo.OpenFile(c.r, c.size, pqgo.SkipPageIndex(true), pqgo.SkipBloomFilters(true))
	if err != nil {
		c.add("footer", "", -1, "the file cannot be opened", "the file contradicts itself", "write it anew")
		return nil
	}
	for i, l := range c.cols {
		if !l.text && !l.bytes {
			continue
		}
		s := scan{clean: true}
		for g, rg := range f.RowGroups() {
			if err := s.chunk(rg.ColumnChunks()[i]); err != nil {
				c.add("footer", l.name, g, "its values cannot be read", "the file contradicts itself", "write it anew")
				return nil
			}
		}
		c.judge(i, l, s)
	}
	return nil
}

// judge says what is wrong with the texts of a column.
func (c *check) judge(i int, l leaf, s scan) {
	if l.bytes {
		if s.values > 0 && s.clean && s.letters && (c.o.Columns == nil || c.o.Columns[i].Text) {
			c.warn("missing-utf8", l.name, -1, "it holds nothing but text and is not annotated", "it goes into a VARBYTE, not a VARCHAR", "annotate it STRING")
		}
		return
	}
	c.out.Longest[l.name] = s.longest
	most := c.o.MaxText
	if c.o.Columns != nil && c.o.Columns[i].Bytes > 0 {
		most = c.o.Columns[i].Bytes
	}
	if most >= 0 && s.longest > most {
		c.add("text-length", l.name, -1, fmt.Sprintf("its longest text has %d bytes, the column holds %d", s.longest, most), "COPY of Parquet does not cut texts: The length of the data column is longer than the length defined in the table (15007)", "widen the column, or cut the text on a character")
	}
	if s.invalid {
		c.add("utf8", l.name, -1, "it has a text that is not UTF-8", "COPY refuses it", "mend it before it is written")
	}
	if s.nul {
		c.add("nul", l.name, -1, "it has a text with U+0000", "not every VARCHAR can hold it", "leave the character out")
	}
}

// scan is what is known of the values of a column.
type scan struct {
	values  int64
	longest int
	invalid bool // not UTF-8
	nul     bool
	clean   bool // all UTF-8 without control characters
	letters bool // some letter
}

func (s *scan) chunk(chunk pqgo.ColumnChunk) (err error) {
	pages := chunk.Pages()
	defer func() { err = errors.Join(err, pages.Close()) }()
	buf := make([]pqgo.Value, 1024)
	for {
		p, err := pages.ReadPage()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for vr := p.Values(); ; {
			n, err := vr.ReadValues(buf)
			for _, v := range buf[:n] {
				if !v.IsNull() {
					s.value(v.ByteArray())
				}
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
		}
		pqgo.Release(p)
	}
}

func (s *scan) value(b []byte) {
	s.values++
	s.longest = max(s.longest, len(b))
	text := string(b)
	if !utf8.ValidString(text) {
		s.invalid, s.clean = true, false
		return
	}
	if strings.IndexByte(text, 0) >= 0 {
		s.nul = true
	}
	if s.clean && strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' }) {
		s.clean = false
	}
	if !s.letters && strings.ContainsFunc(text, func(r rune) bool { return r >= 'A' && r <= 'z' }) {
		s.letters = true
	}
}
