package redshiftdouble_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	double "github.com/tidemill/tidemill/internal/redshiftdouble"
)

// storage is how errors of S3 and of roles look: the statement was read and about to run.
var storage = regexp.MustCompile(`(?i)s3serviceexception|s3 prefix|bucket|access ?denied|not authorized|assume role|spectrum scan`)

var mart = regexp.MustCompile(`\bmart\b`)

// TestCorpusOnACluster holds the verdicts of the corpus against a real Redshift, in two schemas that it makes and drops. It says which
// unproven lines the cluster has proven.
func TestCorpusOnACluster(t *testing.T) {
	dsn := os.Getenv("TIDEMILL_REDSHIFT_DSN")
	if dsn == "" {
		t.Skip("SKIPPED: no real cluster; set TIDEMILL_REDSHIFT_DSN to the address of one, of a user who may create schemas")
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	c, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	own := fmt.Sprintf("tidemill_corpus_%d", time.Now().Unix())
	local := func(sql string) string { return mart.ReplaceAllString(sql, own+"_mart") }
	run := func(sql string) error {
		_, err := c.Exec(context.WithoutCancel(t.Context()), local(sql))
		return err
	}
	for _, q := range append([]string{"CREATE SCHEMA " + own, "SET search_path TO " + own}, double.CorpusTables...) {
		if err := run(q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
	defer func() {
		for _, schema := range []string{own, own + "_mart"} {
			if err := run("DROP SCHEMA " + schema + " CASCADE"); err != nil {
				t.Error(err)
			}
		}
	}()
	for _, k := range double.Corpus() {
		prove(t, c, k, run)
	}
}

func prove(t *testing.T, c *pgx.Conn, k double.Case, run func(string) error) {
	t.Helper()
	if !k.Alone {
		if err := run("BEGIN"); err != nil {
			t.Fatal(err)
		}
	}
	err := run(k.Statement)
	code, message := "ok", ""
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		code, message = pg.Code, pg.Message
	} else if err != nil {
		t.Fatalf("line %d: %v", k.Line, err)
	}
	if c.PgConn().TxStatus() != 'I' {
		if err := run("ROLLBACK"); err != nil {
			t.Fatal(err)
		}
	}
	// COPY and UNLOAD name a bucket that is not there, REFRESH and CALL objects that are not: who looks for those has understood the rest.
	valid := code == "ok" || code == "XX000" && storage.MatchString(message) || k.Valid && k.Code == "0A000" && (code == "42883" || code == "42P01")
	switch {
	case valid != k.Valid:
		t.Errorf("line %d: Redshift says %s %s, the corpus says valid=%v: %s", k.Line, code, message, k.Valid, k.Statement)
	case !k.Proven:
		t.Logf("line %d is proven: %s %s", k.Line, code, message)
	case !k.Valid && code != k.Code:
		t.Logf("line %d: Redshift's code is %s %s, the double's %s", k.Line, code, message, k.Code)
	}
}
