package cases

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Sources are the names of the two sources.
var Sources = []string{"east", "west"}

// Database is the one that the tables of a source are in.
const Database = "db"

// Case is tables, views over them, and what happens to the tables.
type Case struct {
	Tables []Table `json:"tables"`
	Views  []View  `json:"views"`
	Groups []Group `json:"groups"`
}

// Table is a table before anything happens.
type Table struct {
	Source  int      `json:"source"` // index in Sources
	Name    string   `json:"name"`
	Columns []Column `json:"columns"`
	Key     int      `json:"key"`            // how many of the first columns
	Rows    [][]int  `json:"rows,omitempty"` // that the first load finds
}

// Column may hold NULL unless it is of the key.
type Column struct {
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
}

// Group is one transaction of a source.
type Group struct {
	Source  int      `json:"source"`
	Wait    int      `json:"wait,omitempty"` // milliseconds since the group before it, of either source
	Late    int      `json:"late,omitempty"` // milliseconds that its commit time lies further back
	Changes []Change `json:"changes,omitempty"`
	Alter   *Alter   `json:"alter,omitempty"` // then there are no changes
}

// Change is a change of one row. Values are indexes into the domains of their kinds, -1 for NULL.
type Change struct {
	Table int   `json:"table"`
	Old   []int `json:"old,omitempty"` // the key of a row that goes: deleted, or moved to the key of Row
	Row   []int `json:"row,omitempty"` // a row that is inserted or written over, with the columns of that moment
}

// Alter changes the columns of a table.
type Alter struct {
	Table int     `json:"table"`
	Add   *Column `json:"add,omitempty"`
	Drop  string  `json:"drop,omitempty"`
}

// String is the case as JSON, which Parse reads.
func (c *Case) String() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Parse reads what String wrote.
func Parse(text string) (*Case, error) {
	c := new(Case)
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	return c, d.Decode(c)
}

func (c *Case) clone() *Case {
	out, err := Parse(c.String())
	if err != nil {
		panic(err)
	}
	return out
}

func (t *Table) full() string { return Sources[t.Source] + "." + t.Name }

func (t *Table) column(name string) int {
	return slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
}

// Content is what a table holds at some moment.
type Content struct {
	Columns []Column
	Key     int
	Rows    map[string][]int // by KeyText
}

// KeyText is the text of a row's key.
func KeyText(columns []Column, key []int) string {
	var b strings.Builder
	for i, v := range key {
		text := columns[i].Kind.Value(v).Text
		fmt.Fprintf(&b, "%d:%s,", len(text), text)
	}
	return b.String()
}

// Start is what the tables hold before the first group.
func (c *Case) Start() []*Content {
	out := make([]*Content, len(c.Tables))
	for i, t := range c.Tables {
		out[i] = &Content{t.Columns, t.Key, map[string][]int{}}
		for _, row := range t.Rows {
			out[i].Rows[KeyText(t.Columns, row[:t.Key])] = row
		}
	}
	return out
}

// Apply returns what tables hold after a group; what they held is left alone.
func (g *Group) Apply(now []*Content) []*Content {
	out := slices.Clone(now)
	if a := g.Alter; a != nil {
		out[a.Table] = out[a.Table].alter(a)
		return out
	}
	fresh := map[int]bool{}
	for _, ch := range g.Changes {
		t := out[ch.Table]
		if !fresh[ch.Table] {
			fresh[ch.Table] = true
			t = &Content{t.Columns, t.Key, cloneRows(t.Rows)}
			out[ch.Table] = t
		}
		if ch.Old != nil {
			delete(t.Rows, KeyText(t.Columns, ch.Old))
		}
		if ch.Row != nil {
			t.Rows[KeyText(t.Columns, ch.Row[:t.Key])] = ch.Row
		}
	}
	return out
}

func cloneRows(rows map[string][]int) map[string][]int {
	out := make(map[string][]int, len(rows))
	for k, r := range rows {
		out[k] = r
	}
	return out
}

func (t *Content) alter(a *Alter) *Content {
	out := &Content{Key: t.Key, Rows: map[string][]int{}}
	at := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == a.Drop })
	if a.Add != nil {
		out.Columns = append(slices.Clone(t.Columns), *a.Add)
	} else {
		out.Columns = slices.Delete(slices.Clone(t.Columns), at, at+1)
	}
	for k, row := range t.Rows {
		if a.Add != nil {
			out.Rows[k] = append(slices.Clone(row), -1)
		} else {
			out.Rows[k] = slices.Delete(slices.Clone(row), at, at+1)
		}
	}
	return out
}

