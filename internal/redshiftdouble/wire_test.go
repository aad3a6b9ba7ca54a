package redshiftdouble_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	double "github.com/tidemill/tidemill/internal/redshiftdouble"
)

// dial connects with changes to the client's configuration.
func (l *lab) dial(change func(*pgx.ConnConfig)) (*pgx.Conn, error) {
	l.Helper()
	c, err := pgx.ParseConfig(l.DSN())
	if err != nil {
		l.Fatal(err)
	}
	change(c)
	conn, err := pgx.ConnectConfig(l.Context(), c)
	if err == nil {
		l.Cleanup(func() { _ = conn.Close(context.Background()) })
	}
	return conn, err
}

func TestStartupParameters(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for name, k := range map[string]struct{ value, want string }{
		"application_name":            {"tidemill/p", ""},
		"client_encoding":             {"UTF8", ""},
		"extra_float_digits":          {"2", ""},
		"IntervalStyle":               {"postgres", `unrecognized configuration parameter "IntervalStyle"`},
		"standard_conforming_strings": {"on", "unrecognized configuration parameter"},
		"statement_timeout":           {"1", "unrecognized configuration parameter"},
		"replication":                 {"database", "unrecognized configuration parameter"},
		"options":                     {"-c x=y", "unrecognized configuration parameter"},
		"lc_monetary":                 {"C", "unrecognized configuration parameter"},
	} {
		_, err := l.dial(func(c *pgx.ConnConfig) { c.RuntimeParams[name] = k.value })
		if k.want == "" && err != nil || k.want != "" && (err == nil || !strings.Contains(err.Error(), k.want)) {
			t.Errorf("%s: %v, want %q", name, err, k.want)
		}
	}
	_, err := l.dial(func(c *pgx.ConnConfig) { c.RuntimeParams["extra_float_digits"] = "3" })
	if err == nil || !strings.Contains(err.Error(), "outside the valid range") {
		t.Errorf("extra_float_digits 3: %v", err)
	}
	if _, err := l.dial(func(c *pgx.ConnConfig) { c.Database = "other" }); err == nil || !strings.Contains(err.Error(), "3D000") {
		t.Errorf("another database: %v", err)
	}
	if _, err := l.dial(func(c *pgx.ConnConfig) { c.Password = "wrong" }); err == nil || !strings.Contains(err.Error(), "password authentication failed") {
		t.Errorf("another password: %v", err)
	}
}

