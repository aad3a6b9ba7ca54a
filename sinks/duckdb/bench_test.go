package duckdb_test

import (
	"path/filepath"
	"testing"

	"github.com/tidemill/tidemill/internal/conform"
)

func BenchmarkPublish(b *testing.B) {
	conform.BenchSink(b, open(b, filepath.Join(b.TempDir(), "warehouse.db")+"?memory_limit=1GB"))
}
