package mysql

import (
	"errors"
	"strings"

	"github.com/tidemill/tidemill/ingest"
)

// pattern is one key of Config.Tables.
type pattern struct {
	table ingest.TableName // Name is empty for "db.*"
}

// parsePattern splits at the first dot: database names hold no dots in practice, table names may.
func parsePattern(s string) (pattern, error) {
	schema, name, ok := strings.Cut(s, ".")
	switch {
	case !ok || schema == "" || name == "":
		return pattern{}, errors.New(`must be "database.table" or "database.*"`)
	case strings.ContainsAny(schema, "*?%") || (name != "*" && strings.ContainsAny(name, "*?%")):
		return pattern{}, errors.New(`holds a wildcard: only "database.*" is one, write other tables out by name`)
	case systemSchema(schema):
		return pattern{}, errors.New("is a database of the server itself")
	case name == "*":
		name = ""
	}
	return pattern{ingest.TableName{Schema: schema, Name: name}}, nil
}

func systemSchema(s string) bool {
	switch strings.ToLower(s) {
	case "mysql", "information_schema", "performance_schema", "sys":
		return true
	}
	return false
}

// capture decides which tables are captured, and how.
type capture struct {
	exact     map[ingest.TableName]Table
	databases map[string]Table
}

func newCapture(tables map[string]Table) (capture, error) {
	c := capture{exact: map[ingest.TableName]Table{}, databases: map[string]Table{}}
	for name, t := range tables {
		p, err := parsePattern(name)
		if err != nil {
			return capture{}, errors.New(name + ": " + err.Error())
		}
		if p.table.Name == "" {
			c.databases[p.table.Schema] = t
		} else {
			c.exact[p.table] = t
		}
	}
	return c, nil
}

// match returns how t is captured. Tables that online schema changes work on are never taken by a pattern: what is
// copied into them are not changes of the original.
func (c capture) match(t ingest.TableName) (Table, bool) {
	if cfg, ok := c.exact[t]; ok {
		return cfg, true
	}
	cfg, ok := c.databases[t.Schema]
	return cfg, ok && !workTable(t.Name)
}

// database reports whether anything of the database may be captured.
func (c capture) database(name string) bool {
	if _, ok := c.databases[name]; ok {
		return true
	}
	for t := range c.exact {
		if t.Schema == name {
			return true
		}
	}
	return false
}

// schemas lists the databases that hold captured tables.
func (c capture) schemas() []string {
	set := map[string]bool{}
	for t := range c.exact {
		set[t.Schema] = true
	}
	for s := range c.databases {
		set[s] = true
	}
	return sortedKeys(set)
}

// workTable recognises the tables of gh-ost (_t_gho, _t_ghc, _t_del) and pt-online-schema-change (_t_new, _t_old).
func workTable(name string) bool {
	if !strings.HasPrefix(name, "_") {
		return false
	}
	for _, suffix := range []string{"_gho", "_ghc", "_del", "_new", "_old"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}
