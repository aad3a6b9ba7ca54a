package redshiftdouble

import (
	"fmt"
	"slices"
	"strings"
)

// rewrite turns what Redshift writes otherwise than PostgreSQL. The tokens were checked before.
func (s *session) rewrite(ts []token) ([]token, error) {
	var out []token
	for i := 0; i < len(ts); {
		piece, n, err := s.rewriteAt(ts, i)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			piece, n = ts[i:i+1], 1
		}
		if len(piece) > 0 && !piece[0].space && ts[i].space {
			piece = slices.Clone(piece)
			piece[0].space = true
		}
		out = append(out, piece...)
		i += n
	}
	return limited(out), nil
}

// raw is text that goes to PostgreSQL as it is.
func raw(sql string) []token { return []token{{kind: op, val: sql, pg: sql, space: true}} }

// call is a function call that begins at i: its arguments and its length in tokens.
func call(ts []token, i int) (args [][]token, n int) {
	if i+1 >= len(ts) || !ts[i+1].is("(") {
		return nil, 0
	}
	end := closing(ts, i+1)
	if end < 0 {
		return nil, 0
	}
	return list(ts[i+2 : end]), end - i + 1
}

// rewriteAt rewrites what begins at i and says how many tokens that was; 0 is nothing.
func (s *session) rewriteAt(ts []token, i int) ([]token, int, error) {
	t := ts[i]
	if t.kind == quoted || t.kind == text || i > 0 && ts[i-1].is(".") {
		return nil, 0, nil
	}
	if t.val == "::" {
		return s.rewriteType(ts, i+1, "::")
	}
	if t.kind != word {
		return nil, 0, nil
	}
	if args, n := call(ts, i); n > 0 {
		return s.rewriteCall(ts, i, args, n)
	}
	switch t.val {
	case "sysdate":
		return raw("rs.sysdate()"), 1, nil
	case "minus":
		if i > 0 && i+1 < len(ts) && ts[i+1].is("select", "(") {
			return raw("EXCEPT"), 1, nil
		}
	case "approximate", "respect":
		if i+1 < len(ts) && ts[i+1].is("count", "percentile_disc") {
			return nil2(), 1, nil
		}
		if i+1 < len(ts) && ts[i+1].is("nulls") {
			return nil2(), 2, nil
		}
	case "top":
		return s.rewriteTop(ts, i)
	case "information_schema", "pg_catalog":
		return rewriteCatalog(ts, i)
	}
	return nil, 0, nil
}

// nil2 is a rewrite to nothing.
func nil2() []token { return []token{} }

// rewriteCatalog points at our own views.
func rewriteCatalog(ts []token, i int) ([]token, int, error) {
	if i+2 >= len(ts) || !ts[i+1].is(".") {
		return nil, 0, nil
	}
	name := ts[i+2].val
	switch {
	case ts[i].is("information_schema") && slices.Contains([]string{"columns", "tables", "schemata"}, name):
		return raw("rs.information_schema_" + name), 3, nil
	case ts[i].is("pg_catalog") && (strings.HasPrefix(name, "sv") || strings.HasPrefix(name, "st") || strings.HasPrefix(name, "sys_") || name == "pg_table_def"):
		return raw("rs." + name), 3, nil
	}
	return nil, 0, nil
}

// rewriteType reads the type after :: or AS and writes PostgreSQL's.
func (s *session) rewriteType(ts []token, at int, before string) ([]token, int, error) {
	p := &parser{s: s, ts: ts, i: at}
	t, err := p.dataType("")
	if err != nil {
		return nil, 0, err
	}
	return []token{{kind: op, val: "::", pg: before + t.pg()}}, p.i - at + 1, nil
}

// dateParts are the functions whose first argument is a word.
var dateParts = []string{"dateadd", "datediff", "date_part", "dateadd_", "datepart", "timestampdiff", "timestampadd"}

// rewriteCall rewrites a function call of n tokens.
func (s *session) rewriteCall(ts []token, i int, args [][]token, n int) ([]token, int, error) {
	name := ts[i].val
	switch {
	case slices.Contains(dateParts, name) && len(args) > 1 && len(args[0]) == 1 && args[0][0].kind == word:
		args[0] = raw(literal(args[0][0].val))
		return s.rebuilt("rs."+name, args, n)
	case name == "nvl" || name == "isnull":
		return s.rebuilt("coalesce", args, n)
	case name == "nvl2" && len(args) == 3:
		return s.caseOf(n, "CASE WHEN (", args[0], ") IS NOT NULL THEN ", args[1], " ELSE ", args[2], " END")
	case name == "decode" && len(args) >= 3:
		return s.decode(args, n)
	case name == "cast" && len(args) == 1:
		return s.cast(args[0], n)
	case name == "convert" && len(args) == 2:
		return s.convert(args, n)
	case name == "listagg":
		return s.listagg(ts, i, args, n)
	case name == "median" && len(args) == 1:
		return s.caseOf(n, "percentile_cont(0.5) WITHIN GROUP (ORDER BY ", args[0], ")")
	}
	if v, ok := s.sessionValue(name); ok && len(args) == 1 && len(args[0]) == 0 {
		return raw(fmt.Sprintf("rs.%s(%s)", name, v)), n, nil
	}
	return nil, 0, nil
}

