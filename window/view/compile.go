//go:build duckdb_arrow

package view

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/duck"
)

// Spec is a view as a user writes it.
type Spec struct {
	Name string
	SQL  string
	Key  []string
}

// Compile checks a view against the tables it may read and plans it. A *Error lists everything that is wrong with the
// view; any other error is not the view's.
func Compile(ctx context.Context, spec Spec, tables []Table) (v *View, err error) {
	db, err := duck.Open(ctx, duck.Options{})
	if err != nil {
		return nil, fmt.Errorf("planning view %s: %w", spec.Name, err)
	}
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("planning view %s: %w", spec.Name, errors.Join(err, db.Close()))
	}
	defer func() {
		if cerr := errors.Join(c.Close(), db.Close()); err == nil && cerr != nil {
			err = fmt.Errorf("planning view %s: %w", spec.Name, cerr)
		}
	}()
	a := &analysis{sql: spec.SQL, key: spec.Key, tables: tables}
	v, err = compile(ctx, c, a, spec)
	if err != nil {
		return nil, fmt.Errorf("planning view %s: %w", spec.Name, err)
	}
	if len(a.problems) > 0 {
		return nil, &Error{View: spec.Name, Problems: a.problems}
	}
	return v, nil
}

// compile returns no view when the analysis has found problems.
func compile(ctx context.Context, c *duck.Conn, a *analysis, spec Spec) (*View, error) {
	if err := a.text(ctx, c); err != nil || len(a.problems) > 0 {
		return nil, err
	}
	var err error
	v := &View{Name: spec.Name, Key: slices.Clone(spec.Key)}
	if v.selectSQL, err = render(ctx, c, a.statement); err != nil {
		return nil, err
	}
	for _, r := range a.relations {
		rel, err := r.finish(ctx, c)
		if err != nil {
			return nil, err
		}
		v.Relations = append(v.Relations, rel)
	}
	return v, a.types(ctx, c, v)
}

// text parses the view's text and analyses it.
func (a *analysis) text(ctx context.Context, c *duck.Conn) error {
	stmts, err := parse(ctx, c, a.sql)
	var syntax *syntaxError
	if errors.As(err, &syntax) {
		a.problems = append(a.problems, a.syntaxProblem(syntax))
		return nil
	}
	if err != nil {
		return err
	}
	if strings.Contains(a.sql, "tm_relation_") {
		a.refuse(nil, "a name that begins with tm_relation_", "the prefix is reserved; use another name")
	}
	a.statements(stmts)
	if len(stmts) == 1 {
		a.statement = stmts[0]
	}
	return nil
}

func (a *analysis) syntaxProblem(e *syntaxError) Problem {
	p := Problem{What: e.message, Instead: "write one SELECT in DuckDB's dialect"}
	if at, err := strconv.Atoi(e.at); err == nil && at <= len(a.sql) {
		p.Line, p.Column = lineColumn(a.sql, at)
	}
	if strings.HasPrefix(e.message, "Only SELECT statements") {
		p.What = "a statement that is not a SELECT"
	}
	return p
}

// finish renders a relation's condition.
func (r *relation) finish(ctx context.Context, c *duck.Conn) (Relation, error) {
	r.owned = r.owned || r.on == nil // the anchor
	out := Relation{Input: r.table.Input, Alias: r.alias, Schema: r.table.Schema, left: r.left, parents: r.parents, strict: r.strict, link: r.link, owned: r.owned}
	for _, col := range r.table.Schema.Columns {
		if r.used[col.Name] {
			out.Columns = append(out.Columns, col.Name)
		}
	}
	if r.on == nil {
		return out, nil
	}
	var err error
	if out.on, err = renderExpr(ctx, c, r.on); err != nil {
		return out, err
	}
	for _, l := range r.links {
		var sides [2]string
		for i := range sides {
			if sides[i], err = renderExpr(ctx, c, l[i]); err != nil {
				return out, err
			}
		}
		out.links = append(out.links, sides)
	}
	for _, k := range r.anchorKey {
		text, err := renderExpr(ctx, c, k)
		if err != nil {
			return out, err
		}
		out.anchorKey = append(out.anchorKey, text)
	}
	for _, col := range out.Columns {
		if contains(r.on, func(n node) bool { return isRef(n, r.alias, col) }) {
			out.onColumns = append(out.onColumns, col)
		}
	}
	return out, nil
}

