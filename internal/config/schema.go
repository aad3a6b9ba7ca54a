package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/invopop/jsonschema"
)

// Schemas returns the JSON Schemas of a project folder for editors, by file name. kinds holds the configuration value of
// every kind of source by its type name, job that of a job.
func Schemas(kinds map[string]any, job any) (map[string][]byte, error) {
	out := map[string][]byte{}
	for name, s := range map[string]*jsonschema.Schema{
		"project.schema.json":  reflectSchema(Project{}),
		"pipeline.schema.json": reflectSchema(Pipeline{}),
		"source.schema.json":   sourceSchema(kinds),
		"job.schema.json":      jobSchema(job),
	} {
		s.Title = "tidemill " + name[:len(name)-len(".schema.json")]
		b, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("encoding %s: %w", name, err)
		}
		out[name] = append(b, '\n')
	}
	return out, nil
}

// reflectSchema makes the schema of a configuration struct by the same yaml tags that Decode follows.
func reflectSchema(v any) *jsonschema.Schema {
	r := jsonschema.Reflector{
		FieldNameTag:               "yaml",
		Anonymous:                  true,
		ExpandedStruct:             true,
		DoNotReference:             true,
		RequiredFromJSONSchemaTags: true,
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			if t == durationType || t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(textType) {
				return &jsonschema.Schema{Type: "string"}
			}
			if reflect.PointerTo(t).Implements(literalType) || hasShort(t) { // one value or a mapping
				return &jsonschema.Schema{}
			}
			return nil
		},
	}
	return r.ReflectFromType(reflect.Indirect(reflect.ValueOf(v)).Type())
}

// jobSchema is the envelope and the job's own keys. A template may leave out what its jobs say.
func jobSchema(job any) *jsonschema.Schema {
	s := reflectSchema(job)
	s.Properties.Set("kind", &jsonschema.Schema{Type: "string", Enum: []any{"job", "template"}})
	s.Properties.Set("name", &jsonschema.Schema{Type: "string", Pattern: namePattern.String(), Description: "The job's name"})
	s.Required = []string{"kind", "name"}
	return s
}

var literalType = reflect.TypeFor[LiteralUnmarshaler]()

func hasShort(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	_, ok := scalarField(reflect.New(t).Elem())
	return ok
}

// sourceSchema is one branch per kind: the envelope and the kind's own keys, and no other.
func sourceSchema(kinds map[string]any) *jsonschema.Schema {
	all := &jsonschema.Schema{Version: jsonschema.Version}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		s := reflectSchema(kinds[kind])
		s.Version = ""
		s.Properties.Set("kind", &jsonschema.Schema{Const: "source"})
		s.Properties.Set("name", &jsonschema.Schema{Type: "string", Pattern: namePattern.String(), Description: "The source's name"})
		s.Properties.Set("type", &jsonschema.Schema{Const: kind})
		s.Required = append(s.Required, "kind", "name", "type")
		all.OneOf = append(all.OneOf, s)
	}
	return all
}
