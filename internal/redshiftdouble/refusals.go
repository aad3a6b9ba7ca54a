package redshiftdouble

import (
	"slices"
	"strings"
)

// refusal rules for queries, as data: a sequence of words or signs that PostgreSQL takes and Redshift does not. The words count where
// they are not names: after a dot or AS they may be.
var refusedPhrases = []struct{ words, code, message string }{
	{"on conflict", "42601", ""},
	{"returning", "42601", ""},
	{"for update", "42601", ""},
	{"for share", "42601", ""},
	{"for no key", "42601", ""},
	{"for key share", "42601", ""},
	{"distinct on", "42601", ""},
	{"lateral", "42601", ""},
	{"with ties", "42601", ""},
	{"is distinct from", "42601", ""},
	{"is not distinct from", "42601", ""},
	{"from ( values", "42601", ""},
	{"join ( values", "42601", ""},
	{"in ( values", "42601", ""},
	{"as ( values", "42601", ""},
	{"array [", "42601", ""},
	{"any ( array", "42601", ""},
	{"row (", "42601", ""},
	{"tablesample", "42601", ""},
	{"with ordinality", "42601", ""},
	{"overriding", "42601", ""},
	{"as materialized", "42601", ""},
	{"as not materialized", "42601", ""},
	{"at local", "42601", ""},
	{"current_catalog", "42601", ""},
	{"nextval (", "0A000", "sequences are not supported"},
}

// refusedOperators are PostgreSQL's own.
var refusedOperators = strings.Fields("-> ->> @> <@ #> #>> ?| ?& ? ~* !~* @@ @? && -|- ^@ <-> =>")

// refusedFunctions do not exist in Redshift, or not on its compute nodes.
var refusedFunctions = strings.Fields(`string_agg array_agg json_agg jsonb_agg json_object_agg jsonb_object_agg json_build_object
	jsonb_build_object json_build_array jsonb_build_array to_json to_jsonb row_to_json jsonb_set jsonb_array_elements json_array_elements
	jsonb_each json_each jsonb_extract_path jsonb_extract_path_text jsonb_typeof every corr regr_slope regr_intercept regr_count regr_r2
	regr_avgx regr_avgy regr_sxx regr_syy regr_sxy covar_pop covar_samp regexp_matches regexp_match regexp_split_to_array
	regexp_split_to_table format encode overlay gen_random_uuid uuid_generate_v4 clock_timestamp transaction_timestamp
	statement_timestamp pg_sleep pg_advisory_lock pg_advisory_unlock pg_advisory_xact_lock pg_try_advisory_lock
	pg_try_advisory_xact_lock pg_advisory_lock_shared txid_current txid_snapshot_xmin pg_current_xact_id pg_size_pretty
	pg_relation_size pg_total_relation_size pg_database_size width_bucket div setseed date_bin make_date make_time make_timestamp
	make_timestamptz make_interval unnest array_length array_to_string string_to_array array_append array_cat cardinality pg_notify
	xmlelement xpath lo_import pg_read_file currval lastval setval mode num_nulls num_nonnulls to_regclass`)

// withinGroup are the functions that take WITHIN GROUP.
var withinGroup = []string{"listagg", "percentile_cont", "percentile_disc"}

// aggregates need a frame when their window is ordered.
var aggregates = strings.Fields("avg count max min sum stddev stddev_pop stddev_samp variance var_pop var_samp")

// unsupportedPhrases are Redshift's and not emulated (invariant 2).
var unsupportedPhrases = map[string]string{
	"qualify":            "QUALIFY (use a subquery with a WHERE around the window function)",
	"pivot (":            "PIVOT",
	"unpivot (":          "UNPIVOT",
	"ignore nulls":       "IGNORE NULLS",
	"connect by":         "CONNECT BY",
	"select into":        "SELECT INTO",
	"group by all":       "GROUP BY ALL",
	"select top (":       "TOP (expression)",
	"exclude (":          "SELECT * EXCLUDE",
	"object (":           "OBJECT",
	"array (":            "ARRAY as a SUPER constructor",
	"object_transform (": "OBJECT_TRANSFORM",
}

