package redshiftdouble_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	double "github.com/tidemill/tidemill/internal/redshiftdouble"
)

// TestCorpus runs every statement and compares the double's answer with the table.
func TestCorpus(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	c := l.connect()
	l.must(c, double.CorpusTables...)
	cases := double.Corpus()
	if len(cases) < 150 {
		t.Fatalf("%d statements", len(cases))
	}
	for _, k := range cases {
		check(l, c, k)
	}
}

func check(l *lab, c *pgx.Conn, k double.Case) {
	l.Helper()
	if !k.Alone {
		l.must(c, "BEGIN")
	}
	sql := strings.ReplaceAll(k.Statement, "PREFIX", strings.Trim(l.prefix, "/"))
	_, err := c.Exec(context.Background(), sql)
	code, message := "ok", ""
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		code, message = pg.Code, pg.Message+pg.Detail
	} else if err != nil {
		l.Fatalf("line %d: %v: %s", k.Line, err, sql)
	}
	if code != k.Code || !strings.Contains(message, k.Text) {
		l.Errorf("line %d: %s\n  got  %s %s\n  want %s %s", k.Line, sql, code, message, k.Code, k.Text)
	}
	if k.Valid && code != "ok" && !strings.Contains(message, "not emulated") && !strings.HasPrefix(sql, "COPY") {
		l.Errorf("line %d: valid, but refused", k.Line)
	}
	if c.PgConn().TxStatus() != 'I' {
		l.must(c, "ROLLBACK")
	}
}
