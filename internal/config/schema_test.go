package config_test

import (
	"encoding/json"
	"testing"

	"github.com/tidemill/tidemill/internal/config"
)

func TestSchemasFollowTheDecoder(t *testing.T) {
	files, err := config.Schemas(map[string]any{"mysql": &mysqlLike{}}, mysqlLike{})
	if err != nil {
		t.Fatal(err)
	}
	type object struct {
		Properties           map[string]json.RawMessage `json:"properties"`
		Required             []string                   `json:"required"`
		AdditionalProperties any                        `json:"additionalProperties"`
		OneOf                []object                   `json:"oneOf"`
	}
	read := func(name string) (o object) {
		if err := json.Unmarshal(files[name], &o); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return o
	}
	project, pipeline, source := read("project.schema.json"), read("pipeline.schema.json"), read("source.schema.json")
	for _, c := range []struct {
		name string
		o    object
		keys []string
	}{
		{"project", project, []string{"project", "window", "log", "store", "warehouse", "listen", "data", "memory", "timezone", "catalog", "pools", "alerts"}},
		{"pipeline", pipeline, []string{"kind", "name", "tables", "max_quarantine"}},
		{"source", source.OneOf[0], []string{"kind", "name", "type", "address", "user", "password", "tables"}},
	} {
		if c.o.AdditionalProperties != false {
			t.Errorf("%s allows unknown keys", c.name)
		}
		if len(c.o.Properties) != len(c.keys) {
			t.Errorf("%s has properties %v, want %v", c.name, c.o.Properties, c.keys)
		}
		for _, k := range c.keys {
			if _, ok := c.o.Properties[k]; !ok {
				t.Errorf("%s lacks %s", c.name, k)
			}
		}
	}
	var window struct{ Type, Description string }
	if err := json.Unmarshal(project.Properties["window"], &window); err != nil || window.Type != "string" || window.Description == "" {
		t.Errorf("window: %+v, %v", window, err)
	}
}