// sessionValue is what functions about this session return.
func (s *session) sessionValue(name string) (string, bool) {
	switch name {
	case "pg_last_copy_count":
		return fmt.Sprint(s.lastCopy), true
	case "pg_last_copy_id":
		return fmt.Sprint(s.lastCopyID), true
	case "pg_last_unload_count":
		return fmt.Sprint(s.lastUnload), true
	case "pg_last_query_id":
		return fmt.Sprint(s.query), true
	case "pg_backend_pid":
		return fmt.Sprint(s.pid), true
	case "current_database":
		return literal(s.server.config.Database), true
	}
	return "", false
}

// rebuilt is a call with another name.
func (s *session) rebuilt(name string, args [][]token, n int) ([]token, int, error) {
	out := raw(name + "(")
	for i, a := range args {
		if i > 0 {
			out = append(out, token{kind: punct, val: ",", pg: ","})
		}
		a, err := s.rewrite(a)
		if err != nil {
			return nil, 0, err
		}
		if len(a) > 0 {
			a[0].space = true
		}
		out = append(out, a...)
	}
	return append(out, token{kind: punct, val: ")", pg: ")"}), n, nil
}

// caseOf joins texts and rewritten pieces.
func (s *session) caseOf(n int, parts ...any) ([]token, int, error) {
	var b strings.Builder
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b.WriteString(p)
		case []token:
			out, err := s.rewrite(p)
			if err != nil {
				return nil, 0, err
			}
			b.WriteString(render(out))
		}
	}
	return raw(b.String()), n, nil
}

// decode is DECODE(x, a, b, ..., default): NULL equals NULL there.
func (s *session) decode(args [][]token, n int) ([]token, int, error) {
	parts := []any{"CASE"}
	rest := args[1:]
	for ; len(rest) >= 2; rest = rest[2:] {
		parts = append(parts, " WHEN (", args[0], ") IS NOT DISTINCT FROM (", rest[0], ") THEN ", rest[1])
	}
	if len(rest) == 1 {
		parts = append(parts, " ELSE ", rest[0])
	}
	return s.caseOf(n, append(parts, " END")...)
}

// cast is CAST(x AS type).
func (s *session) cast(arg []token, n int) ([]token, int, error) {
	at := -1
	depth := 0
	for i, t := range arg {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case t.is("as") && depth == 0:
			at = i
		}
	}
	if at < 0 {
		return nil, 0, unexpected(arg, len(arg))
	}
	p := &parser{s: s, ts: arg, i: at + 1}
	t, err := p.dataType("")
	if err == nil {
		err = p.end()
	}
	if err != nil {
		return nil, 0, err
	}
	return s.caseOf(n, "CAST(", arg[:at], " AS "+t.pg()+")")
}

// convert is CONVERT(type, x).
func (s *session) convert(args [][]token, n int) ([]token, int, error) {
	p := &parser{s: s, ts: args[0]}
	t, err := p.dataType("")
	if err == nil {
		err = p.end()
	}
	if err != nil {
		return nil, 0, err
	}
	return s.caseOf(n, "CAST(", args[1], " AS "+t.pg()+")")
}

// listagg is string_agg, with the order inside.
func (s *session) listagg(ts []token, i int, args [][]token, n int) ([]token, int, error) {
	separator := []token{{kind: text, pg: "''"}}
	if len(args) == 2 {
		separator = args[1]
	}
	var order []token
	if at := i + n; phrase(ts, at, "within group (") {
		end := closing(ts, at+2)
		if end < 0 {
			return nil, 0, unexpected(ts, len(ts))
		}
		order, n = ts[at+3:end], end-i+1
	}
	if phrase(ts, i+n, "over") {
		return nil, 0, unsupported("LISTAGG as a window function")
	}
	value, distinct := args[0], ""
	if len(value) > 0 && value[0].is("distinct") {
		value, distinct = value[1:], "DISTINCT "
	}
	return s.caseOf(n, "string_agg("+distinct+"(", value, ")::text, ", separator, " ", order, ")")
}

// rewriteTop marks TOP n; limited moves it to the end of its query.
func (s *session) rewriteTop(ts []token, i int) ([]token, int, error) {
	if i == 0 || !ts[i-1].is("select", "distinct", "all") || i+1 >= len(ts) || ts[i+1].kind != number {
		return nil, 0, nil
	}
	return []token{{kind: op, val: topMark, pg: "", space: true}, {kind: op, val: ts[i+1].val, pg: ""}}, 2, nil
}

const topMark = "TOP"

// limited writes LIMIT n at the end of each query that had TOP n.
func limited(ts []token) []token {
	for i := 0; i+1 < len(ts); i++ {
		if ts[i].kind != op || ts[i].val != topMark {
			continue
		}
		n := ts[i+1].val
		ts = slices.Delete(slices.Clone(ts), i, i+2)
		end, depth := len(ts), 0
		for j := i; j < len(ts); j++ {
			if ts[j].is("(") {
				depth++
			}
			if ts[j].is(")") {
				if depth--; depth < 0 {
					end = j
					break
				}
			}
		}
		ts = slices.Insert(ts, end, raw(" LIMIT "+n)...)
	}
	return ts
}
