package redshift_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/uuid"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/conform"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/internal/redshiftdouble"
	"github.com/tidemill/tidemill/sinks/redshift"
	"github.com/tidemill/tidemill/window"
)

var (
	visits  = window.WarehouseTable{Schema: "mart", Name: "visits"}
	columns = []ingest.Column{{Name: "id", Type: ingest.Type{Kind: ingest.Int64}}, {Name: "name", Type: ingest.Type{Kind: ingest.Text}}}
)

// rows are upserts of ids and names.
func rows(replace bool, names ...string) conform.Load {
	return conform.Load{Table: visits, Columns: columns, Key: []string{"id"}, Replace: replace, Parts: []func(*ingest.Builder){func(b *ingest.Builder) {
		for i, n := range names {
			b.Cols[0].Int64(int64(i + 1))
			b.Cols[1].Bytes([]byte(n))
			b.End(ingest.Upsert)
		}
	}}}
}

func wantRows(t *testing.T, w *warehouse, names ...string) {
	t.Helper()
	got := conform.Rows(t, w, visits, columns)
	if len(got) != len(names) {
		t.Errorf("%d rows, want %d", len(got), len(names))
	}
	for i, n := range names {
		if row := got[fmt.Sprint(i+1)]; len(row) != 2 || row[1] != fmt.Sprintf("%q", n) {
			t.Errorf("row %d differs", i+1)
		}
	}
}

// begun is a pipeline that has published its base.
func (l *lab) begun(t *testing.T, c redshiftdouble.Config, options ...string) (*redshiftdouble.Server, *warehouse, *conform.Pipeline) {
	t.Helper()
	d := l.start(t, c)
	w := l.client(t, d, l.store(t, uuid.NewString()), options...)
	p := conform.NewPipeline(t, "care")
	p.Acquire(w, 1)
	p.Publish(w, p.Next(rows(true, "anna", "budi")))
	return d, w, p
}

func receipts(t *testing.T, w *warehouse) string {
	t.Helper()
	return conform.Ask(t, w, "SELECT count(*) FROM tidemill.receipts")[0]
}

// A storm of conflicts: the transaction is run again, and nothing is copied again.
func TestConflicts(t *testing.T) {
	l := newLab(t)
	for name, e := range map[string]redshiftdouble.CommitError{"1023": redshiftdouble.Commit1023, "snapshot": redshiftdouble.CommitSnapshot, "deadlock": redshiftdouble.CommitDeadlock} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, w, p := l.begun(t, redshiftdouble.Config{})
			copies := w.sent.count("COPY ")
			pub := p.Next(rows(false, "Anna"))
			stages := map[string]int{}
			pub.Took = func(stage string, d time.Duration) {
				if stages[stage]++; d <= 0 {
					t.Errorf("the stage %s took %s", stage, d)
				}
			}
			for n := 1; n <= 3; n++ {
				d.Faults().FailCommit(n, e)
			}
			p.Publish(w, pub)
			if n := d.Faults().Happened("commit"); n != 3 {
				t.Errorf("%d commits failed, want 3", n)
			}
			if n := w.sent.count("COPY ") - copies; n > 4 {
				t.Errorf("%d COPYs", n)
			}
			if stages["load"] != 1 || stages["apply"] == 0 || stages["commit"] != 1 {
				t.Errorf("told of the stages %v", stages)
			}
			wantRows(t, w, "Anna", "budi")
			if n := receipts(t, w); n != "2" {
				t.Errorf("%s receipts, want 2", n)
			}
		})
	}
}

// The connection ends at every place there is: the publish has happened whole or not at all, the fence knows which, and the
// same publish again makes it happen once.
func TestKilled(t *testing.T) {
	l := newLab(t)
	for name, point := range map[string]redshiftdouble.Point{"before commit": redshiftdouble.BeforeCommit, "lost reply": redshiftdouble.LostReply,
		"after commit": redshiftdouble.AfterCommit, "after copy": redshiftdouble.AfterCopy, "during copy": redshiftdouble.DuringCopy} {
		for n := 1; n <= 2; n++ {
			t.Run(fmt.Sprintf("%s %d", name, n), func(t *testing.T) {
				t.Parallel()
				d, w, p := l.begun(t, redshiftdouble.Config{})
				before := p.Fence
				pub := p.Next(rows(false, "Anna"))
				d.Faults().Kill(point, n)
				err := w.Publish(t.Context(), pub, p.Local)
				if err != nil {
					realtest.NoCanary(t, "error", err.Error())
				}
				d.Faults().Clear()
				p.Follow(w)
				moved := p.Fence.Manifest != before.Manifest
				if err == nil && !moved || err != nil && moved {
					t.Errorf("the publish says %v, and the fence has moved: %v", err, moved)
				}
				if moved {
					wantRows(t, w, "Anna", "budi")
				} else {
					wantRows(t, w, "anna", "budi")
				}
				p.Publish(w, pub)
				wantRows(t, w, "Anna", "budi")
				if n := receipts(t, w); n != "2" {
					t.Errorf("%s receipts, want 2", n)
				}
			})
		}
	}
}

