package redshift

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/attribute"

	"github.com/tidemill/tidemill/internal/failpoint"
	"github.com/tidemill/tidemill/internal/pqcheck"
	"github.com/tidemill/tidemill/internal/telemetry"
	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// load is one table of a publish on its way into the warehouse.
type load struct {
	*window.TableLoad
	stage   string
	parts   []window.Part  // what is copied: the publish's, or those in which long texts were cut
	longest map[string]int // bytes of the longest text, by column
	changed int64          // texts that were cut or dropped
}

func (l *load) rows() int64 { return l.Upserts + l.Deletes }

// staged reports whether the load has a staging table: the ledger reads the quarantine's even if it is empty.
func (l *load) staged() bool { return len(l.parts) > 0 || l.Table == window.QuarantineTable }

func (l *load) bytes() (n int64) {
	for _, p := range l.parts {
		n += p.Bytes
	}
	return n
}

// fetch gets the parts, reads what has to be known of their texts, and puts the tables into the one order in which every
// publisher takes their locks. bad is the quarantine, nil when the publish has none.
func (s *Sink) fetch(ctx context.Context, p *window.Publication, local func(context.Context, window.Part) (string, error)) (loads []*load, bad *load, err error) {
	if s.store == nil {
		return nil, nil, &window.RefusedError{What: "the redshift warehouse has no store to load from", Hint: "set store: s3://bucket/prefix"}
	}
	dir, err := os.MkdirTemp("", "tidemill-redshift")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	for i := range p.Manifest.Tables {
		l, err := s.measure(ctx, &p.Manifest.Tables[i], filepath.Join(dir, fmt.Sprint(i)), local)
		if err != nil {
			return nil, nil, err
		}
		loads = append(loads, l)
	}
	if p.Manifest.Quarantine != nil {
		if bad, err = s.measure(ctx, p.Manifest.Quarantine, filepath.Join(dir, "bad"), local); err != nil {
			return nil, nil, err
		}
	}
	slices.SortFunc(loads, func(a, b *load) int { return strings.Compare(a.Table.String(), b.Table.String()) })
	return loads, bad, nil
}

// measure reads the texts of a load's parts, and cuts those that are too long if the address says so.
func (s *Sink) measure(ctx context.Context, t *window.TableLoad, dir string, local func(context.Context, window.Part) (string, error)) (*load, error) {
	l := &load{TableLoad: t, stage: stageName(), longest: map[string]int{}}
	for _, part := range t.Parts {
		file, err := local(ctx, part)
		if err != nil {
			return nil, fmt.Errorf("fetching part %s: %w", part.Key, err)
		}
		o := staging(t)
		r, found, err := pqcheck.File(file, o)
		found = slices.DeleteFunc(found, func(f pqcheck.Finding) bool { return f.Rule == "row-group-size" }) // slow is better than never
		if err = errors.Join(err, pqcheck.Err(found)); err != nil {
			return nil, &window.RefusedError{What: fmt.Sprintf("COPY would refuse part %s of %s", part.Key, t.Table), Hint: "please report it with the part's footer", Err: err}
		}
		parts := []window.Part{part}
		if long := tooLongColumn(t, r); long != "" {
			if parts, err = s.overflowing(ctx, l, part, file, long, filepath.Join(dir, fmt.Sprint(len(l.parts)))); err != nil {
				return nil, err
			}
		}
		for column, n := range r.Longest {
			l.longest[column] = max(l.longest[column], min(n, maxVarchar))
		}
		l.parts = append(l.parts, parts...)
	}
	return l, nil
}

// staging is what pqcheck compares a part with. The length of texts is judged apart.
func staging(t *window.TableLoad) pqcheck.Options {
	o := pqcheck.Options{MaxText: -1}
	for _, c := range t.Columns {
		o.Columns = append(o.Columns, pqcheck.Column{Name: c.Name, Text: isText(c.Type)})
	}
	o.Columns = append(o.Columns, pqcheck.Column{Name: opColumn})
	return o
}

// tooLongColumn is a column with a text that no VARCHAR holds.
func tooLongColumn(t *window.TableLoad, r pqcheck.Report) string {
	for _, c := range t.Columns {
		if isText(c.Type) && r.Longest[c.Name] > maxVarchar {
			return c.Name
		}
	}
	return ""
}

// stage copies all loads into temporary tables, in a transaction of its own: a COPY outside of one goes on when its client
// is gone.
func (s *Sink) stage(ctx context.Context, c *session, loads []*load) (o ledger.Outcome, err error) {
	start := time.Now()
	err = c.repeat(ctx, func() error {
		return c.transaction(ctx, func() error {
			for i, l := range loads {
				if !l.staged() {
					continue
				}
				err := ledger.Span(ctx, "load", func(ctx context.Context) error { return s.copyParts(ctx, c, l) },
					attribute.String(telemetry.KeyTable, l.Table.String()), attribute.Int64(telemetry.KeyRows, l.rows()), attribute.Int64(telemetry.KeyBytes, l.bytes()))
				if err != nil {
					return err
				}
				if i == 0 {
					failpoint.Hit(failpoint.MidCopy)
				}
			}
			return nil
		})
	})
	o.Load = time.Since(start)
	var failed *copyError
	if errors.As(err, &failed) {
		err = s.explain(ctx, c, failed)
	}
	for _, l := range loads {
		o.Changed += l.changed
		o.Bytes += l.bytes()
	}
	return o, err
}

