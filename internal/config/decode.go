package config

import (
	"encoding"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// decoder walks a YAML tree and a Go value side by side and notes every problem instead of stopping at the first
// (invariant 1), which is why it is not the YAML library's own.
type decoder struct {
	file     *file
	problems Problems
	broken   map[string]bool // paths with a problem
}

func (d *decoder) fail(tok *token.Token, path, format string, args ...any) {
	if d.broken == nil {
		d.broken = map[string]bool{}
	}
	d.broken[path] = true
	d.problems = append(d.problems, d.file.problem(tok, path, fmt.Sprintf(format, args...)))
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[Secret]()
	fileType     = reflect.TypeFor[LocalFile]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func (d *decoder) value(n ast.Node, v reflect.Value, path string) {
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		d.fail(n.GetToken(), path, "anchors, aliases and tags are not supported: write the value out")
		return
	case *ast.NullNode:
		d.fail(d.tokenAt(path, n), path, "has no value: give it one or remove the key")
		return
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(n, v.Elem(), path)
		return
	}
	if literal, ok := v.Addr().Interface().(LiteralUnmarshaler); ok {
		d.literal(n, literal, path)
		return
	}
	if v.Addr().Type().Implements(textType) || v.Type() == durationType {
		d.scalar(n, v, path)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		if short, ok := scalarField(v); ok && isScalar(n) {
			d.value(n, short, path)
			return
		}
		d.mapping(n, v, path, nil)
	case reflect.Map:
		d.stringMap(n, v, path)
	case reflect.Slice:
		d.slice(n, v, path)
	default:
		d.scalar(n, v, path)
	}
}

// tokenAt prefers the key's token: a null value may have no token of its own.
func (d *decoder) tokenAt(path string, n ast.Node) *token.Token {
	if tok := d.file.at[path]; tok != nil {
		return tok
	}
	return n.GetToken()
}

func (d *decoder) mapping(n ast.Node, v reflect.Value, path string, skip []string) {
	m, ok := n.(ast.MapNode)
	if !ok {
		d.fail(n.GetToken(), path, "must hold keys and values")
		return
	}
	known := fields(v, nil)
	for it := m.MapRange(); it.Next(); {
		tok, name := it.Key().GetToken(), it.Key().GetToken().Value
		at := childPath(path, name)
		if path == "" && slices.Contains(skip, name) {
			d.file.at[at] = tok
			continue
		}
		field, ok := known[name]
		if !ok {
			d.unknown(tok, path, name, append(keysOf(known), skip...))
			continue
		}
		d.file.at[at] = tok
		d.value(it.Value(), field, at)
	}
}

// unknown reports a key that nothing reads. Its value is not shown: a misspelt key may hold a secret (invariant 4).
func (d *decoder) unknown(tok *token.Token, path, name string, known []string) {
	message := fmt.Sprintf("unknown key %q%s", name, DidYouMean(name, known))
	if message[len(message)-1] != ')' {
		slices.Sort(known)
		message += fmt.Sprintf("; known keys: %s", strings.Join(known, ", "))
	}
	d.problems = append(d.problems, d.file.keyProblem(tok, path, message))
}

func (d *decoder) stringMap(n ast.Node, v reflect.Value, path string) {
	m, ok := n.(ast.MapNode)
	if !ok {
		d.fail(n.GetToken(), path, "must hold keys and values")
		return
	}
	out := reflect.MakeMap(v.Type())
	for it := v.MapRange(); it.Next(); { // of the layers below: see Node.Fill
		out.SetMapIndex(it.Key(), it.Value())
	}
	for it := m.MapRange(); it.Next(); {
		tok, name := it.Key().GetToken(), it.Key().GetToken().Value
		at := childPath(path, name)
		d.file.at[at] = tok
		item := reflect.New(v.Type().Elem()).Elem()
		if below := out.MapIndex(reflect.ValueOf(name).Convert(v.Type().Key())); below.IsValid() {
			item.Set(below)
		}
		if _, null := it.Value().(*ast.NullNode); !null || item.Kind() != reflect.Struct { // "clinic.patients:" alone takes every default
			d.value(it.Value(), item, at)
		}
		out.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), item)
	}
	v.Set(out)
}

func (d *decoder) slice(n ast.Node, v reflect.Value, path string) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.fail(n.GetToken(), path, "must be a list")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values))
	for i, item := range s.Values {
		item = plainColon(item)
		at := path + Path(i)
		d.file.at[at] = firstToken(item)
		d.value(item, out.Index(i), at)
	}
	v.Set(out)
}