// The reply to the COMMIT that counts is lost: the fence settles it, and the caller never hears of it.
func TestLostReplyIsSettled(t *testing.T) {
	l := newLab(t)
	d, w, p := l.begun(t, redshiftdouble.Config{})
	pub := p.Next(rows(false, "Anna"))
	copies := w.sent.count("COPY ")
	d.Faults().Kill(redshiftdouble.LostReply, 2) // the first is of the staging
	if err := w.Publish(t.Context(), pub, p.Local); err != nil {
		t.Error(err)
	}
	if d.Faults().Happened("kill") != 1 || w.sent.count("COPY ")-copies != 1 {
		t.Errorf("%d kills, %d COPYs", d.Faults().Happened("kill"), w.sent.count("COPY ")-copies)
	}
	wantRows(t, w, "Anna", "budi")
}

// What S3 does to a COPY: what passes is tried again by the caller, what does not is refused with the remedy.
func TestS3Faults(t *testing.T) {
	l := newLab(t)
	for status, want := range map[int]string{503: "status 503 (SlowDown)", 403: "status 403 (AccessDenied)", 404: "status 404 (NoSuchKey)"} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			d, w, p := l.begun(t, redshiftdouble.Config{})
			pub := p.Next(rows(false, "Anna"))
			d.Faults().FailS3("part0", status, 100)
			err := w.Publish(t.Context(), pub, p.Local)
			var refused *window.RefusedError
			if err == nil || !strings.Contains(err.Error(), want) || errors.As(err, &refused) != (status < 500) || !strings.Contains(err.Error(), "mart.visits") {
				t.Errorf("got %v, want %q", err, want)
			}
			d.Faults().Clear()
			p.Publish(w, pub)
			wantRows(t, w, "Anna", "budi")
		})
	}
}

// swapped gives COPY another file than the publish has checked: the fault that no check of ours can see.
func swapped(t *testing.T, w *warehouse, p *conform.Pipeline, names ...string) *window.Publication {
	t.Helper()
	other := p.Next(rows(false, names...))
	file, err := p.Local(t.Context(), other.Manifest.Tables[0].Parts[0])
	if err != nil {
		t.Fatal(err)
	}
	pub := p.Next(rows(false, "Anna"))
	part := &pub.Manifest.Tables[0].Parts[0]
	local, err := p.Local(t.Context(), *part)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(copied, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.store.Put(t.Context(), part.Key, copied); err != nil {
		t.Fatal(err)
	}
	part.Bytes = int64(len(content))
	p.Known(part.Key, local)
	return pub
}

// A COPY that fails says table, column, part and remedy in one sentence, with Redshift's record of it and without.
func TestCopyErrors(t *testing.T) {
	l := newLab(t)
	for _, silent := range []bool{false, true} {
		d, w, p := l.begun(t, redshiftdouble.Config{})
		d.Faults().NoLoadErrorRows(silent)
		pub := swapped(t, w, p, realtest.Canary)
		err := w.Sink.Publish(t.Context(), pub, p.Local)
		var refused *window.RefusedError
		if !errors.As(err, &refused) || refused.Hint == "" {
			t.Fatalf("got %v, want a RefusedError with a hint", err)
		}
		for _, part := range []string{"copying into mart.visits", pub.Manifest.Tables[0].Parts[0].Key, "a text of column name has 15 bytes, the staging table takes 4"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("the error does not say %q: %v", part, err)
			}
		}
		if !silent && !strings.Contains(err.Error(), "column name, part") {
			t.Errorf("the record was not read: %v", err)
		}
		realtest.NoCanary(t, "error", err.Error())
		// More rows than the publish has are found by their count.
		err = w.Sink.Publish(t.Context(), swapped(t, w, p, "a", "b"), p.Local)
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), "COPY loaded 2 rows of mart.visits, the manifest says 1") {
			t.Errorf("got %v, want a refusal by count", err)
		}
		wantRows(t, w, "anna", "budi")
	}
}