// copyParts makes the staging table, fills it and compares counts (invariant 3).
func (s *Sink) copyParts(ctx context.Context, c *session, l *load) error {
	if _, err := c.Exec(ctx, stageSQL(l.stage, l.TableLoad, l.longest)); err != nil {
		return err
	}
	if len(l.parts) > 0 {
		manifest, err := s.manifest(ctx, l.parts)
		if err != nil {
			return err
		}
		if _, err := c.Exec(ctx, copySQL(l.stage, manifest, s.role)); err != nil {
			return &copyError{load: l, err: err}
		}
		var copied int64
		if err := c.row(ctx, countSQL, []any{&copied}); err != nil {
			return err
		}
		if copied != l.rows() {
			return &window.RefusedError{What: fmt.Sprintf("internal fault: COPY loaded %d rows of %s, the manifest says %d", copied, l.Table, l.rows()), Hint: "please report it with the manifest"}
		}
	}
	return l.check(ctx, c)
}

// check compares what is staged with the publish.
func (l *load) check(ctx context.Context, c *session) error {
	var n ledger.Counts
	if err := c.row(ctx, countsSQL(l.stage, l.TableLoad), []any{&n.Upserts, &n.Deletes, &n.Other, &n.NullKeys}); err != nil {
		return err
	}
	if err := ledger.CheckCounts(l.TableLoad, n); err != nil {
		return err
	}
	if err := c.row(ctx, repeatsSQL(l.stage, l.TableLoad), []any{&n.RepeatedKeys}); err != nil {
		return err
	}
	return ledger.CheckCounts(l.TableLoad, n)
}

// move takes the staged rows into the table: the old versions go, the new ones come.
func (l *load) move(ctx context.Context, c *session, todo plan) error {
	if !l.Replace && !todo.create {
		if _, err := c.Exec(ctx, deleteSQL(l.stage, l.TableLoad)); err != nil {
			return err
		}
	}
	if l.Upserts == 0 {
		return nil
	}
	n, err := c.Exec(ctx, insertSQL(l.stage, l.TableLoad, todo.supers))
	if err != nil {
		return err
	}
	if n != l.Upserts {
		return fmt.Errorf("%d rows were inserted of %d", n, l.Upserts)
	}
	return nil
}

// unstage drops the temporary tables. The publish is done: a session that cannot do it is closed by its pool.
func unstage(ctx context.Context, c *session, loads []*load) error {
	for _, l := range loads {
		if !l.staged() {
			continue
		}
		if _, err := c.Exec(ctx, dropSQL(ident(l.stage))); err != nil {
			return c.conn.Close(context.WithoutCancel(ctx))
		}
	}
	return nil
}

type manifestEntry struct {
	URL       string `json:"url"`
	Mandatory bool   `json:"mandatory"` // false is the default, and lets a missing file go unnoticed
	Meta      struct {
		ContentLength int64 `json:"content_length"` // Parquet wants it
	} `json:"meta"`
}

// manifest stores what COPY has to read and returns its address. Its name is its content's: the same again is no error.
func (s *Sink) manifest(ctx context.Context, parts []window.Part) (string, error) {
	entries := make([]manifestEntry, len(parts))
	for i, p := range parts {
		entries[i] = manifestEntry{URL: s.store.URL(p.Key), Mandatory: true}
		entries[i].Meta.ContentLength = p.Bytes
	}
	doc, err := json.Marshal(map[string]any{"entries": entries})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(doc)
	key := path.Dir(parts[0].Key) + "/copy-" + hex.EncodeToString(sum[:8]) + ".json"
	f, err := os.CreateTemp("", "tidemill-copy-*.json")
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	if _, err = f.Write(doc); err == nil {
		err = f.Close()
	}
	if err != nil {
		return "", err
	}
	if err := s.store.Put(ctx, key, f.Name()); err != nil {
		return "", fmt.Errorf("storing the manifest of a COPY: %w", err)
	}
	return s.store.URL(key), nil
}

// copyError is a COPY that failed.
type copyError struct {
	load *load
	err  error
}

func (e *copyError) Error() string {
	return "copying into " + e.load.Table.String() + ": " + classify(e.err).Error()
}

func (e *copyError) Unwrap() error { return e.err }

// explain asks Redshift what was wrong with a COPY and says it in one sentence. Columnar loads often leave no record; then the
// error's own detail has to do. The transaction is rolled back, and the record outlives it.
func (s *Sink) explain(ctx context.Context, c *session, e *copyError) error {
	cause := classify(e.err)
	where := "copying into " + e.load.Table.String()
	var refused *window.RefusedError
	if !errors.As(cause, &refused) || len(e.load.parts) == 0 {
		return fmt.Errorf("%s: %w", where, cause)
	}
	var name, column, length string
	var code int64
	dir := path.Dir(e.load.parts[0].Key)
	if err := c.row(ctx, whySQL, []any{&name, &column, &length, &code}, "%"+dir+"/%"); err != nil {
		name, column = "", ""
	}
	if name == "" { // the detail may name the file
		var pe *pgconn.PgError
		if errors.As(e.err, &pe) {
			name = pe.Detail
		}
	}
	if column != "" {
		where += ", column " + column
	}
	if i := slices.IndexFunc(e.load.parts, func(p window.Part) bool { return strings.Contains(name, p.Key) }); i >= 0 {
		where += ", part " + e.load.parts[i].Key
	}
	return &window.RefusedError{What: where + ": " + refused.What, Hint: refused.Hint, Err: refused.Err}
}

func noRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
