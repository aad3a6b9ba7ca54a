package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/sources/mysql/rows"
)

// refuse is the error for a setting that cannot be replicated from.
func (c *Config) refuse(setting, value, remedy string) *Error {
	return &Error{Cause: Refused, Server: c.Address, What: fmt.Sprintf("%s is %s", setting, value), Remedy: remedy}
}

// requirement is a setting that the log must be written with.
type requirement struct {
	setting string
	want    string
	remedy  string
	flavor  flavor // empty: both
}

// requirements are global settings; sessions may override some of them, which is why the stream checks each event, too.
var requirements = []requirement{
	{setting: "binlog_format", want: "ROW", remedy: "run: SET GLOBAL binlog_format = 'ROW'; sessions that are connected keep the old one until they reconnect"},
	{setting: "binlog_row_image", want: "FULL", remedy: "run: SET GLOBAL binlog_row_image = 'FULL'"},
	{setting: "binlog_row_metadata", want: "FULL", remedy: "run: SET GLOBAL binlog_row_metadata = 'FULL'"},
	{setting: "gtid_mode", want: "ON", flavor: mysql, remedy: "run one after the other: SET GLOBAL enforce_gtid_consistency = ON; SET GLOBAL gtid_mode = OFF_PERMISSIVE; SET GLOBAL gtid_mode = ON_PERMISSIVE; SET GLOBAL gtid_mode = ON"},
	{setting: "enforce_gtid_consistency", want: "ON", flavor: mysql, remedy: "run: SET GLOBAL enforce_gtid_consistency = ON"},
	{setting: "binlog_row_value_options", want: "", flavor: mysql, remedy: "run: SET GLOBAL binlog_row_value_options = ''"},
}

// settings reads global variables by name. Those that the server does not have are missing from the result.
func (s *server) settings(ctx context.Context, names ...string) (map[string]string, error) {
	query := "SHOW GLOBAL VARIABLES WHERE variable_name IN ('" + strings.Join(names, "','") + "')"
	rows, err := s.db.QueryContext(ctx, query)
	if err != nil {
		return nil, s.config.failure("reading the server's settings", err)
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, s.config.failure("reading the server's settings", err)
		}
		out[strings.ToLower(name)] = value
	}
	if err := rows.Err(); err != nil {
		return nil, s.config.failure("reading the server's settings", err)
	}
	return out, nil
}

// check returns everything about the server that must be changed first.
func (s *server) check(ctx context.Context) error {
	names := []string{"log_bin", "log_slave_updates", "log_replica_updates"}
	for _, r := range requirements {
		names = append(names, r.setting)
	}
	got, err := s.settings(ctx, names...)
	if err != nil {
		return err
	}
	if !isOn(got["log_bin"]) { // the rest means nothing without it
		return s.config.refuse("log_bin", "OFF", s.enableLog())
	}
	bad := s.checkRequirements(got)
	grants, err := s.checkGrants(ctx)
	if err != nil {
		return err
	}
	replica, err := s.checkReplica(ctx, got)
	if err != nil {
		return err
	}
	if bad = slices.Concat(bad, grants, replica); len(bad) > 0 {
		return bad
	}
	return nil
}

func (s *server) checkRequirements(got map[string]string) (bad Refusals) {
	for _, r := range requirements {
		value, known := got[r.setting]
		switch {
		case r.flavor != "" && r.flavor != s.flavor:
		case !known && r.setting == "binlog_row_metadata":
			bad = append(bad, &Error{Cause: Refused, Server: s.config.Address, What: "server version " + s.version + " cannot log row metadata",
				Remedy: "upgrade to MySQL 8.0 or MariaDB 10.5 or later"})
		case !known: // newer servers drop settings whose only value is the one we want
		case !strings.EqualFold(value, r.want):
			if value == "" {
				value = "empty"
			}
			bad = append(bad, s.config.refuse(r.setting, value, r.remedy))
		}
	}
	return bad
}

func isOn(value string) bool { return value == "1" || strings.EqualFold(value, "ON") }

// checkReplica refuses a replica that does not log what it applies.
func (s *server) checkReplica(ctx context.Context, got map[string]string) (Refusals, error) {
	setting := "log_replica_updates"
	if _, ok := got[setting]; !ok {
		setting = "log_slave_updates"
	}
	if isOn(got[setting]) {
		return nil, nil
	}
	rows, err := s.db.QueryContext(ctx, s.replicaStatement())
	if err != nil {
		if code, _ := serverCode(err); code == codeSpecificDenied {
			return nil, nil // told by checkGrants
		}
		return nil, s.config.failure("running "+s.replicaStatement(), err)
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, rows.Err()
	}
	return Refusals{s.config.refuse(setting, "OFF on a replica", "set "+setting+" = ON in the server's configuration file and restart it, or replicate from its source")}, nil
}