// Columns grow with their texts, in bytes, before the transaction and in steps.
func TestWidening(t *testing.T) {
	l := newLab(t)
	d, w, p := l.begun(t, redshiftdouble.Config{})
	typ := func() string {
		return conform.Ask(t, w, "SELECT data_type FROM svv_redshift_columns WHERE table_name = 'visits' AND column_name = 'name'")[0]
	}
	if got := typ(); got != `"character varying(64)"` {
		t.Errorf("begins as %s", got)
	}
	for _, c := range []struct {
		name string
		want int
	}{{strings.Repeat("ü", 33), 256}, {strings.Repeat("x", 200), 256}, {strings.Repeat("🐚", 16000), 65535}} {
		p.Publish(w, p.Next(rows(false, c.name)))
		if got := typ(); got != fmt.Sprintf(`"character varying(%d)"`, c.want) {
			t.Errorf("after %d bytes it is %s, want %d", len(c.name), got, c.want)
		}
		wantRows(t, w, c.name, "budi")
	}
	if n := w.sent.count("ALTER COLUMN"); n != 2 {
		t.Errorf("altered %d times, want 2", n)
	}
	// Somebody else's table is left alone.
	run(t, d.DSN(), "CREATE TABLE mart.precious (id BIGINT, name VARCHAR(5))", "INSERT INTO mart.precious VALUES (1, 'x')")
	load := rows(true, "longer than five")
	load.Table.Name = "precious"
	var refused *window.RefusedError
	if err := w.Publish(t.Context(), p.Next(load), p.Local); !errors.As(err, &refused) {
		t.Errorf("somebody's table: %v", err)
	}
	if got := conform.Ask(t, w, "SELECT data_type FROM svv_redshift_columns WHERE table_name = 'precious' AND column_name = 'name'")[0]; got != `"character varying(5)"` {
		t.Errorf("somebody's table was widened to %s", got)
	}
}

// Texts that no VARCHAR holds: by the policy of the address, and counted.
func TestOverflow(t *testing.T) {
	l := newLab(t)
	long := "x" + strings.Repeat("ü", 40_000)
	for policy, want := range map[string]string{"error": "", "truncate": "x" + strings.Repeat("ü", 32767), "null": "NULL"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			_, w, p := l.begun(t, redshiftdouble.Config{}, "overflow", policy)
			pub := p.Next(rows(false, "anna", long))
			err := w.Publish(t.Context(), pub, p.Local)
			if policy == "error" {
				var refused *window.RefusedError
				if !errors.As(err, &refused) || !strings.Contains(err.Error(), "column name of mart.visits") || !strings.Contains(err.Error(), "overflow=quarantine") {
					t.Errorf("got %v", err)
				}
				wantRows(t, w, "anna", "budi")
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if policy != "null" {
				want = fmt.Sprintf("%q", want)
			}
			if got := conform.Rows(t, w, visits, columns)["2"][1]; got != want {
				t.Errorf("the text has become %d bytes, want %d", len(got), len(want))
			}
			if got := conform.Ask(t, w, "SELECT sum(changed_values) FROM tidemill.receipts")[0]; !strings.HasPrefix(got, "1") && got != `"1"` {
				t.Errorf("%s changed values in the receipts", got)
			}
			p.Follow(w)
			p.Publish(w, pub) // again: the shortened part is there
		})
	}
}

