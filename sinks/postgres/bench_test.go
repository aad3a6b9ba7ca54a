package postgres

import (
	"io"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/conform"
	"github.com/tidemill/tidemill/internal/parquet"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/window"
)

const million = 1_000_000

// benchPart writes one part of a million rows.
func benchPart(b *testing.B) (*window.TableLoad, []string) {
	b.Helper()
	builder := ingest.NewBuilder(&ingest.Schema{Columns: conform.BenchColumns})
	conform.BenchRows(0, million, 1, 0)(builder)
	w := parquet.NewWriter(b.TempDir(), "part", parquet.Schema{Columns: conform.BenchColumns, Op: true})
	if err := w.Write(b.Context(), builder.Record()); err != nil {
		b.Fatal(err)
	}
	files, err := w.Close(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var paths []string
	for _, f := range files {
		paths = append(paths, f.Path)
	}
	return &window.TableLoad{Columns: conform.BenchColumns, Key: []string{"id"}}, paths
}

// BenchmarkEncode reads a part and makes COPY data of it: the client's whole work.
func BenchmarkEncode(b *testing.B) {
	load, files := benchPart(b)
	b.ResetTimer()
	for range b.N {
		if err := newEncoder(load, true).stream(b.Context(), io.Discard, files); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(million*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// BenchmarkCopy loads a part into a temporary table, as staging does.
func BenchmarkCopy(b *testing.B) {
	load, files := benchPart(b)
	conn, err := pgx.Connect(b.Context(), realtest.Postgres(b, benchSettings...).DSN(""))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	l := &tableLoad{TableLoad: load, files: files, stage: "pg_temp.stage"}
	tx, err := conn.Begin(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if err := l.makeStage(b.Context(), tx); err != nil {
		b.Fatal(err)
	}
	load.Upserts = million
	b.ResetTimer()
	for range b.N {
		e := newEncoder(load, true)
		sql := "COPY pg_temp.stage FROM STDIN (FORMAT binary)"
		if err := copyFrom(b.Context(), conn.PgConn(), sql, e, files); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(million*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

var benchSettings = []string{"shared_buffers=1GB", "max_wal_size=4GB"}

func BenchmarkPublish(b *testing.B) {
	s, err := New(realtest.Postgres(b, benchSettings...).DSN(""))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	conform.BenchSink(b, s)
}