// Values are the rows by key.
func (t *Content) Values() map[string][]Val {
	out := make(map[string][]Val, len(t.Rows))
	for k, row := range t.Rows {
		vals := make([]Val, len(row))
		for i, v := range row {
			vals[i] = t.Columns[i].Kind.Value(v)
		}
		out[k] = vals
	}
	return out
}

// Describe is the case as people read it: tables and views as SQL, the groups with their times.
func (c *Case) Describe() string {
	var b strings.Builder
	for _, t := range c.Tables {
		fmt.Fprintf(&b, "%s;\n", t.Create(t.full()))
		for _, row := range t.Rows {
			fmt.Fprintf(&b, "  INSERT INTO %s VALUES (%s);\n", t.full(), list(t.Columns, row))
		}
	}
	for i := range c.Views {
		fmt.Fprintf(&b, "-- view v%d, key %v\n%s;\n", i, c.Views[i].Key(c), c.Views[i].SQL(c))
	}
	at, now := 0, c.Start()
	for i := range c.Groups {
		g := &c.Groups[i]
		at += g.Wait
		late := ""
		if g.Late > 0 {
			late = fmt.Sprintf(", committed %.1f s before", float64(g.Late)/1000)
		}
		fmt.Fprintf(&b, "-- group %d of %s at %.1f s%s\n", i, Sources[g.Source], float64(at)/1000, late)
		for _, s := range g.Statements(c, now) {
			fmt.Fprintf(&b, "  %s;\n", s)
		}
		now = g.Apply(now)
	}
	return b.String()
}

// Create writes the table for MySQL and MariaDB, under a name.
func (t *Table) Create(name string) string {
	var cols, key []string
	for i, c := range t.Columns {
		nullable := " NULL"
		if i < t.Key {
			nullable = " NOT NULL"
			key = append(key, c.Name)
		}
		cols = append(cols, c.Name+" "+c.Kind.MySQL()+nullable)
	}
	return fmt.Sprintf("CREATE TABLE %s (%s, PRIMARY KEY (%s))", name, strings.Join(cols, ", "), strings.Join(key, ", "))
}

// Literal writes a value for MySQL and MariaDB, in a session whose zone is UTC.
func (k Kind) Literal(i int) string {
	v := k.Value(i)
	switch {
	case v.Null:
		return "NULL"
	case k == Bool:
		return map[string]string{"false": "b'0'", "true": "b'1'"}[v.Text]
	case k >= Int16 && k <= Wide: // a decimal and a text would be compared as floating-point numbers
		return v.Text
	}
	return quote(v)
}

func list(columns []Column, row []int) string {
	var out []string
	for i, v := range row {
		out = append(out, columns[i].Kind.Literal(v))
	}
	return strings.Join(out, ", ")
}

// Statements writes the group for MySQL and MariaDB, now being what the tables hold before it.
func (g *Group) Statements(c *Case, now []*Content) []string {
	if a := g.Alter; a != nil {
		name := Database + "." + c.Tables[a.Table].Name
		if a.Add != nil {
			return []string{fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s NULL", name, a.Add.Name, a.Add.Kind.MySQL())}
		}
		return []string{fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s", name, a.Drop)}
	}
	var out []string
	for i, ch := range g.Changes {
		t, name := now[ch.Table], Database+"."+c.Tables[ch.Table].Name
		before := (&Group{Changes: g.Changes[:i]}).Apply(now)[ch.Table]
		out = append(out, ch.statements(t, before, name)...)
	}
	return out
}

// statements writes a row that moves as an UPDATE of its key when there is one and its new key is free.
func (ch *Change) statements(t, before *Content, name string) (out []string) {
	where := func() string {
		var on []string
		for i, v := range ch.Old {
			on = append(on, t.Columns[i].Name+" = "+t.Columns[i].Kind.Literal(v))
		}
		return strings.Join(on, " AND ")
	}
	if ch.Old != nil && ch.Row != nil {
		_, had := before.Rows[KeyText(t.Columns, ch.Old)]
		_, taken := before.Rows[KeyText(t.Columns, ch.Row[:t.Key])]
		if had && !taken {
			var set []string
			for i, v := range ch.Row {
				set = append(set, t.Columns[i].Name+" = "+t.Columns[i].Kind.Literal(v))
			}
			return []string{fmt.Sprintf("UPDATE %s SET %s WHERE %s", name, strings.Join(set, ", "), where())}
		}
	}
	if ch.Old != nil {
		out = append(out, fmt.Sprintf("DELETE FROM %s WHERE %s", name, where()))
	}
	if ch.Row != nil {
		out = append(out, fmt.Sprintf("REPLACE INTO %s VALUES (%s)", name, list(t.Columns, ch.Row)))
	}
	return out
}
