package item

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tidemill/tidemill/ingest"
)

// Extra is the column of what no other column holds: a JSON object of attributes by name, NULL when there are none.
const Extra = "_extra"

// Column says where an attribute goes. It is stored, so that a stream that is read again is decoded as it was before.
type Column struct {
	Attribute string      `json:"a"`
	Name      string      `json:"c"`
	Type      ingest.Type `json:"t"`
	Native    string      `json:"n"`
	Key       bool        `json:"k,omitempty"`
}

// Key is one attribute of a table's key, with its tag: S, N or B.
type Key struct {
	Attribute string
	Tag       Tag
}

// Pin is what the configuration says of an attribute.
type Pin struct {
	Drop bool
	Name string      // of the column; empty: the attribute's
	Type ingest.Type // zero: inferred
}

// Bounds of what becomes a column. A name that PostgreSQL would cut, and more columns than a warehouse has, stay in _extra.
const (
	maxName    = 63
	maxColumns = 500
)

// reserved are names of columns that some warehouse keeps for itself; what is called so stays in _extra, or is pinned under another
// name. internal/arch has a test that they are the warehouses' own.
var reserved = map[string]bool{Extra: true, ingest.OpColumn: true, "rowid": true, "oid": true, "ctid": true, "xmin": true, "xmax": true, "cmin": true, "cmax": true, "tableoid": true}

// Reserved reports whether no warehouse column may have the name.
func Reserved(name string) bool { return reserved[strings.ToLower(name)] }

// Nameable reports whether every warehouse can have a column of the name.
func Nameable(name string) bool { return nameable(name) && !Reserved(name) }

// Columns extends what a table has by columns for what its profile holds: keys first, then by name. Columns that are there
// stay as they are (invariant 4).
func Columns(have []Column, keys []Key, profile Profile, pins map[string]Pin) []Column {
	out := slices.Clone(have)
	taken, placed := map[string]bool{}, map[string]bool{}
	for _, c := range out {
		taken[strings.ToLower(c.Name)], placed[c.Attribute] = true, true
	}
	add := func(c Column) {
		if pin := pins[c.Attribute]; pin.Name != "" {
			c.Name = pin.Name
		}
		if pin := pins[c.Attribute]; pin.Type.Kind != 0 {
			c.Type, c.Native = pin.Type, "pinned"
		}
		if placed[c.Attribute] || taken[strings.ToLower(c.Name)] || len(out) >= maxColumns || !Nameable(c.Name) {
			return
		}
		taken[strings.ToLower(c.Name)], placed[c.Attribute] = true, true
		out = append(out, c)
	}
	for _, k := range keys {
		seen := profile[k.Attribute].Join(Seen{Tags: 1 << k.Tag})
		seen.Tags = 1 << k.Tag // the key's definition says so
		c, _ := seen.column()
		add(Column{Attribute: k.Attribute, Name: k.Attribute, Type: c.Type, Native: c.Native, Key: true})
	}
	names := slices.Collect(maps.Keys(profile))
	for name, pin := range pins { // there from the beginning
		if pin.Type.Kind != 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		c, ok := profile[name].column()
		if pin := pins[name]; !pin.Drop && (ok || pin.Type.Kind != 0) {
			add(Column{Attribute: name, Name: name, Type: c.Type, Native: c.Native})
		}
	}
	return out
}

// nameable reports whether a warehouse can have a column of the name.
func nameable(name string) bool {
	return name != "" && len(name) <= maxName && utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '"' || r == utf8.RuneError })
}

// Schema is the table's schema: the columns and _extra.
func Schema(t ingest.TableName, columns []Column) *ingest.Schema {
	s := &ingest.Schema{Table: t}
	for _, c := range columns {
		s.Columns = append(s.Columns, ingest.Column{Name: c.Name, Type: c.Type, Native: c.Native, Nullable: !c.Key})
		if c.Key {
			s.Key = append(s.Key, c.Name)
		}
	}
	s.Columns = append(s.Columns, ingest.Column{Name: Extra, Type: ingest.Type{Kind: ingest.JSON}, Native: "attributes without a column of their own", Nullable: true})
	return s
}

// KeyError says that a key cannot be a row's: its table stands still.
type KeyError struct {
	Attribute string
	Type      ingest.Type
	Tag       Tag
}

func (e *KeyError) Error() string {
	if e.Tag == Unknown {
		return fmt.Sprintf("an item has no key attribute %q", e.Attribute)
	}
	return fmt.Sprintf("a value of key attribute %q does not fit its column, which is %s", e.Attribute, TypeText(e.Type))
}

// TypeText is a type as the configuration writes it.
func TypeText(t ingest.Type) string {
	if t.Kind == ingest.Decimal {
		return fmt.Sprintf("decimal(%d,%d)", t.Precision, t.Scale)
	}
	return t.Kind.String()
}
