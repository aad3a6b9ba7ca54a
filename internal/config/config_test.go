package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tidemill/tidemill/internal/config"
)

var update = flag.Bool("update", false, "rewrite the golden messages of testdata/bad")

func noEnv(string) (string, bool) { return "", false }

// canary is the value that plays the secret in testdata/bad: no message may hold it.
const canary = "canary"

// Each archive of testdata/bad is a project folder, and in "want" what is said about it.
func TestBadProjects(t *testing.T) {
	archives, err := filepath.Glob("testdata/bad/*.txtar")
	if err != nil || len(archives) < 10 {
		t.Fatalf("found %d archives: %v", len(archives), err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dir, want := unpack(t, a)
			_, err = config.Load(dir, noEnv)
			if err == nil {
				t.Fatal("the project was accepted")
			}
			got := err.Error() + "\n"
			if strings.Contains(got, canary) || strings.Contains(got, dir) {
				t.Errorf("a secret or a machine's path is shown:\n%s", got)
			}
			if *update {
				rewrite(t, name, a, got)
			} else if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func unpack(t *testing.T, a *txtar.Archive) (dir, want string) {
	dir = t.TempDir()
	for _, f := range a.Files {
		if f.Name == "want" {
			want = string(f.Data)
			continue
		}
		write(t, dir, f.Name, string(f.Data))
	}
	return dir, want
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	at := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func rewrite(t *testing.T, name string, a *txtar.Archive, want string) {
	files := a.Files[:0]
	for _, f := range a.Files {
		if f.Name != "want" {
			files = append(files, f)
		}
	}
	a.Files = append(files, txtar.File{Name: "want", Data: []byte(want)})
	if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}

type mysqlLike struct {
	Address  string        `yaml:"address"`
	User     string        `yaml:"user"`
	Password config.Secret `yaml:"password"`
	Tables   map[string]struct {
		Columns map[string]string `yaml:"columns"`
	} `yaml:"tables"`
}

func (m *mysqlLike) Validate(report func(path, message string)) {
	for name, table := range m.Tables {
		for column, rule := range table.Columns {
			if rule != "drop" && rule != "pseudonym" {
				report(config.Path("tables", name, "columns", column), "must be drop or pseudonym")
			}
		}
	}
	if m.User == "" {
		report("user", "is missing")
	}
}

func TestGoodProject(t *testing.T) {
	p, err := config.Load("testdata/good", noEnv)
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "clinic" || p.Window.String() != "15m0s" || p.Memory != 2<<30 || p.Timezone != "Asia/Jakarta" {
		t.Errorf("project = %+v", p)
	}
	if got := p.Warehouse.Reveal(); got != "duckdb:"+filepath.FromSlash("testdata/good/data/warehouse.db") {
		t.Errorf("warehouse = %s", got)
	}
	if len(p.Sources) != 1 || len(p.Pipelines) != 1 {
		t.Fatalf("sources %v, pipelines %v", p.Sources, p.Pipelines)
	}
	care := p.Pipelines[0]
	if care.Tables[0].Mode != "upsert" || !strings.Contains(care.Tables[1].Query, "LEFT JOIN") {
		t.Errorf("tables = %+v", care.Tables)
	}
	var m mysqlLike
	if err := p.Sources[0].Node.Decode(&m); err != nil {
		t.Fatal(err)
	}
	if m.Address != "consult.rds.internal:3306" || m.Tables["clinic.patients"].Columns["notes"] != "drop" || len(m.Tables) != 2 {
		t.Errorf("source = %+v", m)
	}
}

// A missing variable is no error until somebody needs it; then it is named with file and path (invariant 5).
func TestMissingVariable(t *testing.T) {
	p, err := config.Load("testdata/good", noEnv)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // decoding twice reports once
		if err := p.Sources[0].Node.Decode(&mysqlLike{}); err != nil {
			t.Fatal(err)
		}
	}
	missing := p.Missing()
	if len(missing) != 1 {
		t.Fatalf("missing = %v", missing)
	}
	want := "sources/consult.yaml:6:11: password: environment variable CONSULT_PASSWORD is not set\n" +
		"    6 | password: ${env:CONSULT_PASSWORD}\n      |           ^"
	if got := missing[0].String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestReferencesAreExpanded(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "tidemill.yaml", "project: clinic\nwarehouse: postgres://tm:${env:PW}@db/${file:name.txt}\nlog: {brokers: ['k:9092'], tls: {ca: ./ca.pem}}\n")
	write(t, dir, "name.txt", "dwh\n")
	p, err := config.Load(dir, func(name string) (string, bool) { return canary, name == "PW" })
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Warehouse.Reveal(); got != "postgres://tm:canary@db/dwh" || len(p.Missing()) > 0 {
		t.Errorf("warehouse = %s, missing %v", got, p.Missing())
	}
	if got := string(p.Log.TLS.CA); got != filepath.Join(dir, "ca.pem") {
		t.Errorf("ca = %s", got)
	}
	if got := p.Warehouse.String(); got != "postgres://db/dwh" {
		t.Errorf("shown as %s", got)
	}
}

// A source's own decode reports every problem with its place, whether YAML or Validate finds it.
func TestNodeDecodeReportsAll(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "tidemill.yaml", "project: clinic\n")
	write(t, dir, "sources/a.yaml", `kind: source
name: a
type: mysql
adress: db:3306
password: {canary: 1}
tables:
  clinic.patients:
    columns: {notes: dorp}
    colums: {}
`)
	p, err := config.Load(dir, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	err = p.Sources[0].Node.Decode(&mysqlLike{})
	var problems config.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got %v", err)
	}
	want := `sources/a.yaml: user: is missing
sources/a.yaml:4:1: unknown key "adress" (did you mean "address"?)
    4 | adress: …
      | ^
sources/a.yaml:5:11: password: must be one value, not a list or a mapping
    5 | password: ***
      |           ^
sources/a.yaml:8:15: tables["clinic.patients"].columns.notes: must be drop or pseudonym
    8 |     columns: {notes: dorp}
      |               ^
sources/a.yaml:9:5: tables["clinic.patients"]: unknown key "colums" (did you mean "columns"?)
    9 |     colums: …
      |     ^`
	if got := err.Error(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
