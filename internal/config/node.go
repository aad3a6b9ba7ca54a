package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Validator is a configuration that checks itself once it is decoded. It reports every problem by its YAML path (made
// with Path, relative to the configuration).
type Validator interface {
	Validate(report func(path, message string))
}

// Node is the content of a source's file for the source's own strict decode. The zero Node holds nothing.
type Node struct {
	file *file
	node ast.Node
	skip []string // keys that belong to the envelope: kind, name, type
}

// Decode fills dst, a pointer to a struct with its defaults set and `yaml` tags on its fields, then lets it Validate
// itself. The error is Problems: every unknown key, wrong type and failed check at once (invariants 1 and 2).
func (n Node) Decode(dst any) error {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("config: Decode into %T, want a pointer to a struct", dst))
	}
	if n.file == nil || n.node == nil {
		return Problems{{File: "?", Message: "there is nothing to decode"}}
	}
	d := decoder{file: n.file}
	d.mapping(n.node, v.Elem(), "", n.skip)
	if c, ok := dst.(Validator); ok {
		c.Validate(func(path, message string) { d.report(path, message) })
	}
	return d.problems.Err()
}

// Fill is Decode without the validation, for a layer of several: what a template says, below what its job says. Mappings
// merge, lists and values are replaced.
func (n Node) Fill(dst any) error {
	if n.file == nil || n.node == nil {
		return Problems{{File: "?", Message: "there is nothing to decode"}}
	}
	d := decoder{file: n.file}
	d.mapping(n.node, reflect.ValueOf(dst).Elem(), "", n.skip)
	return d.problems.Err()
}

// Problem is a problem at a path of the node, for checks that need more than the node's own content.
func (n Node) Problem(path, message string) Problem {
	if n.file == nil {
		return Problem{File: "?", Path: path, Message: message}
	}
	return n.file.problemAt(path, message)
}

// report adds a problem found by a check, unless decoding already found one there: its value is then not the writer's.
func (d *decoder) report(path, message string) {
	if !d.broken[path] {
		d.problems = append(d.problems, d.file.problemAt(path, message))
	}
}

// text is the text of a top-level key as it was written, for the envelope. Empty when it is absent or no scalar.
func (n Node) text(key string) string {
	m, ok := n.node.(ast.MapNode)
	if !ok {
		return ""
	}
	for it := m.MapRange(); it.Next(); {
		if it.Key().GetToken().Value == key {
			if s, ok := it.Value().(ast.ScalarNode); ok {
				return s.GetToken().Value
			}
		}
	}
	return ""
}

// fields lists the settable fields of a struct by YAML key; embedded structs tagged ",inline" are flattened.
func fields(v reflect.Value, into map[string]reflect.Value) map[string]reflect.Value {
	if into == nil {
		into = map[string]reflect.Value{}
	}
	t := v.Type()
	for i := range t.NumField() {
		tag, ok := t.Field(i).Tag.Lookup("yaml")
		switch {
		case !ok || tag == "-":
		case tag == ",inline":
			fields(v.Field(i), into)
		default:
			into[tag] = v.Field(i)
		}
	}
	return into
}

func keysOf(m map[string]reflect.Value) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Text is the file's content with its references resolved as they are now: two equal texts configure the same.
func (n Node) Text() string {
	if n.file == nil {
		return ""
	}
	text, _, _ := n.file.expand.expand(strings.Join(n.file.lines, "\n")) // what cannot be resolved stays empty in both
	return text
}