// types lets DuckDB bind the view over empty tables, and takes the output types from it.
func (a *analysis) types(ctx context.Context, c *duck.Conn, v *View) error {
	tables := make([]string, len(v.Relations))
	for i, r := range v.Relations {
		tables[i] = fmt.Sprintf("tm_empty_%d", i)
		var cols []string
		for _, col := range r.Schema.Columns {
			cols = append(cols, duck.Ident(col.Name)+" "+duck.ColumnType(col.Type))
		}
		if _, err := c.Exec(ctx, fmt.Sprintf("CREATE TABLE %s (%s)", tables[i], strings.Join(cols, ", "))); err != nil {
			return err
		}
	}
	desc, err := c.Describe(ctx, v.Evaluate(tables))
	if err != nil {
		a.refuse(nil, bindMessage(err), "")
		return nil
	}
	for i, d := range desc {
		col := ingest.Column{Name: a.outputs[i].name, Native: d.Type, Nullable: !slices.Contains(v.Key, a.outputs[i].name)}
		if col.Type, err = duck.TypeOf(col.Name, d.Type); err != nil {
			a.refuse(a.outputs[i].expr, err.Error(), "")
			continue
		}
		if t, ok := a.sourceType(a.outputs[i].expr); ok {
			col.Type = t
		}
		if k := col.Type.Kind; !col.Nullable && (k == ingest.Float32 || k == ingest.Float64) {
			a.refuse(a.outputs[i].expr, "key column "+col.Name+" is a floating-point number", "use an integer, decimal or text key")
		}
		v.Columns = append(v.Columns, col)
	}
	return errors.Join(a.floats(ctx, c, v, tables), a.bindable(ctx, c, v, tables))
}

// bindMessage is what DuckDB's binder says, without the echo of the generated statement.
func bindMessage(err error) string {
	msg, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimPrefix(msg, "Binder Error: ")
}

// sourceType is the type of an output that is a plain column: it keeps what DuckDB's types don't say (bounds of text).
func (a *analysis) sourceType(expr node) (ingest.Type, bool) {
	for _, r := range a.relations {
		for _, c := range r.table.Schema.Columns {
			if isRef(expr, r.alias, c.Name) {
				return c.Type, true
			}
		}
	}
	return ingest.Type{}, false
}

// floats refuses sums of floating-point numbers over a window: unlike plain aggregates they cannot be sorted without
// changing their frame (rule 21).
func (a *analysis) floats(ctx context.Context, c *duck.Conn, v *View, tables []string) error {
	for _, n := range a.noFloats {
		arg, err := renderExpr(ctx, c, list(n, "children")[0].(node))
		if err != nil {
			return err
		}
		var from strings.Builder
		from.WriteString("SELECT " + arg + " FROM ")
		for i, r := range v.Relations {
			if i > 0 {
				from.WriteString(", ")
			}
			from.WriteString(tables[i] + " AS " + duck.Ident(r.Alias))
		}
		d, err := c.Describe(ctx, from.String())
		if err != nil {
			return err
		}
		if d[0].Type == "DOUBLE" || d[0].Type == "FLOAT" {
			name := str(n, "function_name")
			a.refuse(n, name+"() OVER floating-point numbers depends on the order of rows", fmt.Sprintf("write %s(CAST(... AS DECIMAL(38,6))) OVER", name))
		}
	}
	return nil
}

// bindable binds every maintenance statement once, so that none can fail to bind in a window.
func (a *analysis) bindable(ctx context.Context, c *duck.Conn, v *View, tables []string) error {
	var keys []string
	for i, k := range v.KeyNames() {
		keys = append(keys, duck.Ident(v.AnchorKey()[i])+" AS "+k)
	}
	if _, err := c.Exec(ctx, fmt.Sprintf("CREATE TABLE tm_keys_empty AS SELECT %s FROM %s", strings.Join(keys, ", "), tables[0])); err != nil {
		return err
	}
	for i := range v.Relations {
		for _, q := range []string{v.Affected(i, tables[i], tables), v.Neighbours(i, tables[i], "tm_keys_empty", tables, tables)} {
			if _, err := c.Describe(ctx, q); err != nil {
				return fmt.Errorf("binding %s: %w", q, err)
			}
		}
	}
	return nil
}
