package config_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tidemill/tidemill/internal/config"
)

// Whatever the files hold, loading ends with a project or with problems that each name a file, and never panics.
func FuzzLoad(f *testing.F) {
	archives, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range archives {
		a, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range a.Files {
			f.Add(string(file.Data))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		write(t, dir, "tidemill.yaml", text)
		write(t, dir, "sources/a.yaml", text)
		write(t, dir, "pipelines/a.yaml", text)
		p, err := config.Load(dir, noEnv)
		var problems config.Problems
		if p == nil || err != nil && !errors.As(err, &problems) {
			t.Fatalf("project %v, error %v", p, err)
		}
		for _, x := range problems {
			if x.File == "" || x.Message == "" {
				t.Errorf("a problem without a place or a message: %+v", x)
			}
		}
		for _, s := range p.Sources {
			if err := s.Node.Decode(&mysqlLike{}); err != nil && !errors.As(err, &problems) {
				t.Errorf("decoding a source: %v", err)
			}
		}
	})
}