// check refuses what Redshift refuses in a query or a part of one (invariant 1).
func (s *session) check(ts []token) error {
	for i := range ts {
		if err := checkAt(ts, i); err != nil {
			return err
		}
	}
	return nil
}

func checkAt(ts []token, i int) error {
	t := ts[i]
	free := t.kind != quoted && (i == 0 || !ts[i-1].is(".", "as"))
	for _, r := range refusedPhrases {
		if free && phrase(ts, i, r.words) {
			if r.message != "" {
				return refuse(r.code, "%s", r.message)
			}
			return nearby(r.words)
		}
	}
	for words, what := range unsupportedPhrases {
		if free && phrase(ts, i, words) {
			return unsupported("%s", what)
		}
	}
	call := t.kind == word && i+1 < len(ts) && ts[i+1].is("(")
	switch {
	case t.kind == op && slices.Contains(refusedOperators, t.val):
		return nearby(t.val)
	case t.is("[") && i > 0:
		return unsupported("PartiQL navigation")
	case call && slices.Contains(refusedFunctions, t.val):
		return refuse("42883", "function %s() does not exist", t.val)
	case t.is("within") && phrase(ts, i, "within group"):
		return checkWithin(ts, i)
	case t.is("filter") && i > 0 && ts[i-1].is(")") && phrase(ts, i, "filter ("):
		return nearby("(")
	case t.is("over") && phrase(ts, i, "over ("):
		return checkWindow(ts, i)
	case t.is("collate"):
		if i+1 >= len(ts) || !ts[i+1].is("case_sensitive", "case_insensitive") {
			return unexpected(ts, i+1)
		}
	case free && t.kind == word && slices.Contains(onlyRedshift, t.val) && !call:
		return nearby(t.val)
	case t.kind == word && postgresTypes[t.val] && i+1 < len(ts) && ts[i+1].kind == text:
		return noSuchType(t.val, "")
	}
	return checkRows(ts, i)
}

// phrase reports whether the words stand at i.
func phrase(ts []token, i int, words string) bool {
	for w := range strings.FieldsSeq(words) {
		if i >= len(ts) || !ts[i].is(w) {
			return false
		}
		i++
	}
	return true
}

// opening is the index of the parenthesis that the one at i closes, or -1.
func opening(ts []token, i int) int {
	depth := 0
	for ; i >= 0; i-- {
		switch {
		case ts[i].is(")", "]"):
			depth++
		case ts[i].is("(", "["):
			depth--
			if depth == 0 {
				return i
			}
		}
	}
	return -1
}

// function is the name of the function whose closing parenthesis is at i.
func function(ts []token, i int) string {
	if i < 0 || !ts[i].is(")") {
		return ""
	}
	o := opening(ts, i)
	if o < 1 || ts[o-1].kind != word {
		return ""
	}
	return ts[o-1].val
}

func checkWithin(ts []token, i int) error {
	if f := function(ts, i-1); !slices.Contains(withinGroup, f) {
		return refuse("42601", "WITHIN GROUP is not supported for function %q", f)
	}
	return nil
}

func checkWindow(ts []token, i int) error {
	end := closing(ts, i+1)
	if end < 0 {
		return unexpected(ts, len(ts))
	}
	ordered, framed := false, false
	for j := i + 2; j < end; j++ {
		switch {
		case phrase(ts, j, "order by"):
			ordered = true
		case ts[j].is("rows", "range"):
			framed = true
		case ts[j].is("groups", "exclude") && (framed || ts[j].is("groups")):
			return nearby(ts[j].val)
		}
	}
	if ordered && !framed && slices.Contains(aggregates, function(ts, i-1)) {
		return refuse("42601", "Aggregate window functions with an ORDER BY clause require a frame clause")
	}
	return nil
}

