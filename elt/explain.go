package elt

import (
	"encoding"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Explain is the job with everything that its file, its templates and the defaults say, as YAML. A value that nobody has
// written is marked as a default.
func (j *Job) Explain() string {
	var b strings.Builder
	fmt.Fprintf(&b, "kind: job\nname: %s\n", j.Name)
	explain(&b, reflect.ValueOf(j.Spec), reflect.ValueOf(Default()), 0)
	fmt.Fprintf(&b, "# definition %s\n", j.Definition)
	for _, n := range j.Inputs {
		by := "a pipeline"
		switch {
		case n.Job != "":
			by = "job " + n.Job
		case n.Pipeline != "":
			by = "pipeline " + n.Pipeline
		}
		implied := ""
		if n.Implied {
			implied = ", because the SQL or a check reads it"
		}
		fmt.Fprintf(&b, "# reads %s of %s, %s%s\n", n.Table, by, n.Need.Is, implied)
	}
	for _, p := range j.Probes {
		fmt.Fprintf(&b, "# checks %s", p.Name)
		for _, l := range []struct {
			word  string
			limit Limit
		}{{"warns", p.Warn}, {"fails", p.Fail}} {
			if !l.limit.IsZero() {
				fmt.Fprintf(&b, ", %s %s", l.word, l.limit)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// explain writes the fields of a struct that say something.
func explain(b *strings.Builder, v, standard reflect.Value, depth int) {
	t := v.Type()
	for i := range t.NumField() {
		tag, ok := t.Field(i).Tag.Lookup("yaml")
		if !ok || tag == "-" {
			continue
		}
		var d reflect.Value
		if standard.IsValid() {
			d = standard.Field(i)
		}
		if tag == ",inline" {
			explain(b, v.Field(i), d, depth)
			continue
		}
		field(b, tag, v.Field(i), d, depth)
	}
}

func field(b *strings.Builder, tag string, v, standard reflect.Value, depth int) {
	if v.IsZero() {
		return
	}
	indent := strings.Repeat("  ", depth)
	mark := ""
	if standard.IsValid() && !standard.IsZero() && reflect.DeepEqual(v.Interface(), standard.Interface()) {
		mark = "  # default"
	}
	if text, ok := scalar(v); ok {
		if text != "" {
			fmt.Fprintf(b, "%s%s: %s%s\n", indent, tag, text, mark)
		}
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		field(b, tag, v.Elem(), reflect.Value{}, depth)
	case reflect.Struct:
		fmt.Fprintf(b, "%s%s:\n", indent, tag)
		explain(b, v, standard, depth+1)
	case reflect.Map:
		fmt.Fprintf(b, "%s%s:\n", indent, tag)
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range keys {
			field(b, k.String(), v.MapIndex(k), reflect.Value{}, depth+1)
		}
	case reflect.Slice:
		list(b, indent, tag, v, mark, depth)
	}
}

func list(b *strings.Builder, indent, tag string, v reflect.Value, mark string, depth int) {
	var words []string
	for i := range v.Len() {
		text, ok := scalar(v.Index(i))
		if !ok {
			break
		}
		words = append(words, text)
	}
	if len(words) == v.Len() {
		fmt.Fprintf(b, "%s%s: [%s]%s\n", indent, tag, strings.Join(words, ", "), mark)
		return
	}
	fmt.Fprintf(b, "%s%s:\n", indent, tag)
	for i := range v.Len() {
		var item strings.Builder
		explain(&item, v.Index(i), reflect.Value{}, depth+2)
		text := strings.TrimPrefix(item.String(), strings.Repeat("  ", depth+2))
		b.WriteString(indent + "  - " + text)
	}
}

// scalar is a value as YAML writes it; ok is false for what has parts.
func scalar(v reflect.Value) (text string, ok bool) {
	if l, is := v.Interface().(Var); is {
		if l.kind == varText && !plainYAML.MatchString(l.text) {
			return fmt.Sprintf("%q", l.text), true
		}
		return l.text, true
	}
	if m, is := v.Interface().(encoding.TextMarshaler); is {
		return yamlText(string(must(m.MarshalText()))), true
	}
	if d, is := v.Interface().(time.Duration); is {
		return short(d), true
	}
	switch v.Kind() {
	case reflect.String:
		return yamlText(v.String()), true
	case reflect.Int, reflect.Int64:
		return fmt.Sprint(v.Int()), true
	case reflect.Bool:
		return fmt.Sprint(v.Bool()), true
	case reflect.Float64:
		return fmt.Sprint(v.Float()), true
	}
	return "", false
}

var plainYAML = regexp.MustCompile(`^[A-Za-z_./+-][A-Za-z0-9_./%+ -]*(:[A-Za-z0-9_-]+)?$|^\d+[a-zA-Z%][\w.%]*$|^\d{4}-\d\d-\d\d$|^[+-]\d\w*$`)

// yamlText quotes what YAML would take for something else.
func yamlText(s string) string {
	if s == "" || plainYAML.MatchString(s) && s != "true" && s != "false" && s != "null" && strings.TrimSpace(s) == s {
		return s
	}
	return fmt.Sprintf("%q", s)
}
