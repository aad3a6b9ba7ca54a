package dynamofake

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
)

// Requests are decoded by our own rules because encoding/json is lenient where the service is not: names in another
// case, a number for a string. The request types below each operation name every member that the SDK knows; one whose
// tag ends in ",no" is known and refused when it is used.

var (
	itemType  = reflect.TypeFor[item]()
	valueType = reflect.TypeFor[value]()
)

func parseJSON(body []byte) (map[string]any, *apiError) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil || m == nil {
		return nil, serialization("the body is not a JSON object")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, serialization("the body goes on after its JSON object")
	}
	return m, nil
}

// decode fills the structure behind dst from decoded JSON.
func decode(m map[string]any, dst reflect.Value) *apiError {
	t := dst.Type()
	seen := 0
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		raw, ok := m[name]
		if !ok {
			continue
		}
		seen++
		if raw == nil {
			continue
		}
		if options == "no" {
			return notImplemented("the member %s", name)
		}
		if err := assign(raw, dst.Field(i)); err != nil {
			return err
		}
	}
	if seen == len(m) {
		return nil
	}
	return unknownMember(m, t)
}

func unknownMember(m map[string]any, t reflect.Type) *apiError {
	for name := range m {
		if !hasMember(t, name) {
			return serialization("unknown member %s", name)
		}
	}
	return nil
}

func hasMember(t reflect.Type, name string) bool {
	for i := range t.NumField() {
		if known, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); known == name {
			return true
		}
	}
	return false
}

func assign(raw any, dst reflect.Value) *apiError {
	switch dst.Type() {
	case itemType:
		m, ok := raw.(map[string]any)
		if !ok {
			return wrongType(raw, "a map")
		}
		it, err := parseItem(m, 1)
		dst.Set(reflect.ValueOf(it))
		return err
	case valueType:
		v, err := parseValue(raw, 1)
		dst.Set(reflect.ValueOf(v))
		return err
	}
	switch dst.Kind() {
	case reflect.Pointer:
		dst.Set(reflect.New(dst.Type().Elem()))
		return assign(raw, dst.Elem())
	case reflect.Struct:
		m, ok := raw.(map[string]any)
		if !ok {
			return wrongType(raw, "a structure")
		}
		return decode(m, dst)
	case reflect.Slice:
		return assignSlice(raw, dst)
	case reflect.Map:
		return assignMap(raw, dst)
	}
	return assignScalar(raw, dst)
}

func assignSlice(raw any, dst reflect.Value) *apiError {
	list, ok := raw.([]any)
	if !ok {
		return wrongType(raw, "a list")
	}
	dst.Set(reflect.MakeSlice(dst.Type(), len(list), len(list)))
	for i, x := range list {
		if err := assign(x, dst.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

func assignMap(raw any, dst reflect.Value) *apiError {
	m, ok := raw.(map[string]any)
	if !ok {
		return wrongType(raw, "a map")
	}
	dst.Set(reflect.MakeMapWithSize(dst.Type(), len(m)))
	for k, x := range m {
		v := reflect.New(dst.Type().Elem()).Elem()
		if err := assign(x, v); err != nil {
			return err
		}
		dst.SetMapIndex(reflect.ValueOf(k), v)
	}
	return nil
}

func assignScalar(raw any, dst reflect.Value) *apiError {
	switch dst.Kind() {
	case reflect.String:
		if s, ok := raw.(string); ok {
			dst.SetString(s)
			return nil
		}
		return wrongType(raw, "String")
	case reflect.Bool:
		if b, ok := raw.(bool); ok {
			dst.SetBool(b)
			return nil
		}
		return wrongType(raw, "Boolean")
	case reflect.Int:
		n, ok := raw.(json.Number)
		i, err := n.Int64()
		if ok && err == nil {
			dst.SetInt(i)
			return nil
		}
		return wrongType(raw, "Integer")
	case reflect.Float64:
		n, ok := raw.(json.Number)
		f, err := n.Float64()
		if ok && err == nil {
			dst.SetFloat(f)
			return nil
		}
		return wrongType(raw, "Double")
	}
	return serialization("a member of an unforeseen type")
}
