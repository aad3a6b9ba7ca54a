package redshift

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/window"
)

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{``: `''`, `a'b`: `'a''b'`, `a\`: `'a\\'`, `\'`: `'\\'''`, "ü\n": "'ü\n'"} {
		if got := literal(in); got != want {
			t.Errorf("literal %q is %s, want %s", in, got, want)
		}
	}
	if got := ident("Mart", `We"ird`); got != `"mart"."we""ird"` {
		t.Errorf("ident is %s", got)
	}
}

func TestWidth(t *testing.T) {
	for longest, want := range map[int]int{0: 64, 1: 64, 32: 64, 33: 128, 100: 256, 16384: 32768, 16385: 65535, 40000: 65535, 65535: 65535} {
		if got := width(longest); got != want || got < longest {
			t.Errorf("width for %d bytes is %d, want %d", longest, got, want)
		}
	}
}

func TestTruncate(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"aü", 2, "a"}, {"aü", 3, "aü"}, {"🐚🐚", 7, "🐚"}, {"🐚", 3, ""}} {
		if got := truncate(c.in, c.n); got != c.want {
			t.Errorf("%q cut at %d is %q, want %q", c.in, c.n, got, c.want)
		}
	}
}

func TestTypes(t *testing.T) {
	for s, want := range map[string]colType{
		"character varying(256)": {name: varchar, length: 256}, "numeric(18,4)": {name: "numeric", precision: 18, scale: 4}, "bigint": {name: "bigint"},
		"binary varying(64000)": {name: varbyte}, "super": {name: super}, "timestamp without time zone": {name: "timestamp without time zone"},
	} {
		if got := parseType(s); got != want {
			t.Errorf("%s is read as %+v", s, got)
		}
	}
	typ := parseType
	for _, c := range []struct {
		have, want string
		fit        fit
	}{
		{"bigint", "bigint", same}, {"bigint", "integer", holds}, {"smallint", "bigint", convert}, {"bigint", "character varying(9)", mismatch}, {"numeric(9,2)", "numeric(20,6)", convert},
		{"numeric(20,6)", "numeric(9,2)", holds}, {"numeric(9,2)", "numeric(9,4)", mismatch}, {"character varying(9)", "character varying(10)", wider}, {"character varying(10)", "character varying(9)", holds},
		{"real", "double precision", convert}, {"super", "character varying(9)", mismatch}, {"numeric(19,0)", "bigint", holds}, {"date", "timestamp without time zone", mismatch},
	} {
		if got := compare(typ(c.have), typ(c.want)); got != c.fit {
			t.Errorf("%s for %s: %d, want %d", c.have, c.want, got, c.fit)
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	load := &window.TableLoad{Table: window.WarehouseTable{Schema: "mart", Name: "visits"}, Key: []string{"id"},
		Columns: []ingest.Column{{Name: "ID", Type: ingest.Type{Kind: ingest.Int64}}, {Name: "note", Type: ingest.Type{Kind: ingest.Text}}}}
	have := func(key, note string) *shape {
		return &shape{owner: "care", key: []string{key}, columns: []column{{"id", parseType("bigint"), true}, {"note", parseType(note), false}}}
	}
	for what, c := range map[string]struct {
		s    *shape
		word string
	}{
		"another key":  {have("note", "character varying(9)"), "has the key (note), the view gives (id)"},
		"another type": {have("id", "bigint"), "the column note of mart.visits is bigint, the view gives varchar(5)"},
	} {
		_, err := c.s.plan(load, map[string]int{"note": 5}, options{}, "care")
		var refused *window.RefusedError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.word) || !strings.Contains(err.Error(), "resync") {
			t.Errorf("%s: %v", what, err)
		}
	}
	replaced := *load
	replaced.Replace = true
	p, err := have("note", "bigint").plan(&replaced, map[string]int{"note": 5}, options{}, "care")
	if err != nil || len(p.alter) != 3 || slices.ContainsFunc(p.alter, func(q string) bool { return strings.HasPrefix(q, "UPDATE") }) {
		t.Errorf("an emptied table: %v, %v", p.alter, err)
	}
}

// What Redshift says becomes one sentence with names and numbers, and without what may be a value.
func TestErrors(t *testing.T) {
	block := func(error string, code int) string {
		return fmt.Sprintf("\n  -----------------------------------------------\n  error:  Spectrum Scan Error\n  code:      %d\n  context:   %s\n  query:     5\n  location:  dory_util.cpp:1509\n  process:   worker_thread [pid=7]\n", code, error)
	}
	xx := func(message, detail string) *pgconn.PgError {
		return &pgconn.PgError{Code: "XX000", Message: message, Detail: detail}
	}
	for name, c := range map[string]struct {
		err                 *pgconn.PgError
		says                string
		refused, isConflict bool
	}{
		"too long":      {xx("Spectrum Scan Error", block("The length of the data column note is longer than the length defined in\n the table. Table: 256, Data: 262", 15007)), "a text of column note has 262 bytes, the staging table takes 256", true, false},
		"columns":       {xx("Spectrum Scan Error", block("Unmatched number of columns between table and file. Table columns: 20, Data columns: 16", 15007)), "the file has 16 columns, the staging table 20", true, false},
		"schema":        {xx("Spectrum Scan Error", block("File 'https://s3...' has an incompatible Parquet schema for column 's3://b/t.amount'. Column type: BIGINT", 15007)), "the file's type of column", true, false},
		"decimal":       {xx("Spectrum Scan Error", block("column 'x' has an invalid type length. Expecting: 8 len in file: 13", 15001)), "has 13 bytes, Redshift wants 8", true, false},
		"denied":        {xx("Spectrum Scan Error", block("S3ServiceException:Access Denied,Status 403,Error AccessDenied,Rid X", 15001)), "status 403 (AccessDenied)", true, false},
		"slow down":     {xx("Spectrum Scan Error", block("S3ServiceException:Please reduce your request rate.,Status 503,Error SlowDown,Rid X", 15001)), "status 503 (SlowDown)", false, false},
		"manifest":      {xx("Spectrum Scan Error", block("File entry does not have 'meta' key.", 15003)), "the manifest is not as COPY wants it", true, false},
		"1023":          {xx("1023", "Serializable isolation violation on table - 100167, transactions forming the cycle are: 1, 2 (pid:3)"), "violation on table 100167", false, true},
		"1023 in words": {xx("ERROR: 1023", ""), "conflict with a concurrent transaction", false, true},
		"snapshot":      {xx("could not complete because of conflict with concurrent transaction", ""), "conflict with a concurrent transaction", false, true},
		"1018":          {xx("1018", "Relation does not exist"), "conflict", false, true},
		"oid":           {xx("could not open relation with OID 123", ""), "conflict", false, true},
		"deadlock":      {&pgconn.PgError{Code: "40P01", Message: "deadlock detected"}, "conflict", false, true},
		"value":         {xx("Invalid digit, Value '"+realtest.Canary+"', Pos 0, Type: Integer", block(realtest.Canary, 1207)), "redshift: SQLSTATE XX000, code 1207", false, false},
		"too long 8001": {xx("Value too long for character type", block("Value too long for type character varying: "+realtest.Canary, 8001)), "a value is too long", true, false},
		"gone from S3":  {xx("Spectrum Scan Error", block("The specified S3 prefix 'lake/care/copy-00.json' does not exist", 8001)), "S3 has nothing at lake/care/copy-00.json", true, false},
		"json":          {xx("JSON parsing error", block(realtest.Canary, 1224)), "cannot parse a document", true, false},
		"grants":        {&pgconn.PgError{Code: "42501", Message: "permission denied for schema mart"}, "permission denied for schema mart", true, false},
		"gone":          {&pgconn.PgError{Code: "42P01", Message: `relation "x" does not exist`}, `relation "x" does not exist`, false, false},
		"syntax":        {&pgconn.PgError{Code: "42601", Message: `syntax error at or near "` + realtest.Canary + `"`}, "syntax error at or near", true, false},
		"unknown":       {xx("something with "+realtest.Canary, ""), "SQLSTATE XX000", false, false},
		"shutdown":      {&pgconn.PgError{Code: "57P01", Message: "terminating connection due to administrator command"}, "terminating connection", false, false},
	} {
		err := classify(fmt.Errorf("loading: %w", c.err))
		var refused *window.RefusedError
		if !strings.Contains(err.Error(), c.says) || errors.As(err, &refused) != c.refused || conflict(err) != c.isConflict {
			t.Errorf("%s: %v (refused %v, conflict %v)", name, err, errors.As(err, &refused), conflict(err))
		}
		if c.refused && refused.Hint == "" {
			t.Errorf("%s: no hint", name)
		}
		realtest.NoCanary(t, name, err.Error())
	}
}

func TestAddress(t *testing.T) {
	const cluster, serverless = "prod.abc123xyz.ap-southeast-1.redshift.amazonaws.com", "wg.123456789012.eu-west-1.redshift-serverless.amazonaws.com"
	o, id, c, err := parse("redshift://load:" + realtest.Canary + "@" + cluster + "/dev?iam_role=arn:aws:iam::123456789012:role/load&query_group=etl&statement_timeout=30m")
	if err != nil || id.auth != "password" || o.role == "default" || c.ConnConfig.Port != 5439 || c.ConnConfig.TLSConfig == nil || c.ConnConfig.TLSConfig.ServerName != cluster || len(c.ConnConfig.RuntimeParams) != 1 {
		t.Errorf("%+v %+v %v", o, id, err)
	}
	if got := strings.Join(o.settings(), "; "); !strings.Contains(got, "SET query_group TO 'etl'; SET statement_timeout TO 1800000") {
		t.Errorf("settings: %s", got)
	}
	if _, id, _, err = parse("redshift://" + cluster + "/dev"); err != nil || id.auth != "cluster" || id.cluster != "prod" || id.region != "ap-southeast-1" || id.database != "dev" {
		t.Errorf("%+v, %v", id, err)
	}
	if _, id, _, err = parse("redshift://" + serverless + ":5439/dev"); err != nil || id.auth != "serverless" || id.workgroup != "wg" || id.region != "eu-west-1" {
		t.Errorf("%+v, %v", id, err)
	}
	for bad, want := range map[string]string{
		"redshift://h":                   "the address is not redshift://",
		"redshift://u@h/d":               "no user and password",
		"redshift://h/d":                 "no user and password",
		"redshift://h/d?auth=cluster":    "needs cluster=",
		"redshift://h/d?auth=serverless": "needs workgroup=",
		"redshift://u:" + realtest.Canary + "@" + cluster + "/d?auth=cluster": "replace it, remove one",
		"redshift://u:" + realtest.Canary + "@h/d?json=text":                  `json is "text", want varchar or super`,
		"redshift://u:" + realtest.Canary + "@h/d?overflow=cut":               "want error or quarantine or truncate or null",
		"redshift://u:" + realtest.Canary + "@h/d?iam_role=load":              "iam_role is neither",
		"redshift://u:" + realtest.Canary + "@h/d?rows=5":                     `unknown option "rows"`,
		"redshift://u:" + realtest.Canary + "@h/d?statement_timeout=5":        "not a duration",
		"redshift://u:" + realtest.Canary + "@h/d?sslmode=maybe":              "the address is not redshift://",
		"redshift://u:" + realtest.Canary + "@h:x/d":                          "the address is not redshift://",
	} {
		_, err := New(bad)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", bad, err, want)
			continue
		}
		realtest.NoCanary(t, "error", err.Error())
	}
}

func TestDecode(t *testing.T) {
	for in, want := range map[string]int64{"1970-01-01 00:00:00": 0, "2026-01-05 09:00:00.5+00": 1767603600500000, "1969-12-31 23:59:59.999999": -1, "0001-01-01 00:00:00 BC": -62167219200000000,
		"4713-01-01 00:00:00+00 BC": -210863520000000000} {
		if got, err := parseInstant(in); err != nil || got != want {
			t.Errorf("%s is %d, %v; want %d", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "x", "2026-01-05", "2026-01-05 09:00:00+07"} {
		if _, err := parseInstant(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// Keys by configuration: a column that the table lacks is refused by name, or left out where a pattern means many tables.
func TestLayout(t *testing.T) {
	load := &window.TableLoad{Table: window.WarehouseTable{Schema: "mart", Name: "visits"}, Key: []string{"ID"}, Columns: []ingest.Column{
		{Name: "ID", Type: ingest.Type{Kind: ingest.Int64}}, {Name: "day", Type: ingest.Type{Kind: ingest.Date}}, {Name: "Seen At", Type: ingest.Type{Kind: ingest.Timestamp}}}}
	for name, k := range map[string]struct {
		layout window.Layout
		want   string
		fails  string
	}{
		"nothing":      {window.Layout{}, "DISTSTYLE AUTO SORTKEY AUTO", ""},
		"both":         {window.Layout{Dist: "id", Sort: []string{"day"}}, `DISTSTYLE KEY DISTKEY ("id") COMPOUND SORTKEY ("day")`, ""},
		"sorted":       {window.Layout{Sort: []string{"Seen At", "ID"}}, `DISTSTYLE AUTO COMPOUND SORTKEY ("seen at", "id")`, ""},
		"absent":       {window.Layout{Dist: "city"}, "", "no column city"},
		"of a pattern": {window.Layout{Dist: "city", Optional: true}, "DISTSTYLE AUTO SORTKEY AUTO", ""},
	} {
		o := options{distStyle: "auto", sortKey: "auto", layout: func(window.WarehouseTable) window.Layout { return k.layout }}
		p, err := (&shape{}).plan(load, nil, o, "care")
		switch {
		case k.fails != "":
			var refused *window.RefusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), k.fails) {
				t.Errorf("%s: %v", name, err)
			}
		case err != nil || !strings.HasSuffix(p.alter[0], ") "+k.want):
			t.Errorf("%s: %v, %s", name, err, p.alter)
		}
	}
}
