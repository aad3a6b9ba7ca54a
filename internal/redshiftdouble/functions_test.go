package redshiftdouble_test

import (
	"testing"
)

// TestFunctions: what Redshift's functions give, as text.
func TestFunctions(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	c := l.connect()
	l.must(c, "CREATE TABLE t (id INTEGER, big BIGINT, n NUMERIC(10,2), s VARCHAR(20), ts TIMESTAMP, doc SUPER)",
		`INSERT INTO t VALUES (1, 1, 1.25, 'a', '2026-01-31 23:59:59.5', JSON_PARSE('{"a": {"b": [1, 2]}}')), (2, 2, 2.50, NULL, '2026-02-01 00:00:00', '{"a": 1}'), (2, 4, 9.99, 'b', NULL, NULL)`)
	for sql, want := range map[string]string{
		"SELECT avg(id)::varchar || ' ' || avg(big)::varchar FROM t":                                "1 2", // integers stay integers
		"SELECT datediff(day, '2026-01-31 23:59:59'::timestamp, '2026-02-01'::timestamp)::varchar":  "1",   // boundaries, not durations
		"SELECT datediff(month, '2026-01-31'::date, '2026-02-01'::date)::varchar":                   "1",
		"SELECT datediff('hour', '2026-01-01 00:59:00'::timestamp, '2026-01-01 01:00:00')::varchar": "1",
		"SELECT dateadd(month, 1, '2026-01-31'::timestamp)::varchar":                                "2026-02-28 00:00:00",
		"SELECT dateadd(qtr, 1, '2026-01-31'::date)::varchar":                                       "2026-04-30 00:00:00",
		"SELECT date_part(year, ts)::varchar FROM t WHERE id = 1":                                   "2026",
		"SELECT trunc(ts)::varchar FROM t WHERE id = 1":                                             "2026-01-31",
		"SELECT last_day(ts)::varchar FROM t WHERE big = 2":                                         "2026-02-28",
		"SELECT convert_timezone('UTC', 'Europe/Rome', '2026-07-01 12:00:00'::timestamp)::varchar":  "2026-07-01 14:00:00",
		"SELECT nvl(s, 'none') FROM t WHERE big = 2":                                                "none",
		"SELECT nvl2(s, 'some', 'none') FROM t WHERE big = 2":                                       "none",
		"SELECT decode(s, NULL, 'null', 'a', 'first', 'other') FROM t WHERE big = 2":                "null",
		"SELECT decode(id, 1, 'one', 'more') FROM t WHERE big = 4":                                  "more",
		"SELECT len('naïve')::varchar || octet_length('naïve')::varchar":                            "56",
		"SELECT strtol('ff', 16)::varchar":                                                          "255",
		"SELECT charindex('b', 'abc')::varchar":                                                     "2",
		"SELECT listagg(s, ',') WITHIN GROUP (ORDER BY big DESC) FROM t":                            "b,a",
		"SELECT median(n)::varchar FROM t":                                                          "2.5",
		"SELECT json_serialize(doc) FROM t WHERE big = 1":                                           `{"a": {"b": [1, 2]}}`,
		"SELECT json_typeof(doc) FROM t WHERE big = 2":                                              "string", // a string is no document
		"SELECT json_typeof(doc) FROM t WHERE big = 1":                                              "object",
		"SELECT json_extract_path_text('{\"a\": {\"b\": 7}}', 'a', 'b')":                            "7",
		"SELECT json_parse('\"x\"')::varchar":                                                       "x",
		"SELECT is_valid_json('{\"a\": 1}')::varchar || is_valid_json('nope')::varchar":             "truefalse",
		"SELECT to_hex('abc'::varbyte)":                                                             "616263",
		"SELECT from_varbyte(from_hex('616263'), 'utf8')":                                           "abc",
		"SELECT 'é'::varbyte":                                                                       "c3a9",
		"SELECT 7 / 2 || ''":                                                                        "3",
		"SELECT CAST(1.999 AS NUMERIC)::varchar":                                                    "2", // NUMERIC is (18,0)
		"SELECT 'abcdef'::char(3)":                                                                  "abc",
		"SELECT coalesce('x' || NULL, 'null')":                                                      "null",
		"SELECT sha2('a', 256)":                                                                     "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
		"SELECT count(*)::varchar FROM (SELECT TOP 2 id FROM t ORDER BY id) x":                      "2",
		"SELECT count(*)::varchar FROM (SELECT id FROM t MINUS SELECT 1) x":                         "1",
		"SELECT extract(hour FROM ts)::varchar FROM t WHERE id = 1":                                 "23",
		"SELECT (getdate() >= sysdate - interval '1 minute')::varchar":                              "true",
		"SELECT split_part('a,b', ',', 2)":                                                          "b",
		"SELECT convert(varchar(2), 'abc')":                                                         "ab",
	} {
		if got := one[string](l, c, sql); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
	if e := l.fails(c, "SELECT json_parse('{nope')"); e.Message != "JSON parsing error" {
		t.Error(e)
	}
}

// TestCatalogue: the declared types, as clients read them.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	c := l.connect()
	l.must(c, "CREATE SCHEMA mart", `CREATE TABLE mart.v (id BIGINT NOT NULL ENCODE az64 DISTKEY, t TEXT, b VARBYTE(33), doc SUPER, n DECIMAL, at TIMESTAMPTZ) SORTKEY (at, id)`)
	for sql, want := range map[string]string{
		"SELECT listagg(column_name || ' ' || data_type, ';') WITHIN GROUP (ORDER BY ordinal_position) FROM svv_redshift_columns WHERE table_name = 'v'":                                               "id bigint;t character varying(256);b binary varying(33);doc super;n numeric(18,0);at timestamp with time zone",
		"SELECT listagg(data_type || nvl(character_maximum_length::varchar, ''), ';') WITHIN GROUP (ORDER BY ordinal_position) FROM information_schema.columns WHERE table_schema = 'mart'":            "bigint;character varying256;binary varying;super;numeric;timestamp with time zone",
		"SELECT listagg(encoding || distkey::varchar || sortkey::varchar, ';') WITHIN GROUP (ORDER BY ordinal_position) FROM svv_redshift_columns WHERE table_name = 'v' AND (sortkey > 0 OR distkey)": "az64true2;nonefalse1",
		"SELECT count(*)::varchar FROM pg_table_def WHERE tablename = 'v'":                                     "0", // not in the search path
		"SELECT listagg(schema_name, ',') WITHIN GROUP (ORDER BY schema_name) FROM svv_redshift_schemas":       "mart,public",
		"SELECT count(*)::varchar FROM information_schema.schemata WHERE schema_name = 'public'":               "0", // the trap of dlt#2953
		"SELECT table_type FROM svv_redshift_tables WHERE table_name = 'v'":                                    "TABLE",
		"SELECT numeric_precision::varchar || numeric_scale::varchar FROM svv_columns WHERE column_name = 'n'": "180",
	} {
		if got := one[string](l, c, sql); got != want {
			t.Errorf("%s: %s, want %s", sql, got, want)
		}
	}
	l.must(c, "SET search_path TO mart", "INSERT INTO v (id) VALUES (1)")
	if got := one[string](l, c, "SELECT type FROM pg_table_def WHERE tablename = 'v' AND \"column\" = 't'"); got != "character varying(256)" {
		t.Error(got)
	}
	if got := one[string](l, c, "SHOW search_path"); got != "mart" {
		t.Error(got)
	}
	l.must(c, "ALTER TABLE v RENAME COLUMN t TO z", "ALTER TABLE v ALTER COLUMN z TYPE VARCHAR(3)")
	if e := l.fails(c, "INSERT INTO v (id, z) VALUES (1, 'éé')"); e.Message != "Value too long for character type" {
		t.Error(e)
	}
	l.must(c, "CREATE TABLE w AS SELECT 'abc' AS lit, z, b FROM v", "INSERT INTO w (z) VALUES ('abc')")
	if got := one[string](l, c, "SELECT listagg(type, ';') WITHIN GROUP (ORDER BY \"column\") FROM pg_table_def WHERE tablename = 'w'"); got != "binary varying(64000);character varying(65535);character varying(3)" {
		t.Error(got)
	}
}
