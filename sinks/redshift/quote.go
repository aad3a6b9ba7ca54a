package redshift

import "strings"

// literal quotes a text for statements that take no parameters. Redshift takes a backslash for an escape, so both ' and \ are
// doubled.
func literal(s string) string {
	return "'" + strings.NewReplacer(`'`, `''`, `\`, `\\`).Replace(s) + "'"
}

// fold is a name as Redshift knows it: it folds quoted names, too. We fold them ourselves so that no setting decides.
func fold(name string) string { return strings.ToLower(name) }

// ident quotes a name, or a dotted one of several parts.
func ident(parts ...string) string {
	out := make([]string, len(parts))
	for i, p := range parts {
		out[i] = `"` + strings.ReplaceAll(fold(p), `"`, `""`) + `"`
	}
	return strings.Join(out, ".")
}

func idents(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = ident(n)
	}
	return strings.Join(out, ", ")
}