// plainColon is an item of a list like [host:9092] as YAML 1.2 reads it: a colon with nothing around it belongs to the plain
// text. The parser takes it for a mapping when a flow mapping stands around the list: {brokers: [host:9092]}.
func plainColon(n ast.Node) ast.Node {
	pairs, ok := n.(*ast.MappingNode)
	if !ok || pairs.IsFlowStyle || len(pairs.Values) != 1 {
		return n
	}
	m := pairs.Values[0]
	key, colon, value := m.Key.GetToken(), m.Start, m.Value.GetToken()
	plain := func(t *token.Token) bool {
		return t != nil && t.Indicator == token.NotIndicator && t.Position.Line == colon.Position.Line
	}
	if _, scalar := m.Value.(ast.ScalarNode); !scalar || !plain(key) || !plain(value) ||
		key.Position.Column+utf8.RuneCountInString(key.Value) != colon.Position.Column || colon.Position.Column+1 != value.Position.Column {
		return n
	}
	text := *key
	text.Type, text.Value = token.StringType, key.Value+":"+value.Value
	return ast.String(&text)
}

// firstToken is where an item of a list begins: a mapping's own token is the colon of its first key.
func firstToken(n ast.Node) *token.Token {
	if m, ok := n.(ast.MapNode); ok {
		if it := m.MapRange(); it.Next() {
			return it.Key().GetToken()
		}
	}
	return n.GetToken()
}

func (d *decoder) scalar(n ast.Node, v reflect.Value, path string) {
	if v.Type() == secretType {
		d.file.secrets[path] = true
	}
	s, ok := n.(ast.ScalarNode)
	if !ok {
		d.fail(n.GetToken(), path, "must be one value, not a list or a mapping")
		return
	}
	text := scalarText(s)
	text, missing, err := d.file.expand.expand(text)
	if err != nil {
		d.fail(n.GetToken(), path, "%v", err)
		return
	}
	if len(missing) > 0 {
		for _, m := range missing {
			d.file.expand.missing = append(d.file.expand.missing, d.file.problem(n.GetToken(), path, m))
		}
		return
	}
	if v.Type() == fileType && text != "" && !filepath.IsAbs(text) {
		text = filepath.Join(d.file.expand.dir, filepath.FromSlash(text))
	}
	if wrong := setScalar(v, text); wrong != "" {
		d.fail(n.GetToken(), path, "%s", wrong)
	}
}

// LiteralUnmarshaler is a value that wants a scalar exactly as it was written: whether it was quoted, and without its
// references replaced.
type LiteralUnmarshaler interface {
	UnmarshalLiteral(text string, quoted bool) error
}

func (d *decoder) literal(n ast.Node, v LiteralUnmarshaler, path string) {
	s, ok := n.(ast.ScalarNode)
	if !ok {
		d.fail(n.GetToken(), path, "must be one value, not a list or a mapping")
		return
	}
	tok := s.GetToken()
	quoted := tok.Type == token.DoubleQuoteType || tok.Type == token.SingleQuoteType || tok.Type == token.LiteralType || tok.Type == token.FoldedType
	if err := v.UnmarshalLiteral(scalarText(s), quoted); err != nil {
		d.fail(tok, path, "%v", err)
	}
}

// scalarField is the field of a struct that a plain value stands for, tagged `short:""`: need: complete is short for need:
// {is: complete}.
func scalarField(v reflect.Value) (reflect.Value, bool) {
	t := v.Type()
	for i := range t.NumField() {
		if _, ok := t.Field(i).Tag.Lookup("short"); ok {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func isScalar(n ast.Node) bool {
	_, ok := n.(ast.ScalarNode)
	return ok
}

// scalarText is the value as written: 0123 stays 0123 for a field of text.
func scalarText(s ast.ScalarNode) string {
	switch s := s.(type) {
	case *ast.LiteralNode:
		return s.Value.Value
	case *ast.StringNode:
		return s.Value
	}
	return s.GetToken().Value
}

// setScalar sets v from text and says what is wrong with the text, never showing it (invariant 4).
func setScalar(v reflect.Value, text string) string {
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return err.Error()
		}
		return ""
	}
	if v.Type() == durationType {
		t, err := time.ParseDuration(text)
		if err != nil {
			return "must be a duration like 10s, 15m or 1h30m"
		}
		v.SetInt(int64(t))
		return ""
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return "must be true or false"
		}
		v.SetBool(text == "true")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil {
			return "must be a whole number"
		}
		v.SetInt(i)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		u, err := strconv.ParseUint(text, 10, v.Type().Bits())
		if err != nil {
			return "must be a whole number, not negative"
		}
		v.SetUint(u)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return "must be a number"
		}
		v.SetFloat(f)
	default:
		panic("config: no decoding into " + v.Type().String())
	}
	return ""
}
