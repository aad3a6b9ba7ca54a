package redshift

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// The ledger in Redshift's SQL. TEXT would be VARCHAR(256), and CURRENT_TIMESTAMP does not run against tables.
var (
	dialect = ledger.Dialect{JSON: "VARCHAR(65535)", Text: "VARCHAR(65535)", Behind: "DATEDIFF(second, {}, GETDATE())"}
	limits  = ledger.Limits{NameBytes: 127, FoldCase: true, MaxColumns: 1600,
		NoColumns: []string{"oid", "ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}}
)

const (
	opColumn = ingest.OpColumn
	lockSQL  = "LOCK tidemill.lock" // invariant 1
	countSQL = "SELECT pg_last_copy_count()"
	shapeSQL = "SELECT column_name, data_type, is_nullable FROM svv_redshift_columns WHERE schema_name = $1 AND table_name = $2 ORDER BY ordinal_position"
	kindSQL  = "SELECT table_type FROM svv_redshift_tables WHERE schema_name = $1 AND table_name = $2"
	whySQL   = `SELECT TRIM(file_name), TRIM(column_name), TRIM(column_length), error_code FROM sys_load_error_detail
 WHERE file_name LIKE $1 ORDER BY start_time DESC LIMIT 1`
	caseSQL = "SHOW enable_case_sensitive_identifier"
)

// ledgerThereSQL counts the ledger's relations and the lock. Those of jobs are in the same schema.
var ledgerThereSQL = "SELECT COUNT(*) FROM svv_redshift_tables WHERE schema_name = '" + ledger.Schema + "' AND table_name IN ('lock', '" + strings.Join(ledger.Relations, "', '") + "')"

// ledgerSQL makes what the ledger needs, where it is missing.
func ledgerSQL() []string {
	return append([]string{"CREATE SCHEMA IF NOT EXISTS tidemill", "CREATE TABLE IF NOT EXISTS tidemill.lock (nothing SMALLINT)"}, dialect.Create()...)
}

// stageSQL makes the temporary table of a load's parts: their columns, in their order (COPY goes by place).
func stageSQL(stage string, t *window.TableLoad, longest map[string]int) string {
	defs := make([]string, 0, len(t.Columns)+1)
	for _, c := range t.Columns {
		defs = append(defs, ident(c.Name)+" "+wantType(c.Type, max(1, longest[c.Name]), false).String())
	}
	defs = append(defs, ident(opColumn)+" integer")
	return "CREATE TEMP TABLE " + ident(stage) + " (" + strings.Join(defs, ", ") + ") DISTSTYLE EVEN"
}

// copySQL loads what a manifest lists. Parquet takes no REGION, no MAXERROR and no TRUNCATECOLUMNS.
func copySQL(stage, manifest, role string) string {
	iam := "default"
	if role != "" && role != "default" {
		iam = literal(role)
	}
	return "COPY " + ident(stage) + " FROM " + literal(manifest) + " IAM_ROLE " + iam + " FORMAT AS PARQUET MANIFEST STATUPDATE OFF"
}

func dropSQL(table string) string { return "DROP TABLE " + table }

// keyList is the key in a GROUP BY. Redshift takes 'a' and 'a ' for equal, so the length in bytes goes with every text.
func keyList(t *window.TableLoad) string {
	var terms []string
	for _, k := range t.Key {
		terms = append(terms, ident(k))
		if keyIsText(t, k) {
			terms = append(terms, "OCTET_LENGTH("+ident(k)+")")
		}
	}
	return strings.Join(terms, ", ")
}

func keyIsText(t *window.TableLoad, key string) bool {
	i := slices.IndexFunc(t.Columns, func(c ingest.Column) bool { return c.Name == key })
	return i >= 0 && isText(t.Columns[i].Type)
}

// sameKey is the condition that two tables have one key.
func sameKey(t *window.TableLoad, a, b string) string {
	var terms []string
	for _, k := range t.Key {
		x, y := a+"."+ident(k), b+"."+ident(k)
		terms = append(terms, x+" = "+y)
		if keyIsText(t, k) {
			terms = append(terms, "OCTET_LENGTH("+x+") = OCTET_LENGTH("+y+")")
		}
	}
	return strings.Join(terms, " AND ")
}

// countsSQL counts what is staged: upserts, deletes, others, NULL keys.
func countsSQL(stage string, t *window.TableLoad) string {
	count := func(condition string) string {
		return "COALESCE(SUM(CASE WHEN " + condition + " THEN 1 ELSE 0 END), 0)"
	}
	op := ident(opColumn)
	nulls := make([]string, len(t.Key))
	for i, k := range t.Key {
		nulls[i] = ident(k) + " IS NULL"
	}
	return "SELECT " + count(op+" = 1") + ", " + count(op+" = 2") + ", " + count(op+" IS NULL OR "+op+" NOT IN (1, 2)") + ", " +
		count(strings.Join(nulls, " OR ")) + " FROM " + ident(stage)
}

// repeatsSQL counts the keys that are staged more than once.
func repeatsSQL(stage string, t *window.TableLoad) string {
	return "SELECT COUNT(*) FROM (SELECT " + idents(t.Key) + " FROM " + ident(stage) + " GROUP BY " + keyList(t) + " HAVING COUNT(*) > 1) AS repeated"
}

// clearSQL empties a table. TRUNCATE would commit.
func clearSQL(t window.WarehouseTable) string { return "DELETE FROM " + ident(t.Schema, t.Name) }

// deleteSQL removes the rows whose keys are staged: those that are deleted and those that are replaced.
func deleteSQL(stage string, t *window.TableLoad) string {
	name := ident(t.Table.Schema, t.Table.Name)
	return "DELETE FROM " + name + " USING " + ident(stage) + " WHERE " + sameKey(t, name, ident(stage))
}

// insertSQL brings the staged upserts in. supers are the columns that are SUPER in the table.
func insertSQL(stage string, t *window.TableLoad, supers map[string]bool) string {
	names, values := make([]string, len(t.Columns)), make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i], values[i] = ident(c.Name), ident(c.Name)
		if supers[fold(c.Name)] {
			values[i] = "JSON_PARSE(" + ident(c.Name) + ")"
		}
	}
	return "INSERT INTO " + ident(t.Table.Schema, t.Table.Name) + " (" + strings.Join(names, ", ") + ") SELECT " + strings.Join(values, ", ") +
		" FROM " + ident(stage) + " WHERE " + ident(opColumn) + " = 1"
}