func (s *server) replicaStatement() string {
	if s.flavor == mariadb {
		return "SHOW ALL SLAVES STATUS"
	}
	if s.atLeast(8, 1) {
		return "SHOW REPLICA STATUS"
	}
	return "SHOW SLAVE STATUS"
}

// checkGrants tries what the account needs to be allowed, which is surer than to read grants: roles and proxies count too.
func (s *server) checkGrants(ctx context.Context) (Refusals, error) {
	for _, q := range []string{s.logStatus, s.replicasStatement()} {
		rows, err := s.db.QueryContext(ctx, q)
		if err == nil {
			err = rows.Err()
			rows.Close()
		}
		if code, _ := serverCode(err); code == codeSpecificDenied || code == codeAccessDenied {
			return Refusals{&Error{Cause: Refused, Server: s.config.Address, What: fmt.Sprintf("user %q may not read the binlog", s.config.User),
				Err: serverText(err), Remedy: "run: " + s.config.grantStatement()}}, nil
		}
		if err != nil {
			return nil, s.config.failure("running "+q, err)
		}
	}
	return nil, nil
}

// replicasStatement needs REPLICATION SLAVE (MariaDB: REPLICATION MASTER ADMIN, see below), the privilege to read the log.
func (s *server) replicasStatement() string {
	switch {
	case s.flavor == mariadb:
		return "SHOW BINARY LOGS" // MariaDB has no harmless statement for REPLICATION SLAVE: the dump itself tells
	case s.atLeast(8, 0):
		return "SHOW REPLICAS"
	}
	return "SHOW SLAVE HOSTS"
}

// discovered is a table that the configuration captures, as the catalogue has it.
type discovered struct {
	name      ingest.TableName
	catalogue *rows.Catalogue
	schema    *ingest.Schema
	problem   string             // why it is parked
	parents   []ingest.TableName // tables whose changes foreign keys cascade into it
}

// discover finds the captured tables. A problem of one table is that table's alone.
func (s *server) discover(ctx context.Context, c capture) ([]discovered, error) {
	var out []discovered
	there, err := s.databases(ctx)
	if err != nil {
		return nil, err
	}
	for _, schema := range c.schemas(there...) {
		types, err := s.tableTypes(ctx, schema)
		if err != nil {
			return nil, err
		}
		for _, n := range c.tablesIn(schema, types) {
			cfg, _ := c.match(n)
			d := discovered{name: n}
			switch types[n.Name] {
			case "BASE TABLE", "SYSTEM VERSIONED":
				err = s.inspect(ctx, &d, sortedKeys(cfg.Columns))
			case "":
				d.problem = fmt.Sprintf("there is no such table%s, or user %q may not see it; run: GRANT SELECT ON %s.%s TO %s@'%%'", config.DidYouMean(n.Name, sortedKeys(types)),
					s.config.User, quoteName(n.Schema), quoteName(n.Name), quoteText(s.config.User))
			default:
				d.problem = fmt.Sprintf("it is a %s, which has no rows in the binlog; capture the tables behind it", strings.ToLower(types[n.Name]))
			}
			if err != nil {
				return nil, err
			}
			out = append(out, d)
		}
	}
	return out, nil
}

// databases lists what the account may see.
func (s *server) databases(ctx context.Context) (out []string, err error) {
	err = s.each(ctx, "listing the databases", "SELECT schema_name FROM information_schema.schemata", nil, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		out = append(out, name)
		return err
	})
	return out, err
}

// tableTypes lists what is in a database, by name.
func (s *server) tableTypes(ctx context.Context, schema string) (map[string]string, error) {
	const q = "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = ?"
	out := map[string]string{}
	return out, s.each(ctx, "listing the tables of "+schema, q, []any{schema}, func(scan func(...any) error) error {
		var name, kind string
		err := scan(&name, &kind)
		out[name] = kind
		return err
	})
}

