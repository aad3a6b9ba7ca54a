package duckdb_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/tidemill/tidemill/internal/conform"
)

// Attempts to leave the database, to change the process or to stop it, beyond what every warehouse must refuse.
func TestQueriesStayInside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "warehouse.db")
	if err := run(t.Context(), path, "CREATE SEQUENCE counter"); err != nil {
		t.Fatal(err)
	}
	s := open(t, "duckdb:"+path)
	conform.NewPipeline(t, "care").Acquire(s, 1)
	secret := filepath.Join(t.TempDir(), "secret.csv")
	if err := os.WriteFile(secret, []byte("a,b\n1,2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{
		"SELECT * FROM read_csv('" + secret + "')", "SELECT * FROM read_csv_auto('" + secret + "')", "SELECT * FROM READ_TEXT('" + secret + "')",
		"SELECT * FROM \"read_blob\"('" + secret + "')", "SELECT * FROM main.read_json('" + secret + "')", "SELECT * FROM system.main.glob('" + dir + "/*')",
		"SELECT * FROM sniff_csv('" + secret + "')", "SELECT * FROM '" + secret + "'", "FROM '" + secret + "'", "SELECT * FROM read_parquet('" + secret + "')",
		"SELECT * FROM parquet_metadata('" + secret + "')", "SELECT size FROM read_blob('" + path + "')", "SELECT size FROM read_blob('" + path + ".wal')",
		"SELECT nextval('counter')", "EXPLAIN ANALYZE SELECT nextval('counter')", // SELECTs that write: the transaction refuses
		"SELECT 1 WHERE EXISTS (FROM read_text('" + secret + "'))", "WITH x AS (FROM read_text('" + secret + "')) FROM x", "SELECT (SELECT content FROM read_text('" + secret + "'))",
		"SELECT * FROM range(1), LATERAL (SELECT * FROM read_text('" + secret + "'))", "DESCRIBE SELECT * FROM read_csv('" + secret + "')", "SUMMARIZE SELECT * FROM read_csv('" + secret + "')",
		"EXPLAIN ANALYZE SELECT * FROM read_csv('" + secret + "')", "SELECT * FROM query('SELECT 1')", "SELECT * FROM query_table('x')",
		"SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
		"SELECT * FROM enable_logging()", "SELECT * FROM enable_logging(storage='file', storage_path='" + dir + "/logs')", "SELECT * FROM enable_profiling()",
		"CALL enable_logging()", "SELECT * FROM checkpoint()", "SELECT * FROM force_checkpoint()", "PRAGMA force_checkpoint", "SELECT * FROM duckdb_secrets()",
		"COPY (SELECT 1) TO '" + path + "'", "EXPLAIN ANALYZE COPY (SELECT 1) TO '" + path + "'", "EXPORT DATABASE '" + dir + "'", "IMPORT DATABASE '" + dir + "'",
		"EXPLAIN /* */ ANALYZE DELETE FROM tidemill.fence", "EXPLAIN -- \n ANALYZE DELETE FROM tidemill.fence", "EXPLAIN (ANALYZE) DELETE FROM tidemill.fence",
		"EXPLAIN ANALYZE EXPLAIN DELETE FROM tidemill.fence", "DESCRIBE DELETE FROM tidemill.fence",
		"ATTACH '" + dir + "/x.db'", "DETACH warehouse", "INSTALL httpfs", "LOAD httpfs", "SET memory_limit='10GB'", "SET GLOBAL enable_external_access=true", "RESET memory_limit",
		"USE tidemill", "PRAGMA database_list", "CREATE SECRET x (TYPE s3)", "SELECT getenv('HOME')", "CREATE MACRO f() AS TABLE SELECT 1", "SET VARIABLE x = 1",
	} {
		if err := s.Query(t.Context(), q, func(arrow.RecordBatch) error { return nil }); err == nil {
			t.Errorf("%q was answered", q)
		}
	}
	if got := conform.Ask(t, s, "SELECT current_setting('enable_external_access'), current_setting('memory_limit')"); got[0] != "false" || got[1] != `"512.0 MiB"` {
		t.Errorf("settings are %s", got)
	}
	left, err := filepath.Glob(dir + "/*")
	if err != nil || len(left) > 2 { // the file and its log
		t.Errorf("the folder holds %s, %v", left, err)
	}
	for _, q := range []string{
		"FROM tidemill.fence", "DESCRIBE tidemill.fence", "SUMMARIZE tidemill.fence", "SHOW ALL TABLES", "SHOW TABLES", "SHOW tidemill.fence", "DESCRIBE SELECT 1", "SELECT * FROM duckdb_tables()",
		"SELECT [1, 2] AS l, {'a': 1} AS s, CAST(1 AS HUGEINT) AS h, INTERVAL 1 DAY AS i, unnest([1, 2])", "SELECT 1;;",
	} {
		if err := s.Query(t.Context(), q, func(arrow.RecordBatch) error { return nil }); err != nil {
			t.Errorf("%q: %v", q, err)
		}
	}
}