// SUPER by JSON_PARSE: the document can be read by its parts, and comes back with its meaning.
func TestSuper(t *testing.T) {
	l := newLab(t)
	d := l.start(t, redshiftdouble.Config{})
	w := l.client(t, d, l.store(t, uuid.NewString()), "json", "super", "diststyle", "key", "sortkey", "key")
	p := conform.NewPipeline(t, "care")
	p.Acquire(w, 1)
	docs := []ingest.Column{columns[0], {Name: "doc", Type: ingest.Type{Kind: ingest.JSON}}}
	load := conform.Load{Table: visits, Columns: docs, Key: []string{"id"}, Replace: true, Parts: []func(*ingest.Builder){func(b *ingest.Builder) {
		b.Cols[0].Int64(1)
		b.Cols[1].Bytes([]byte(`{"a":  [1, "x"]}`))
		b.End(ingest.Upsert)
		b.Cols[0].Int64(2)
		b.Cols[1].Null()
		b.End(ingest.Upsert)
	}}}
	p.Publish(w, p.Next(load))
	load.Replace = false
	p.Publish(w, p.Next(load))
	if got := conform.Ask(t, w, "SELECT data_type, distkey, sortkey FROM svv_redshift_columns c WHERE table_name = 'visits' AND column_name = 'doc'"); got[0] != `"super"` {
		t.Errorf("the column is %s", got)
	}
	if got := conform.Ask(t, w, "SELECT JSON_TYPEOF(doc) FROM mart.visits WHERE id = 1")[0]; got != `"object"` {
		t.Errorf("the document is a %s", got)
	}
	got := conform.Rows(t, w, visits, docs)
	if s := strings.ReplaceAll(got["1"][1], " ", ""); s != `"{\"a\":[1,\"x\"]}"` || got["2"][1] != "NULL" {
		t.Errorf("read back: %s", got)
	}
}

// A user whose password is hashed by SHA-256 is told apart by name.
func TestDigestLogin(t *testing.T) {
	l := newLab(t)
	d := l.start(t, redshiftdouble.Config{Auth: redshiftdouble.Digest})
	w := l.client(t, d, l.store(t, "digest"))
	_, err := w.Fence(t.Context(), "care")
	var refused *window.RefusedError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("got %v", err)
	}
}

func TestNeedsS3(t *testing.T) {
	s, err := redshift.New("redshift://u:p@h/d")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.LoadFrom(folder{}); err == nil || !strings.Contains(err.Error(), "s3://bucket/prefix") {
		t.Errorf("got %v", err)
	}
}

type folder struct{ window.Store }

// Keys that Redshift takes for equal are two rows all the same, and a query of many rows ends with its reader.
func TestTrailingBlanks(t *testing.T) {
	l := newLab(t)
	_, w, p := l.begun(t, redshiftdouble.Config{})
	table := window.WarehouseTable{Schema: "mart", Name: "codes"}
	load := conform.Load{Table: table, Columns: []ingest.Column{{Name: "code", Type: ingest.Type{Kind: ingest.Text}}}, Key: []string{"code"}, Replace: true,
		Parts: []func(*ingest.Builder){func(b *ingest.Builder) {
			for _, v := range []string{"a", "a "} {
				b.Cols[0].Bytes([]byte(v))
				b.End(ingest.Upsert)
			}
		}}}
	p.Publish(w, p.Next(load))
	if got := conform.Rows(t, w, table, load.Columns); len(got) != 2 {
		t.Errorf("%d rows, want 2", len(got))
	}
	if n := w.sent.count(`OCTET_LENGTH("code")`); n == 0 {
		t.Error("keys are compared without their length")
	}
	for _, q := range []string{"SELECT pg_terminate_backend(1)", "SELECT id INTO mart.x FROM mart.visits", "SHOW query_group; SELECT 1"} {
		var refused *window.RefusedError
		if err := w.Query(t.Context(), q, func(arrow.RecordBatch) error { return nil }); !errors.As(err, &refused) {
			t.Errorf("%s: %v", q, err)
		}
	}
	stop := errors.New("enough")
	if err := w.ReadTable(t.Context(), table, load.Columns, func(arrow.RecordBatch) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

// The image of a bad row may be longer than a column: what is left of it goes into quarantine, and the lake has the rest.
func TestLongQuarantine(t *testing.T) {
	l := newLab(t)
	_, w, p := l.begun(t, redshiftdouble.Config{}, "overflow", "quarantine")
	bad := conform.Bad{Table: visits, Key: "[2]", Column: "name", Fault: "text_too_long", Row: `{"id":2,"name":"` + strings.Repeat("ü", 40_000) + `"}`}
	p.Publish(w, p.Quarantine([]conform.Bad{bad}, rows(false, "Anna")))
	if got := conform.Ask(t, w, "SELECT OCTET_LENGTH(row_image), fault FROM tidemill.quarantine"); got[0] != "65534" && got[0] != "65535" || got[1] != `"text_too_long"` {
		t.Errorf("in quarantine is %s", got)
	}
	if w.MaxText() != 65535 || l.client(t, l.start(t, redshiftdouble.Config{}), w.store).MaxText() != 0 {
		t.Error("the limit of texts is not what the address says")
	}
}