// tablesIn is what is captured of a database: tables that match, and names that were asked for whatever they are.
func (c capture) tablesIn(schema string, types map[string]string) []ingest.TableName {
	out := c.absent(schema, types)
	for name, kind := range types {
		n := ingest.TableName{Schema: schema, Name: name}
		if _, ok := c.match(n); ok && (c.named(n) || kind == "BASE TABLE" || kind == "SYSTEM VERSIONED") {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, compareNames)
	return out
}

func (s *server) inspect(ctx context.Context, d *discovered, drop []string) error {
	catalogue, ok, err := readCatalogue(ctx, s.db, s.flavor, d.name, drop)
	switch {
	case err != nil:
		return s.config.failure("reading the catalogue of "+d.name.String(), err)
	case !ok:
		d.problem = "it was dropped just now"
		return nil
	}
	d.catalogue = catalogue
	if d.schema, err = rows.SchemaFrom(d.name, *catalogue); err != nil {
		d.problem = s.config.tableProblem(d.name, err)
		return nil
	}
	return s.readable(ctx, d)
}

// readable tries to read the table: the catalogue shows tables for any privilege on them.
func (s *server) readable(ctx context.Context, d *discovered) error {
	name := quoteName(d.name.Schema) + "." + quoteName(d.name.Name)
	rows, err := s.db.QueryContext(ctx, "SELECT 1 FROM "+name+" LIMIT 0")
	if err == nil {
		err = errors.Join(rows.Err(), rows.Close())
	}
	switch code, answered := serverCode(err); {
	case err == nil:
		d.parents, err = s.parents(ctx, d.name)
		return err
	case code == codeSelectDenied || code == codeColumnDenied || code == codeNoSuchTable:
		d.problem = fmt.Sprintf("user %q may not read it; run: GRANT SELECT ON %s TO %s@'%%'", s.config.User, name, quoteText(s.config.User))
		return nil
	case answered:
		d.problem = fmt.Sprintf("it cannot be read: %v", serverText(err))
		return nil
	}
	return s.config.failure("reading "+d.name.String(), err)
}

// parents lists the tables whose changes foreign keys of the table cascade to it. The definition is read because
// information_schema shows foreign keys only to accounts that may do more than SELECT. A table that is gone or cannot be
// read has none.
func (s *server) parents(ctx context.Context, t ingest.TableName) ([]ingest.TableName, error) {
	var name, text string
	err := s.db.QueryRowContext(ctx, "SHOW CREATE TABLE "+quoteName(t.Schema)+"."+quoteName(t.Name)).Scan(&name, &text)
	switch code, _ := serverCode(err); code {
	case codeNoSuchTable, codeUnknownDatabase, codeSelectDenied, codeColumnDenied: // its load says so
		return nil, nil
	}
	if err != nil {
		return nil, s.config.failure("reading the definition of "+t.String(), err)
	}
	return cascadesOf(text, t.Schema), nil
}

// cascadesOf reads the parents of cascading foreign keys from the definition of a table.
func cascadesOf(definition, schema string) (parents []ingest.TableName) {
	p := &parser{tokenizer: tokenizer{text: definition}, session: session{schema: schema}}
	var parent ingest.TableName
	for p.advance(); p.tok.kind != endToken; {
		switch {
		case p.accept("REFERENCES"):
			parent, _ = p.name()
			continue
		case p.tok.sign(","):
			parent = ingest.TableName{}
		case p.accept("ON"): // [ON DELETE …] [ON UPDATE …]
			p.skip("DELETE", "UPDATE")
			if parent.Name != "" && (p.tok.is("CASCADE") || p.tok.is("SET")) {
				parents = append(parents, parent)
			}
			continue
		case p.tok.sign("("): // columns, whose commas end nothing
			for p.tok.kind != endToken && !p.tok.sign(")") {
				p.advance()
			}
		}
		p.advance()
	}
	return parents
}

// views lists the views that the account can see, in all databases: a statement that changes one changes the tables behind it.
func (s *server) views(ctx context.Context) (map[ingest.TableName]bool, error) {
	out := map[ingest.TableName]bool{}
	const q = "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'VIEW' AND table_schema NOT IN ('sys', 'information_schema')"
	err := s.each(ctx, "listing the views", q, nil, func(scan func(...any) error) error {
		var t ingest.TableName
		err := scan(&t.Schema, &t.Name)
		out[t] = true
		return err
	})
	return out, err
}

func (s *server) each(ctx context.Context, what, query string, args []any, fn func(scan func(...any) error) error) error {
	r, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return s.config.failure(what, err)
	}
	defer r.Close()
	for r.Next() {
		if err := fn(r.Scan); err != nil {
			return s.config.failure(what, err)
		}
	}
	if err := r.Err(); err != nil {
		return s.config.failure(what, err)
	}
	return nil
}
