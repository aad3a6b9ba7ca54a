package redshiftdouble

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

// settings are the parameters of a session that PostgreSQL does not know or must not see.
type settings map[string]string

// ownSettings are Redshift's parameters with their defaults, as SHOW prints them.
var ownSettings = map[string]string{
	"analyze_threshold_percent":               "10",
	"cast_super_null_on_error":                "on",
	"default_geometry_encoding":               "1",
	"describe_field_name_in_uppercase":        "off",
	"downcase_delimited_identifier":           "on",
	"enable_case_sensitive_identifier":        "off",
	"enable_case_sensitive_super_attribute":   "off",
	"enable_numeric_rounding":                 "on",
	"enable_result_cache_for_session":         "on",
	"enable_vacuum_boost":                     "off",
	"error_on_nondeterministic_update":        "off",
	"interval_forbid_composite_literals":      "off",
	"json_parse_dedup_attributes":             "off",
	"json_parse_truncate_strings":             "off",
	"json_serialization_enable":               "off",
	"json_serialization_parse_nested_strings": "off",
	"max_concurrency_scaling_clusters":        "1",
	"max_cursor_result_set_size":              "0",
	"mv_enable_aqmv_for_session":              "on",
	"navigate_super_null_on_error":            "on",
	"parse_super_null_on_error":               "off",
	"pg_federation_repeatable_read":           "on",
	"query_group":                             "unset",
	"spectrum_enable_pseudo_columns":          "on",
	"spectrum_query_maxerror":                 "-1",
	"stored_proc_log_min_messages":            "log",
	"use_fips_ssl":                            "off",
	"wlm_query_slot_count":                    "1",
	"auto_analyze":                            "on",
	"auto_mv":                                 "on",
	"application_name":                        "",
	"session_authorization":                   "",
}

// passed are the parameters that PostgreSQL has too, with the same meaning.
var passed = []string{"statement_timeout", "timezone", "datestyle", "extra_float_digits", "client_encoding", "search_path", "seed"}

func newSettings(c Config, application string) settings {
	s := settings{"application_name": application}
	if c.CaseSensitive {
		s["enable_case_sensitive_identifier"] = "on"
		s["downcase_delimited_identifier"] = "off"
	}
	return s
}

func (s settings) get(name string) string {
	if v, ok := s[name]; ok {
		return v
	}
	return ownSettings[name]
}

func (s settings) on(name string) bool {
	return slices.Contains([]string{"on", "true", "1", "yes"}, lower(s.get(name)))
}

// planSet reads SET [SESSION | LOCAL] name {TO | =} value.
func (s *session) planSet(ts []token) (*plan, error) {
	i := 1
	scope := ""
	if i < len(ts) && ts[i].is("session", "local") {
		scope = ts[i].val
		i++
	}
	if i >= len(ts) || !ts[i].identifier() {
		return nil, unexpected(ts, i)
	}
	name := ts[i].val
	switch {
	case name == "authorization":
		return nil, unsupported("SET SESSION AUTHORIZATION")
	case name == "time" && i+1 < len(ts) && ts[i+1].is("zone"):
		return &plan{verb: "set", sql: render(ts), prepare: true}, nil
	case name == "transaction" || name == "characteristics":
		return &plan{verb: "set", prepare: true, do: done("SET")}, nil
	}
	i++
	if i+1 >= len(ts) || !ts[i].is("to", "=") {
		return nil, unexpected(ts, i)
	}
	value := ts[i+1:]
	if _, own := ownSettings[name]; own {
		return s.planOwn(name, value[0]), nil
	}
	if !slices.Contains(passed, name) {
		return nil, refuse("42704", "unrecognized configuration parameter %q", name)
	}
	return s.planPassed(scope, name, value)
}

// planOwn keeps a parameter of Redshift's; functions in PostgreSQL are told of the one that they depend on.
func (s *session) planOwn(name string, value token) *plan {
	return &plan{verb: "set", prepare: true, do: func(ctx context.Context) (string, error) {
		s.settings[name] = value.val
		if value.is("default") {
			delete(s.settings, name)
		}
		if name != "json_parse_truncate_strings" {
			return "SET", nil
		}
		state := "off"
		if s.settings.on(name) {
			state = "on"
		}
		return "SET", s.silently(ctx, "SET rs.truncate_strings TO "+state)
	}}
}

func (s *session) planPassed(scope, name string, value []token) (*plan, error) {
	sql := render(value)
	switch name {
	case "search_path":
		path := render(value)
		if value[0].is("default") || path == "" {
			path = "public"
		}
		if value[0].kind == text { // one string that names the schemas
			path = value[0].val
		}
		sql = searchPath(path)
	case "extra_float_digits":
		if value[len(value)-1].val == "3" {
			return nil, refuse("22023", "3 is outside the valid range for parameter \"extra_float_digits\" (-15 .. 2)")
		}
	}
	return &plan{verb: "set", prepare: true, sql: strings.TrimSpace("SET " + scope + " " + name + " TO " + sql)}, nil
}

func (s *session) planReset(ts []token) (*plan, error) {
	if len(ts) != 2 || !ts[1].identifier() {
		return nil, unexpected(ts, 1)
	}
	name := ts[1].val
	if _, own := ownSettings[name]; own || name == "all" {
		return &plan{verb: "reset", prepare: true, do: func(context.Context) (string, error) {
			delete(s.settings, name)
			return "RESET", nil
		}}, nil
	}
	if !slices.Contains(passed, name) {
		return nil, refuse("42704", "unrecognized configuration parameter %q", name)
	}
	return &plan{verb: "reset", prepare: true, sql: "RESET " + name}, nil
}

// planShow answers SHOW name; the newer SHOW TABLES and its kin are not emulated.
func (s *session) planShow(ts []token) (*plan, error) {
	if len(ts) < 2 || !ts[1].identifier() {
		return nil, unexpected(ts, 1)
	}
	name := ts[1].val
	switch {
	case slices.Contains([]string{"tables", "columns", "schemas", "databases", "table", "view", "external", "procedure", "grants", "datashares", "model"}, name) && len(ts) > 2:
		return nil, unsupported("SHOW %s", strings.ToUpper(name))
	case name == "time" && len(ts) == 3:
		name = "timezone"
	case len(ts) > 2:
		return nil, unexpected(ts, 2)
	}
	if _, own := ownSettings[name]; own {
		return s.shown(name, func(context.Context) (string, error) { return s.settings.get(name), nil }), nil
	}
	fixed := map[string]string{"server_version": "8.0.2", "is_superuser": "off", "transaction_isolation": "Serializable", "server_encoding": "UTF8"}
	if v, ok := fixed[name]; ok {
		return s.shown(name, func(context.Context) (string, error) { return v, nil }), nil
	}
	if !slices.Contains(passed, name) {
		return nil, refuse("42704", "unrecognized configuration parameter %q", name)
	}
	return s.shown(name, func(ctx context.Context) (string, error) {
		v, err := s.value(ctx, "SHOW "+name)
		return strings.TrimSuffix(v, searchPath("")), err
	}), nil
}

// shown is a plan whose result is one row of one column.
func (s *session) shown(name string, value func(context.Context) (string, error)) *plan {
	fields := []pgproto3.FieldDescription{{Name: []byte(name), DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1}}
	return &plan{verb: "show", prepare: true, fields: fields, do: func(ctx context.Context) (string, error) {
		v, err := value(ctx)
		if err != nil {
			return "", err
		}
		s.describeUnlessDone(fields)
		s.wire.Send(&pgproto3.DataRow{Values: [][]byte{[]byte(v)}})
		return "SHOW", nil
	}}
}