func parameterStatus(t *testing.T, l *lab) {
	t.Helper()
	c := l.connect()
	for name, want := range map[string]string{
		"server_version": "8.0.2", "client_encoding": "UTF8", "TimeZone": "UTC", "is_superuser": "off", "session_authorization": "tidemill",
		"standard_conforming_strings": "", "integer_datetimes": "", "IntervalStyle": "",
	} {
		if got := c.PgConn().ParameterStatus(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if v := one[string](l, c, "SELECT version()"); !strings.HasPrefix(v, "PostgreSQL 8.0.2 on i686-pc-linux-gnu") || !strings.Contains(v, "Redshift 1.0.") {
		t.Error(v)
	}
	l.must(c, "SET timezone TO 'Europe/Rome'")
	if got := c.PgConn().ParameterStatus("TimeZone"); got != "Europe/Rome" {
		t.Errorf("TimeZone is %q after SET", got)
	}
}

func TestPasswordMethods(t *testing.T) {
	t.Parallel()
	for method, want := range map[double.Auth]string{double.MD5: "", double.Cleartext: "", double.Digest: "unknown authentication message type: 13"} {
		l := newLab(t, func(c *double.Config) { c.Auth = method })
		_, err := l.dial(func(*pgx.ConnConfig) {})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(strings.ToLower(err.Error()), "13")) {
			t.Errorf("method %d: %v", method, err)
		}
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *double.Config) { c.TLS = true })
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(l.Certificate()) {
		t.Fatal("no certificate")
	}
	c, err := l.dial(func(c *pgx.ConnConfig) { c.TLSConfig = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"} })
	if err != nil {
		t.Fatal(err)
	}
	if n := one[int](l, c, "SELECT 1"); n != 1 {
		t.Error(n)
	}
	if _, err := l.dial(func(c *pgx.ConnConfig) { c.TLSConfig = &tls.Config{ServerName: "127.0.0.1"} }); err == nil {
		t.Error("a stranger's certificate was accepted")
	}
}

// TestOldProtocolOnly: 3.2 and unknown codes are errors, never a negotiation.
func TestOldProtocolOnly(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	conn, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	f := pgproto3.NewFrontend(conn, conn)
	f.Send(&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersion32, Parameters: map[string]string{"user": "tidemill", "database": "dev"}})
	if err := f.Flush(); err != nil {
		t.Fatal(err)
	}
	m, err := f.Receive()
	if err != nil {
		t.Fatal(err)
	}
	if e, ok := m.(*pgproto3.ErrorResponse); !ok || e.Severity != "FATAL" || !strings.Contains(e.Message, "unsupported frontend protocol 3.2") {
		t.Errorf("%#v", m)
	}
}

// extendedProtocol: queries and changes of rows with parameters, and nothing else.
func extendedProtocol(t *testing.T, l *lab) {
	t.Helper()
	c := l.connect()
	l.must(c, "CREATE TABLE t (id BIGINT, s VARCHAR(20), n NUMERIC(10,2), at TIMESTAMP, doc SUPER, bin VARBYTE, flag BOOLEAN)")
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	tag, err := c.Exec(t.Context(), "INSERT INTO t (id, s, n, at, flag) VALUES ($1, $2, $3, $4, $5)", int64(1), `it's a \ "quote"`, "12.34", at, true)
	if err != nil || tag.RowsAffected() != 1 {
		t.Fatalf("%v, %v", tag, err)
	}
	l.must(c, `UPDATE t SET doc = json_parse('{"a": [1, "x"]}'), bin = 'abc'`)
	var id int64
	var s, n, doc, bin string
	var got time.Time
	var flag bool
	rows, err := c.Query(t.Context(), "SELECT id, s, n, at, doc, bin, flag FROM t WHERE id = $1", 1)
	if err != nil {
		t.Fatal(err)
	}
	oids := []uint32{20, 1043, 1700, 1114, 4000, 6551, 16}
	for i, f := range rows.FieldDescriptions() {
		if f.DataTypeOID != oids[i] || f.Format != 0 || f.TableOID != 0 {
			t.Errorf("column %s: %+v", f.Name, f)
		}
	}
	if !rows.Next() {
		t.Fatal(rows.Err())
	}
	if err := rows.Scan(&id, &s, &n, &got, &doc, &bin, &flag); err != nil {
		t.Fatal(err)
	}
	rows.Close()
	if s != `it's a \ "quote"` || n != "12.34" || !got.Equal(at) || doc != `{"a": [1, "x"]}` || bin != "616263" || !flag {
		t.Errorf("%s %s %s %s %s %v", s, n, got, doc, bin, flag)
	}
	if tag := rows.CommandTag().String(); tag != "SELECT" {
		t.Errorf("tag %q: servers before 8.2 count no SELECT", tag)
	}
	for _, q := range []string{"CREATE TABLE x (id BIGINT)", "COPY t FROM 's3://x/m' IAM_ROLE default FORMAT PARQUET MANIFEST", "UNLOAD ('SELECT 1') TO 's3://x/y' IAM_ROLE default FORMAT PARQUET", "LOCK t", "TRUNCATE t"} {
		rows, err := c.Query(t.Context(), q)
		if err == nil {
			rows.Close()
			err = rows.Err()
		}
		if err == nil || !strings.Contains(err.Error(), "cannot be prepared") {
			t.Errorf("%s: %v", q, err)
		}
	}
	if got := one[string](l, c, "SHOW enable_case_sensitive_identifier"); got != "off" {
		t.Error(got)
	}
}

// TestWrongModesFail: what works with PostgreSQL and would break on Redshift breaks here.
func TestWrongModesFail(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	c := l.connect()
	l.must(c, "CREATE TABLE t (id BIGINT, n NUMERIC(10,2))", "INSERT INTO t VALUES (1, 12.34)")
	// simple protocol with parameters: pgx wants to know that backslashes do not escape
	if _, err := c.Query(t.Context(), "SELECT $1::varchar(9)", pgx.QueryExecModeSimpleProtocol, "x"); err == nil || !strings.Contains(err.Error(), "standard_conforming_strings") {
		t.Errorf("simple protocol: %v", err)
	}
	// binary numbers
	for flipped, size := range map[bool]int{false: 8, true: 16} {
		l.Faults().FlipNumeric(flipped)
		r := c.PgConn().ExecParams(t.Context(), "SELECT n FROM t", nil, nil, nil, []int16{1}).Read()
		if r.Err != nil || len(r.Rows[0][0]) != size || r.Rows[0][0][size-1] != 0xd2 {
			t.Errorf("binary NUMERIC: %x, %v", r.Rows, r.Err)
		}
	}
	// types that Redshift has not
	for _, oid := range []uint32{17, 1009, 1016, 2950} {
		r := c.PgConn().ExecParams(t.Context(), "SELECT 1 FROM t WHERE $1 IS NULL", [][]byte{[]byte("x")}, []uint32{oid}, nil, nil).Read()
		if r.Err == nil || !strings.Contains(r.Err.Error(), "of parameter $1 is not supported") {
			t.Errorf("type %d: %v", oid, r.Err)
		}
	}
	if _, err := c.Exec(t.Context(), "DELETE FROM t WHERE id = ANY ($1)", []int64{1}); err == nil || !strings.Contains(err.Error(), "syntax error") {
		t.Errorf("= ANY (array): %v", err)
	}
	// CopyFrom
	if _, err := c.CopyFrom(t.Context(), pgx.Identifier{"t"}, []string{"id"}, pgx.CopyFromRows([][]any{{1}})); err == nil || !strings.Contains(err.Error(), "syntax error") {
		t.Errorf("CopyFrom: %v", err)
	}
	// batches
	b := &pgx.Batch{}
	b.Queue("SELECT 1")
	b.Queue("SELECT 2")
	if err := c.SendBatch(t.Context(), b).Close(); err == nil || !strings.Contains(err.Error(), "pipelined") {
		t.Errorf("batch: %v", err)
	}
	if n := one[int](l, c, "SELECT 7"); n != 7 {
		t.Errorf("after the batch: %d", n)
	}
}

// TestBackslashes: they escape, so a literal must double them.
func TestBackslashes(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	c := l.connect()
	for sql, want := range map[string]string{
		`SELECT 'a\b'`:        "a\b",
		`SELECT 'a\\b'`:       `a\b`,
		`SELECT 'it\'s'`:      "it's",
		`SELECT 'it''s \x'`:   "it's x",
		"SELECT $$a\\b'c$$":   `a\b'c`,
		`SELECT 'x' /* ' */`:  "x",
		"SELECT 'x' -- ' \n":  "x",
		`SELECT 'a' || '\\' `: `a\`,
	} {
		if got := one[string](l, c, sql); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
}

func TestIdentifiers(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	c := l.connect()
	long := strings.Repeat("n", 120)
	l.must(c, `CREATE TABLE "MixedCase" ("Id" BIGINT, `+long+` VARCHAR(9), "`+strings.Repeat("é", 70)+`" INTEGER)`, "INSERT INTO mixedcase VALUES (1, 'x', 2)")
	rows, err := c.Query(t.Context(), `SELECT "ID", `+long+`, * FROM "MIXEDCASE"`)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range rows.FieldDescriptions() {
		names = append(names, f.Name)
	}
	rows.Close()
	want := []string{"id", long, "id", long, strings.Repeat("é", 63)} // 127 bytes hold 63 of them
	if strings.Join(names, ",") != strings.Join(want, ",") {
		t.Errorf("%q", names)
	}
	if got := one[string](l, c, "SELECT column_name FROM svv_columns WHERE table_name = 'mixedcase' AND ordinal_position = 2"); got != long {
		t.Error(got)
	}
	if e := l.fails(c, "SELECT "+strings.Repeat("m", 90)+" FROM mixedcase"); !strings.Contains(e.Message, strings.Repeat("m", 90)) {
		t.Error(e.Message)
	}
	l.must(c, "SET enable_case_sensitive_identifier TO on", `CREATE TABLE "Exact" ("Id" BIGINT, "ID" BIGINT)`)
	if e := l.fails(c, "SELECT * FROM exact"); e.Code != "42P01" {
		t.Error(e)
	}
	l.must(c, `SELECT "Id", "ID" FROM "Exact"`)
	other := newLab(t, func(c *double.Config) { c.CaseSensitive = true })
	if got := one[string](other, other.connect(), "SHOW enable_case_sensitive_identifier"); got != "on" {
		t.Error(got)
	}
}

// TestSeveralStatements are one transaction.
func TestSeveralStatements(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	c := l.connect()
	l.must(c, "CREATE TABLE t (id BIGINT); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)", "", ";", "-- ping")
	if e := l.fails(c, "INSERT INTO t VALUES (3); SELECT nope FROM t"); e.Code != "42703" {
		t.Error(e)
	}
	if n := one[int](l, c, "SELECT count(*) FROM t"); n != 2 {
		t.Errorf("%d rows", n)
	}
	if _, err := c.Exec(t.Context(), "BEGIN; INSERT INTO t VALUES (3)"); err != nil || c.PgConn().TxStatus() != 'T' {
		t.Errorf("%v, status %c", err, c.PgConn().TxStatus())
	}
	l.must(c, "COMMIT")
}

func TestNotices(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	var notices []string
	c, err := l.dial(func(c *pgx.ConnConfig) {
		c.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { notices = append(notices, n.Severity+" "+n.Message) }
	})
	if err != nil {
		t.Fatal(err)
	}
	s, columns := everyKind()
	l.must(c, "CREATE TABLE t ("+columns+")")
	m := l.manifest("m", l.put("a.parquet", write(t, s, 0, 4)))
	tag, err := c.Exec(t.Context(), copySQL("t", m))
	if err != nil || tag.String() != "COPY" {
		t.Errorf("%q, %v", tag, err)
	}
	l.must(c, "COMMIT", "CREATE TABLE IF NOT EXISTS t (id BIGINT)")
	want := "INFO Load into table 't' completed, 4 record(s) loaded successfully.|WARNING there is no transaction in progress|INFO Relation \"t\" already exists and will be skipped"
	if got := strings.Join(notices, "|"); got != want {
		t.Error(got)
	}
}

// TestCancel: a cancel request ends the statement; one with an unknown key does nothing.
func TestCancel(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	a, b := l.connect(), l.connect()
	l.must(a, "CREATE TABLE t (id BIGINT)", "BEGIN", "LOCK t")
	failed := make(chan error, 1)
	go func() {
		_, err := b.Exec(context.Background(), "DELETE FROM t")
		failed <- err
	}()
	l.eventually("b waits for the lock", func() bool {
		return waiting(l) == 1
	})
	if err := a.PgConn().CancelRequest(t.Context()); err != nil { // a is idle: nothing happens
		t.Error(err)
	}
	if err := b.PgConn().CancelRequest(t.Context()); err != nil {
		t.Error(err)
	}
	var pg *pgconn.PgError
	if err := <-failed; !errors.As(err, &pg) || pg.Code != "57014" {
		t.Errorf("%v", err)
	}
	l.must(a, "COMMIT")
}

func TestFunctionCallIsRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	h, err := l.connect().PgConn().Hijack()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Conn.Close()
	h.Frontend.Send(&pgproto3.FunctionCall{Function: 1})
	if err := h.Frontend.Flush(); err != nil {
		t.Fatal(err)
	}
	m, err := h.Frontend.Receive()
	if e, ok := m.(*pgproto3.ErrorResponse); err != nil || !ok || e.Code != "0A000" {
		t.Errorf("%#v, %v", m, err)
	}
}

// TestPsql: the plain client of people works, too.
func TestPsql(t *testing.T) {
	t.Parallel()
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("SKIPPED: no psql in PATH; bring it with: sudo apt-get install -y postgresql-client")
	}
	l := newLab(t)
	dsn := strings.Replace(l.DSN(), "default_query_exec_mode=exec&", "", 1)
	out, err := exec.CommandContext(t.Context(), psql, "-X", "-A", "-t", dsn, "-c", "CREATE TABLE t (id BIGINT, s VARCHAR(10))", "-c", "INSERT INTO t VALUES (1, 'a')", "-c", "SELECT id, s, nvl(s, 'x') FROM t").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "1|a|a") {
		t.Errorf("%v\n%s", err, out)
	}
}