// checkRows refuses (a, b) < (c, d): rows are compared by IN only.
func checkRows(ts []token, i int) error {
	if ts[i].kind != op || !ts[i].is("=", "<", ">", "<=", ">=", "<>", "!=") || i == 0 || i+1 >= len(ts) || !ts[i-1].is(")") || !ts[i+1].is("(") {
		return nil
	}
	o, c := opening(ts, i-1), closing(ts, i+1)
	if o < 0 || c < 0 || o > 0 && ts[o-1].kind == word && !ts[o-1].is("where", "and", "or", "not", "on", "when") {
		return nil
	}
	if len(list(ts[o+1:i-1])) > 1 && len(list(ts[i+2:c])) > 1 {
		return nearby(ts[i].val)
	}
	return nil
}

// leaderFunctions run on the leader node only, where no user table is.
var leaderFunctions = strings.Fields(`now age current_setting has_table_privilege has_schema_privilege pg_get_viewdef format_type
	pg_table_is_visible obj_description col_description generate_series localtimestamp localtime current_schema current_schemas`)

// leaderOnly refuses a query that mixes the leader's functions or catalogue with user tables.
func (s *session) leaderOnly(ts []token) error {
	users, catalog := tablesOf(ts)
	if !users {
		return nil
	}
	for i, t := range ts {
		call := i+1 < len(ts) && ts[i+1].is("(")
		if t.kind == word && (call && slices.Contains(leaderFunctions, t.val) || t.is("current_timestamp", "localtimestamp")) && (i == 0 || !ts[i-1].is(".", "as")) {
			s.notice("INFO", "00000", "Function \"%s()\" not supported.", t.val)
			return leaderError()
		}
	}
	if catalog {
		return leaderError()
	}
	return nil
}

// alsoServerless are tables that serverless has although their names begin as those it lacks.
var alsoServerless = []string{"stv_db_isolation_level"}

// serverless refuses the system tables of provisioned clusters.
func (s *session) serverless(ts []token) error {
	if !s.server.config.Serverless {
		return nil
	}
	for _, t := range ts {
		if t.identifier() && (strings.HasPrefix(t.val, "stl_") || strings.HasPrefix(t.val, "stv_") || strings.HasPrefix(t.val, "svl_")) && !slices.Contains(alsoServerless, t.val) {
			return refuse("42P01", "relation %q does not exist", t.val)
		}
	}
	return nil
}

func leaderError() error {
	return refuse("0A000", "Specified types or functions (one per INFO message) not supported on Redshift tables.")
}

// tablesOf reports whether a query reads user tables, and whether it reads PostgreSQL's catalogue.
func tablesOf(ts []token) (users, catalog bool) {
	for i := 1; i < len(ts); i++ {
		if !ts[i-1].is("from", "join") || !ts[i].identifier() {
			continue
		}
		if i+1 < len(ts) && ts[i+1].is("(") { // a function
			continue
		}
		name := ts[i].val
		if i+2 < len(ts) && ts[i+1].is(".") && !ts[i].is("information_schema") {
			name = ts[i+2].val
		}
		switch {
		case strings.HasPrefix(name, "pg_"), name == "information_schema":
			catalog = true
		case strings.HasPrefix(name, "svv_"), strings.HasPrefix(name, "svl_"), strings.HasPrefix(name, "stl_"), strings.HasPrefix(name, "stv_"), strings.HasPrefix(name, "sys_"):
		case inWith(ts, ts[i].val):
		case i > 1 && ts[i-2].kind == word && !ts[i-2].is("select") && inExtract(ts, i-1):
		default:
			users = true
		}
	}
	return users, catalog
}

// inWith reports whether a name is that of a common table expression.
func inWith(ts []token, name string) bool {
	if !ts[0].is("with") {
		return false
	}
	for i := 0; i+1 < len(ts); i++ {
		if ts[i].identifier() && ts[i].val == name && (ts[i+1].is("as") && i+2 < len(ts) && ts[i+2].is("(") || ts[i+1].is("(")) {
			return true
		}
	}
	return false
}

// inExtract reports whether the FROM at i belongs to extract(.. from ..), substring or trim.
func inExtract(ts []token, i int) bool {
	depth := 0
	for ; i >= 0; i-- {
		switch {
		case ts[i].is(")"):
			depth++
		case ts[i].is("("):
			depth--
			if depth < 0 {
				return i > 0 && ts[i-1].is("extract", "substring", "trim", "position", "overlay")
			}
		}
	}
	return false
}
