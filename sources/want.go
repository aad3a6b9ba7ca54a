package sources

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/ingest"
)

// Want is a pattern of tables that a pipeline reads of a source.
type Want struct {
	Schema, Table string // * stands for any characters
	AnyCase       bool   // a view's SQL does not tell the case of letters apart
	By            string // the file that says so, for people
}

// Wanter is a configuration that depends on what the pipelines read: Want tells it, once it is decoded and before a source
// is made of it. What the two make impossible together is reported by YAML path.
type Wanter interface {
	Want(wants []Want, report func(path, message string))
}

// Matches reports whether the pipeline reads t.
func (w Want) Matches(t ingest.TableName) bool {
	return w.MatchesSchema(t.Schema) && w.like(w.Table, t.Name)
}

// MatchesSchema reports whether the pipeline may read a table of the schema.
func (w Want) MatchesSchema(schema string) bool { return w.like(w.Schema, schema) }

// Named reports whether the table is written out: * stands for none of its letters.
func (w Want) Named() bool { return !strings.Contains(w.Table, "*") }

// Exact reports whether the pattern is the name of one table and nothing else.
func (w Want) Exact() bool { return w.Named() && !w.AnyCase && !strings.Contains(w.Schema, "*") }

// String is the pattern as it is written.
func (w Want) String() string {
	if w.Schema == "*" && w.Named() {
		return w.Table
	}
	return w.Schema + "." + w.Table
}

// like matches * alone, the only wildcard of a pattern.
func (w Want) like(pattern, name string) bool {
	if w.AnyCase {
		pattern, name = strings.ToLower(pattern), strings.ToLower(name)
	}
	pattern = strings.NewReplacer(`\`, `\\`, `?`, `\?`, `[`, `\[`, "/", "_").Replace(pattern)
	ok, err := path.Match(pattern, strings.ReplaceAll(name, "/", "_"))
	return err == nil && ok
}

// Distinct is the patterns each once, in order and without who says it: what a source captures changes only with them.
func Distinct(wants []Want) []Want {
	out := slices.Clone(wants)
	for i := range out {
		out[i].By = ""
	}
	slices.SortFunc(out, func(a, b Want) int {
		return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Table, b.Table), cmp.Compare(fold(a), fold(b)))
	})
	return slices.Compact(out)
}

func fold(w Want) int {
	if w.AnyCase {
		return 1
	}
	return 0
}
