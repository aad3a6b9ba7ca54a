package rslint_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/rslint"
)

// cases reads a file of testdata: statements between lines that begin with "==". What follows "==" is the rule that an
// invalid statement breaks.
type sample struct{ name, rule, sql string }

func samples(t testing.TB, file string) []sample {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var out []sample
	for _, part := range strings.Split("\n"+string(b), "\n==")[1:] {
		head, sql, _ := strings.Cut(part, "\n")
		out = append(out, sample{name: fmt.Sprintf("%s %d", file, len(out)+1), rule: strings.TrimSpace(head), sql: strings.TrimSpace(sql)})
	}
	return out
}

// What the Database Developer Guide shows, and what is run against real clusters by others, has no finding at all.
func TestValid(t *testing.T) {
	all := samples(t, "valid.sql")
	if len(all) < 100 {
		t.Fatalf("%d valid statements: the file is cut short", len(all))
	}
	for _, s := range all {
		for _, f := range rslint.Check(s.sql, rslint.Options{}) {
			if f.Warning && s.rule == string(f.Rule) {
				continue
			}
			t.Errorf("%s: %s\n%s", s.name, f, s.sql)
		}
	}
}

// What Redshift refuses is found, by the rule that is about it and at one place of the statement.
func TestInvalid(t *testing.T) {
	all := samples(t, "invalid.sql")
	if len(all) < 200 {
		t.Fatalf("%d invalid statements: the file is cut short", len(all))
	}
	for _, s := range all {
		found := rslint.Check(s.sql, rslint.Options{})
		if len(found) == 0 {
			t.Errorf("%s: nothing is found, want %s\n%s", s.name, s.rule, s.sql)
			continue
		}
		if string(found[0].Rule) != s.rule || len(found) > 1 && found[1].Rule != found[0].Rule {
			t.Errorf("%s: found %v, want only %s\n%s", s.name, found, s.rule, s.sql)
		}
		for _, f := range found {
			if f.Line < 1 || f.Col < 1 || f.What == "" || f.Why == "" || f.Remedy == "" {
				t.Errorf("%s: %+v is not a whole finding\n%s", s.name, f, s.sql)
			}
		}
	}
}

func TestPlaces(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT 1;\n  SELECT x FROM t FOR UPDATE":           "2:19 row-lock",
		"SELECT 'ü', a ->> 'k' FROM t":                      "1:15 operator",
		"/* a\n b */ INSERT INTO t VALUES (1) RETURNING id": "2:32 returning",
		"SELECT 1 FROM": "1:14 name",
		"UNLOAD ('SELECT a FROM t LIMIT 5') TO 's3://b/p' IAM_ROLE default FORMAT PARQUET": "1:9 unload-limit",
	} {
		found := rslint.Check(sql, rslint.Options{})
		if len(found) != 1 || fmt.Sprintf("%d:%d %s", found[0].Line, found[0].Col, found[0].Rule) != want {
			t.Errorf("%s\n got %v\nwant %s", sql, found, want)
		}
	}
}

func TestOptions(t *testing.T) {
	tests := []struct {
		sql   string
		o     rslint.Options
		rules string
	}{
		{"SELECT a FROM {{ ref \"t\" }} WHERE at >= {{ interval.start }}", rslint.Options{Templates: true, OneSelect: true}, ""},
		{"SELECT a FROM t WHERE at >= {{ interval.start }}", rslint.Options{}, "syntax"},
		{"WITH x AS (SELECT 1 AS a) SELECT a FROM x;", rslint.Options{OneSelect: true}, ""},
		{"DELETE FROM t", rslint.Options{OneSelect: true}, "one-select"},
		{"SELECT 1; SELECT 2", rslint.Options{OneSelect: true}, "one-select"},
		{"-- nothing", rslint.Options{OneSelect: true}, "one-select"},
		{"ALTER TABLE s.t ALTER COLUMN c TYPE VARCHAR(10)", rslint.Options{}, ""},
		{"ALTER TABLE s.t ALTER COLUMN c TYPE VARCHAR(10)", rslint.Options{InTransaction: true}, "no-transaction-block"},
		{"BEGIN; LOCK s.t; SELECT 1; COMMIT; SELECT 1; LOCK s.t", rslint.Options{}, ""},
		{"BEGIN; SELECT 1; LOCK s.t; COMMIT", rslint.Options{}, "lock-first"},
		{"BEGIN; SET query_group TO 'x'; LOCK s.t; COMMIT", rslint.Options{}, ""},
		{"BEGIN; VACUUM; COMMIT; VACUUM", rslint.Options{}, "no-transaction-block"},
		{"TRUNCATE s.t", rslint.Options{}, ""},
		{"SELEC 1; SELECT now() FROM t", rslint.Options{}, "statement leader-only"}, // one fault hides no other
	}
	for _, c := range tests {
		var rules []string
		for _, f := range rslint.Check(c.sql, c.o) {
			rules = append(rules, string(f.Rule))
		}
		if got := strings.Join(rules, " "); got != c.rules {
			t.Errorf("%s: got %q, want %q", c.sql, got, c.rules)
		}
	}
}

// Nothing that stands in quotes is ever quoted in a finding.
func TestLiteralsStaySecret(t *testing.T) {
	const secret = "canary7Qx2Zk9Vt"
	for _, s := range append(samples(t, "invalid.sql"), sample{sql: "SELECT 'x' 'x'"}, sample{sql: "COPY t FROM 'x' IAM_ROLE 'x' CSV"}) {
		parts := strings.Split(s.sql, "'")
		for i := 1; i < len(parts); i += 2 {
			parts[i] += secret
		}
		for _, f := range rslint.Check(strings.Join(parts, "'"), rslint.Options{}) {
			if strings.Contains(f.String(), secret) {
				t.Errorf("%s\n%s", f, s.sql)
			}
		}
	}
}

func FuzzCheck(f *testing.F) {
	for _, file := range []string{"valid.sql", "invalid.sql"} {
		for _, s := range samples(f, file) {
			f.Add(s.sql)
		}
	}
	f.Add(strings.Repeat("(", 5000))
	f.Add("SELECT " + strings.Repeat("NOT ", 5000) + "1")
	f.Add("SELECT " + strings.Repeat("-", 5001) + "1\n" + strings.Repeat("CASE WHEN ", 900))
	f.Add("SELECT 1" + strings.Repeat("::int[", 900))
	f.Add("\xff\x00'$a$\"{{/*/*")
	f.Fuzz(func(t *testing.T, sql string) {
		for _, o := range []rslint.Options{{}, {Templates: true, OneSelect: true}, {InTransaction: true}} {
			lines := strings.Count(sql, "\n") + 1
			for _, found := range rslint.Check(sql, o) {
				if found.Line < 1 || found.Line > lines || found.Col < 1 || found.Why == "" || found.What == "" {
					t.Errorf("%+v", found)
				}
			}
		}
	})
}