func filledSQL(t window.WarehouseTable) string {
	return "SELECT COUNT(*) FROM (SELECT 1 FROM " + ident(t.Schema, t.Name) + " LIMIT 1) AS filled"
}

// createSQL makes a table. All columns but the key's may be NULL: NOT NULL cannot be taken back.
func createSQL(t *window.TableLoad, widths map[string]int, o options, l window.Layout) string {
	defs := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		defs[i] = ident(c.Name) + " " + wantType(c.Type, widths[c.Name], o.super).String()
		if slices.Contains(t.Key, c.Name) {
			defs[i] += " NOT NULL"
		}
	}
	return "CREATE TABLE " + ident(t.Table.Schema, t.Table.Name) + " (" + strings.Join(defs, ", ") + ")" + attributes(t, o, l)
}

// attributes are how a table is spread and sorted.
func attributes(t *window.TableLoad, o options, l window.Layout) string {
	s := " DISTSTYLE " + strings.ToUpper(o.distStyle)
	switch {
	case l.Dist != "":
		s = " DISTSTYLE KEY DISTKEY (" + ident(l.Dist) + ")"
	case o.distStyle == "key":
		s += " DISTKEY (" + ident(t.Key[0]) + ")"
	}
	switch {
	case len(l.Sort) > 0:
		return s + " COMPOUND SORTKEY (" + idents(l.Sort) + ")"
	case o.sortKey == "key":
		return s + " COMPOUND SORTKEY (" + idents(t.Key) + ")"
	}
	return s + " SORTKEY AUTO"
}

// layoutOf is what the configuration says of a table that is to be made.
func layoutOf(t *window.TableLoad, o options) (l window.Layout, err error) {
	if o.layout == nil {
		return l, nil
	}
	l = o.layout(t.Table)
	for _, name := range append(slices.Clone(l.Sort), l.Dist) {
		if name == "" || slices.ContainsFunc(t.Columns, func(c ingest.Column) bool { return fold(c.Name) == fold(name) }) {
			continue
		}
		if l.Optional {
			return window.Layout{}, nil
		}
		return l, &window.RefusedError{What: fmt.Sprintf("the table %s has no column %s to be distributed or sorted by", t.Table, name), Hint: "correct distkey and sortkey of the table in the pipeline's file"}
	}
	return l, nil
}

func schemaSQL(name string) string { return "CREATE SCHEMA IF NOT EXISTS " + ident(name) }

func alterSQL(t window.WarehouseTable, change string) string {
	return "ALTER TABLE " + ident(t.Schema, t.Name) + " " + change
}

// readSQL reads columns back: documents as text, REAL as a double, whose text has all of its digits.
func readSQL(t window.WarehouseTable, columns []ingest.Column, have map[string]colType) string {
	out := make([]string, len(columns))
	for i, c := range columns {
		h := have[fold(c.Name)]
		switch {
		case h.name == super:
			out[i] = "JSON_SERIALIZE(" + ident(c.Name) + ")"
		case c.Type.Kind == ingest.Float32 || c.Type.Kind == ingest.Float64:
			out[i] = "CAST(" + ident(c.Name) + " AS DOUBLE PRECISION)"
		default:
			out[i] = ident(c.Name)
		}
	}
	return "SELECT " + strings.Join(out, ", ") + " FROM " + ident(t.Schema, t.Name)
}
