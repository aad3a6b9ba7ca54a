package redshift

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// column is a column of a table that is there.
type column struct {
	name    string
	typ     colType
	notNull bool
}

// shape is what the catalogue and the ledger say about a table.
type shape struct {
	columns []column // nil: there is no table
	owner   string   // pipeline that has published it, empty if none
	key     []string // as it was published last
}

func (s *shape) column(name string) (column, bool) {
	i := slices.IndexFunc(s.columns, func(c column) bool { return c.name == fold(name) })
	if i < 0 {
		return column{}, false
	}
	return s.columns[i], true
}

// plan is what makes a table fit a load.
type plan struct {
	create  bool
	widen   []string // ALTERs that run by themselves, before the transaction (invariant 7)
	alter   []string // statements of the transaction, in order
	supers  map[string]bool
	widened int
}

// plan decides what a table needs for a load whose longest texts are given. It is a function of what is known: whoever runs
// it reads the catalogue before, and again under the lock.
func (s *shape) plan(t *window.TableLoad, longest map[string]int, o options, pipeline string) (plan, error) {
	p := plan{supers: map[string]bool{}}
	if s.columns == nil {
		l, err := layoutOf(t, o)
		if err != nil {
			return p, err
		}
		p.create = true
		p.alter = []string{createSQL(t, widths(t, longest), o, l)}
		for _, c := range t.Columns {
			p.supers[fold(c.Name)] = wantType(c.Type, 1, o.super).name == super
		}
		return p, nil
	}
	if err := s.checkKey(t, pipeline); err != nil {
		return p, err
	}
	for _, c := range t.Columns {
		have, there := s.column(c.Name)
		want := wantType(c.Type, max(1, longest[c.Name]), o.super)
		if !there {
			want = wantType(c.Type, width(longest[c.Name]), o.super)
			p.alter = append(p.alter, alterSQL(t.Table, "ADD COLUMN "+ident(c.Name)+" "+want.String()))
			p.supers[fold(c.Name)] = want.name == super
			continue
		}
		if have.typ.name == varchar && isText(c.Type) || have.typ.name == super && c.Type.Kind == ingest.JSON {
			p.text(t, have, longest[c.Name])
			continue
		}
		if err := p.change(t, have, want, pipeline); err != nil {
			return p, err
		}
	}
	p.loosen(s, t)
	return p, nil
}

// widths are those of a new table's texts.
func widths(t *window.TableLoad, longest map[string]int) map[string]int {
	out := map[string]int{}
	for _, c := range t.Columns {
		out[c.Name] = width(longest[c.Name])
	}
	return out
}

// text makes room for texts: a SUPER takes documents as it is, a VARCHAR may have to be widened.
func (p *plan) text(t *window.TableLoad, have column, longest int) {
	p.supers[have.name] = have.typ.name == super
	if have.typ.name == varchar && have.typ.length < longest {
		p.widen = append(p.widen, alterSQL(t.Table, fmt.Sprintf("ALTER COLUMN %s TYPE VARCHAR(%d)", ident(have.name), width(longest))))
		p.widened++
	}
}

// change gives a column another type, if no value is lost by it.
func (p *plan) change(t *window.TableLoad, have column, want colType, pipeline string) error {
	switch compare(have.typ, want) {
	case same, holds:
		p.supers[have.name] = have.typ.name == super
		return nil
	case convert:
		p.replace(t, have.name, want, !t.Replace)
		return nil
	}
	if t.Replace { // no row is left
		if want.name == varchar {
			want.length = width(want.length)
		}
		p.replace(t, have.name, want, false)
		p.supers[have.name] = want.name == super
		return nil
	}
	table := ident(t.Table.Schema, t.Table.Name)
	return &window.RefusedError{
		What: fmt.Sprintf("the column %s of %s is %s, the view gives %s", have.name, t.Table, have.typ, want),
		Hint: "cast it in the view, or rebuild the table: " + ledger.Rebuild(table, pipeline),
	}
}

// replace puts a column of another type in a column's place: Redshift alters the length of a VARCHAR and nothing else.
func (p *plan) replace(t *window.TableLoad, name string, want colType, keep bool) {
	const old = "tidemill_old"
	p.alter = append(p.alter, alterSQL(t.Table, "RENAME COLUMN "+ident(name)+" TO "+ident(old)), alterSQL(t.Table, "ADD COLUMN "+ident(name)+" "+want.String()))
	if keep {
		p.alter = append(p.alter, "UPDATE "+ident(t.Table.Schema, t.Table.Name)+" SET "+ident(name)+" = "+ident(old))
	}
	p.alter = append(p.alter, alterSQL(t.Table, "DROP COLUMN "+ident(old)))
}

// loosen takes NOT NULL from columns that rows of this load leave NULL. Redshift cannot, so the column is made anew.
func (p *plan) loosen(s *shape, t *window.TableLoad) {
	for _, h := range s.columns {
		inKey := slices.ContainsFunc(t.Key, func(k string) bool { return fold(k) == h.name })
		changed := slices.ContainsFunc(p.alter, func(q string) bool {
			return strings.HasPrefix(q, alterSQL(t.Table, "RENAME COLUMN "+ident(h.name)+" TO"))
		})
		if h.notNull && !inKey && !changed {
			p.replace(t, h.name, h.typ, !t.Replace)
		}
	}
}

// checkKey refuses another key than the published one: rows of the old one would stay.
func (s *shape) checkKey(t *window.TableLoad, pipeline string) error {
	if s.key == nil || t.Replace || slices.Equal(s.key, t.Key) {
		return nil
	}
	return &window.RefusedError{
		What: fmt.Sprintf("the table %s has the key (%s), the view gives (%s)", t.Table, strings.Join(s.key, ", "), strings.Join(t.Key, ", ")),
		Hint: "restore the view's key, or rebuild the table: " + ledger.Rebuild(ident(t.Table.Schema, t.Table.Name), pipeline),
	}
}
