package elt

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/grid"
)

// Template is a job's SQL: text with placeholders. There are four, and no logic: a plan can be computed without running
// anything, and what is rendered is a typed literal or a quoted name, never text of somebody's making.
type Template struct {
	parts []part
	Refs  []string // names in {{ ref "…" }}, each once, in order
	Vars  []string
}

type part struct {
	text string // SQL, when kind is none
	kind holder
	name string
}

type holder int

const (
	none holder = iota
	intervalStart
	intervalEnd
	reference
	variable
)

// SQLError is a fault at a place of a SQL file.
type SQLError struct {
	Line, Column int
	Message      string
}

func (e *SQLError) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message) }

const holders = `{{ interval.start }}, {{ interval.end }}, {{ ref "table" }} and {{ var.name }}`

var (
	refPattern = regexp.MustCompile(`^ref\s+"([^"\\]+)"$`)
	varPattern = regexp.MustCompile(`^var\.([a-z][a-z0-9_]*)$`)
)

// ParseTemplate reads the SQL of a job: one SELECT with placeholders.
func ParseTemplate(sql string) (*Template, error) {
	t := &Template{}
	all := segments(sql)
	for i, s := range all {
		if s.remark {
			continue // no part of the statement; left out, so that what is shown is what runs
		}
		if s.quoted {
			if at := strings.Index(s.text, "{{"); at >= 0 && !insideHolder(all, i) {
				return nil, fault(sql, s.at+at, "a placeholder inside quotes: it is rendered with quotes of its own, remove these")
			}
		}
	}
	if err := t.scan(sql); err != nil {
		return nil, err
	}
	return t, oneSelect(sql)
}

// insideHolder reports whether a quoted segment stands in {{ ref "…" }}.
func insideHolder(all []segment, i int) bool {
	return i > 0 && strings.LastIndex(all[i-1].text, "{{") > strings.LastIndex(all[i-1].text, "}}")
}

func fault(sql string, at int, format string, args ...any) error {
	line, column := position(sql, at)
	return &SQLError{line, column, fmt.Sprintf(format, args...)}
}

// scan splits the text at its placeholders and drops comments.
func (t *Template) scan(sql string) error {
	for i := 0; i < len(sql); {
		end, _, remark := opaque(sql, i)
		switch {
		case remark:
			t.add(" ") // a comment separates words
			i = end
		case end > i:
			t.add(sql[i:end])
			i = end
		case strings.HasPrefix(sql[i:], "{{"):
			n := strings.Index(sql[i:], "}}")
			if n < 0 {
				return fault(sql, i, "{{ is not closed by }}")
			}
			if err := t.hold(sql, i, strings.TrimSpace(sql[i+2:i+n])); err != nil {
				return err
			}
			i += n + 2
		case strings.HasPrefix(sql[i:], "}}"):
			return fault(sql, i, "}} closes nothing")
		case strings.HasPrefix(sql[i:], "{%"), strings.HasPrefix(sql[i:], "{#"):
			return fault(sql, i, "there is no logic in templates; known: %s", holders)
		default:
			t.add(sql[i : i+1])
			i++
		}
	}
	return nil
}

func (t *Template) add(text string) {
	if n := len(t.parts); n > 0 && t.parts[n-1].kind == none {
		t.parts[n-1].text += text
		return
	}
	t.parts = append(t.parts, part{text: text})
}

func (t *Template) hold(sql string, at int, inside string) error {
	p := part{}
	switch ref, v := refPattern.FindStringSubmatch(inside), varPattern.FindStringSubmatch(inside); {
	case inside == "interval.start":
		p.kind = intervalStart
	case inside == "interval.end":
		p.kind = intervalEnd
	case ref != nil:
		p.kind, p.name = reference, ref[1]
		if !slices.Contains(t.Refs, p.name) {
			t.Refs = append(t.Refs, p.name)
		}
	case v != nil:
		p.kind, p.name = variable, v[1]
		if !slices.Contains(t.Vars, p.name) {
			t.Vars = append(t.Vars, p.name)
		}
	default:
		return fault(sql, at, "%q is no placeholder%s; known: %s", inside, config.DidYouMean(inside, []string{"interval.start", "interval.end"}), holders)
	}
	t.parts = append(t.parts, p)
	return nil
}

// oneSelect refuses text that is not one statement that reads. The warehouse refuses what else is not.
func oneSelect(sql string) error {
	first := ""
	ended := false
	for _, s := range segments(sql) {
		if s.remark {
			continue
		}
		for i, c := range s.text {
			switch {
			case strings.ContainsRune(" \t\r\n", c):
			case ended:
				return fault(sql, s.at+i, "a second statement: a job is one SELECT")
			case c == ';' && !s.quoted:
				ended = true
			case first == "" && c == '(' && !s.quoted:
			case first == "":
				first = strings.ToUpper(word(s.text[i:]))
				if first != "SELECT" && first != "WITH" {
					return fault(sql, s.at+i, "a job is one SELECT, this begins with %q", word(s.text[i:]))
				}
			}
		}
	}
	if first == "" {
		return fault(sql, 0, "there is no SELECT")
	}
	return nil
}

func word(s string) string {
	n := strings.IndexFunc(s, func(r rune) bool { return r < 'A' || r > 'z' || r > 'Z' && r < 'a' && r != '_' })
	if n < 0 {
		n = len(s)
	}
	return s[:max(n, min(1, len(s)))]
}

// Values are what a template is rendered with.
type Values struct {
	Interval grid.Window
	Refs     map[string]string // name -> schema.table
	Vars     map[string]Var
}

// Render writes the statement. Every name must be known: the job was compiled.
func (t *Template) Render(v Values) string {
	var b strings.Builder
	for _, p := range t.parts {
		switch p.kind {
		case none:
			b.WriteString(p.text)
		case intervalStart:
			b.WriteString(Timestamp(v.Interval.Start))
		case intervalEnd:
			b.WriteString(Timestamp(v.Interval.End))
		case reference:
			b.WriteString(quoteTable(v.Refs[p.name]))
		case variable:
			b.WriteString(v.Vars[p.name].Literal())
		}
	}
	return strings.TrimSuffix(strings.TrimSpace(b.String()), ";")
}

// Timestamp is an instant in SQL. The sessions' zone is UTC.
func Timestamp(t time.Time) string {
	return "TIMESTAMPTZ '" + t.UTC().Format("2006-01-02 15:04:05.999999") + "+00'"
}

// code is the template's SQL without placeholders and quoted texts, for looking at names.
func (t *Template) code() string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.kind != none {
			b.WriteString(" ? ")
			continue
		}
		for _, s := range segments(p.text) {
			if s.quoted && s.text[0] == '\'' {
				b.WriteString(" '' ")
			} else {
				b.WriteString(s.text)
			}
		}
	}
	return b.String()
}
