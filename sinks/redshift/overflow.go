package redshift

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/parquet"
	"github.com/tidemill/tidemill/window"
)

// overflowing is a part with texts that no VARCHAR holds. By the policy it is refused, or written anew without them and
// stored beside the part, which stays as it is: the lake keeps what the source said.
func (s *Sink) overflowing(ctx context.Context, l *load, part window.Part, file, column, dir string) ([]window.Part, error) {
	policy := s.overflow
	if l.Table == window.QuarantineTable { // the image of a bad row: what is left of it is still enough to find the row
		policy = "truncate"
	}
	if policy != "truncate" && policy != "null" || slices.Contains(l.Key, column) {
		return nil, &window.RefusedError{
			What: fmt.Sprintf("a text of column %s of %s (part %s) has more than %d bytes, which is what a VARCHAR holds", column, l.Table, part.Key, maxVarchar),
			Hint: "cut it in the view, or set overflow=quarantine, truncate or null in the warehouse address",
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	schema := parquet.Schema{Columns: l.Columns, Op: true}
	w := parquet.NewWriter(dir, "part", schema)
	err := parquet.Read(ctx, file, schema, func(b arrow.RecordBatch) error {
		cut, n, err := shorten(b, l, policy)
		if err != nil {
			return err
		}
		defer cut.Release()
		l.changed += n
		return w.Write(ctx, cut)
	})
	if err != nil {
		_ = w.Abort() // the folder goes
		return nil, err
	}
	files, err := w.Close(ctx)
	if err != nil {
		return nil, err
	}
	var out []window.Part
	for _, f := range files {
		key := path.Join(path.Dir(part.Key), policy, path.Base(part.Key)+"-"+filepath.Base(f.Path))
		if err := s.store.Put(ctx, key, f.Path); err != nil {
			return nil, fmt.Errorf("storing a part with shortened texts: %w", err)
		}
		out = append(out, window.Part{Key: key, Bytes: f.Bytes, Rows: f.Rows, SHA256: f.SHA256})
	}
	return out, nil
}

// shorten returns the batch with its long texts cut or dropped, and how many there were. A cut document is none any more: it
// is dropped whatever the policy.
func shorten(b arrow.RecordBatch, l *load, policy string) (arrow.RecordBatch, int64, error) {
	cols := slices.Clone(b.Columns())
	var changed int64
	for i, c := range l.Columns {
		text, ok := cols[i].(*array.String)
		if !ok || !isText(c.Type) {
			continue
		}
		short, n := shortTexts(text, policy == "truncate" && c.Type.Kind == ingest.Text)
		if n > 0 && slices.Contains(l.Key, c.Name) {
			return nil, 0, &window.RefusedError{What: fmt.Sprintf("a key of %s has more than %d bytes", l.Table, maxVarchar), Hint: "choose a shorter key"}
		}
		defer short.Release()
		cols[i] = short
		changed += n
	}
	return array.NewRecordBatch(b.Schema(), cols, b.NumRows()), changed, nil
}

func shortTexts(a *array.String, cut bool) (arrow.Array, int64) {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	var changed int64
	for row := range a.Len() {
		switch v := a.Value(row); {
		case a.IsNull(row):
			b.AppendNull()
		case len(v) <= maxVarchar:
			b.Append(v)
		case cut:
			changed++
			b.Append(truncate(v, maxVarchar))
		default:
			changed++
			b.AppendNull()
		}
	}
	return b.NewArray(), changed
}

// truncate is the longest beginning of a text that has at most n bytes and ends with a whole character.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// MaxText is where the window stage puts rows into quarantine instead of their table, if the address says so.
func (s *Sink) MaxText() int {
	if s.overflow == "quarantine" {
		return maxVarchar
	}
	return 0
}
