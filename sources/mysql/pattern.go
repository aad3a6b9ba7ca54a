package mysql

import (
	"errors"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources"
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
	wants     []sources.Want // what the pipelines read; none: the source stands alone and captures what is named
}

func newCapture(tables map[string]Table, wants ...sources.Want) (capture, error) {
	c := capture{exact: map[ingest.TableName]Table{}, databases: map[string]Table{}, wants: wants}
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

// entry is what the configuration says of a table: an exact name wins over "db.*".
func (c capture) entry(t ingest.TableName) (cfg Table, exact, ok bool) {
	if cfg, ok = c.exact[t]; ok {
		return cfg, true, true
	}
	cfg, ok = c.databases[t.Schema]
	return cfg, false, ok
}

// always reports whether what cfg is about is captured whether or not a pipeline reads it.
func (c capture) always(cfg Table) bool {
	return cfg.always() || cfg.Capture == "" && len(c.wants) == 0
}

// match returns how t is captured. Tables that online schema changes work on are never taken by a pattern: what is
// copied into them are not changes of the original.
func (c capture) match(t ingest.TableName) (Table, bool) {
	cfg, exact, ok := c.entry(t)
	switch {
	case systemSchema(t.Schema) || ok && cfg.Capture == captureNever:
		return Table{}, false
	case ok && c.always(cfg):
		return cfg, exact || !workTable(t.Name)
	}
	return cfg, slices.ContainsFunc(c.wants, func(w sources.Want) bool { return w.Matches(t) && (w.Named() || !workTable(t.Name)) })
}

// named reports whether somebody asks for t by its name, whatever it is. A name without its database may mean another.
func (c capture) named(t ingest.TableName) bool {
	_, exact := c.exact[t]
	return exact || slices.ContainsFunc(c.wants, func(w sources.Want) bool { return w.Named() && w.Schema != "*" && w.Matches(t) })
}

// absent lists the tables of a database that are captured by name and are not there.
func (c capture) absent(schema string, there map[string]string) []ingest.TableName {
	var out []ingest.TableName
	add := func(t ingest.TableName) {
		_, exists := there[t.Name]
		if _, ok := c.match(t); ok && !exists && t.Schema == schema && !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	for t := range c.exact {
		add(t)
	}
	for _, w := range c.wants {
		if w.Exact() {
			add(ingest.TableName{Schema: w.Schema, Name: w.Table})
		}
	}
	return out
}

// database reports whether anything of the database may be captured.
func (c capture) database(name string) bool {
	if systemSchema(name) {
		return false
	}
	if cfg, ok := c.databases[name]; ok && c.always(cfg) {
		return true
	}
	for t := range c.exact {
		if t.Schema == name {
			return true
		}
	}
	return slices.ContainsFunc(c.wants, func(w sources.Want) bool { return w.MatchesSchema(name) })
}

// schemas lists the databases that hold captured tables, or are named as if they did. there are those of the server.
func (c capture) schemas(there ...string) []string {
	set := map[string]bool{}
	for t := range c.exact {
		set[t.Schema] = true
	}
	for s, cfg := range c.databases {
		if c.always(cfg) {
			set[s] = true
		}
	}
	for _, w := range c.wants {
		if w.Exact() && !systemSchema(w.Schema) {
			set[w.Schema] = true
		}
	}
	for _, s := range there {
		if c.database(s) {
			set[s] = true
		}
	}
	return sortedKeys(set)
}

// open reports whether tables that are made later may be captured: by a pattern, or by a name without its database.
func (c capture) open() bool {
	for _, cfg := range c.databases {
		if c.always(cfg) {
			return true
		}
	}
	return slices.ContainsFunc(c.wants, func(w sources.Want) bool { return !w.Named() })
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
