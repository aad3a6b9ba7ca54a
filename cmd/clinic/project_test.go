package main

import (
	"path/filepath"
	"testing"

	"github.com/tidemill/tidemill/internal/config"
)

// TestTheDemoProjectIsValid: the first project a newcomer sees must not be the one with a mistake in it.
func TestTheDemoProjectIsValid(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "demo")
	if _, err := openProject(folder); err != nil {
		t.Fatal(err)
	}
	environment := map[string]string{"CONSULT_PASSWORD": consultPassword, "PHARMACY_PASSWORD": pharmacyPassword}
	p, err := config.Load(folder, func(name string) (string, bool) { v, ok := environment[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Sources) != 3 || len(p.Pipelines) != 1 || len(p.Pipelines[0].Tables) != 5 {
		t.Errorf("%d sources, %d pipelines", len(p.Sources), len(p.Pipelines))
	}
	if len(p.Jobs) != 2 || len(p.Templates) != 1 {
		t.Errorf("%d jobs, %d templates", len(p.Jobs), len(p.Templates))
	}
	again, err := openProject(folder)
	if err != nil || again.Mail == 0 || again.Consult == 0 || again.Sessions == 0 {
		t.Errorf("opened again: ports %d, %d and %d, %v", again.Mail, again.Consult, again.Sessions, err)
	}
	if missing := p.Missing(); len(missing) > 0 {
		t.Errorf("references without a value: %v", missing)
	}
}
