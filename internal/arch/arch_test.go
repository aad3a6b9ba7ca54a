package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const module = "github.com/tidemill/tidemill/"

type goFile struct {
	path, dir string // relative to the module root, slash-separated
	test      bool
	file      *ast.File
	set       *token.FileSet
	text      string
}

func sources(t *testing.T) []goFile {
	t.Helper()
	root := filepath.Join("..", "..")
	var out []goFile
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata" || d.Name() == "bin" || d.Name() == "demo") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		out = append(out, goFile{path: rel, dir: filepath.ToSlash(filepath.Dir(rel)), test: strings.HasSuffix(rel, "_test.go"), file: f, set: set, text: string(text)})
		return nil
	})
	if err != nil || len(out) < 10 {
		t.Fatalf("reading the tree: %d files, %v", len(out), err)
	}
	return out
}

// allowed maps a package pattern to the patterns it may import from this module. The first match decides. Tests may import
// anything but a connector of another kind.
var allowed = []struct{ pkg, imports string }{
	{`^cmd/`, `.*`},
	{`^sources/all$`, `^sources(/.*)?$`},
	{`^sinks/all$`, `^sinks(/.*)?$|^window$|^internal/rslint$`},
	{`^sources/mysql/rows$`, `^ingest$|^internal/`},
	{`^sources/mysql$`, `^ingest$|^sources$|^sources/mysql/rows$|^internal/`},
	{`^sources/dynamodb/[a-z]+$`, `^ingest$|^internal/`},
	{`^sources/dynamodb$`, `^ingest$|^sources$|^sources/dynamodb/|^internal/`},
	{`^sources$`, `^ingest$|^internal/`},
	{`^sinks/ledger$`, `^window$|^ingest$|^internal/`},
	{`^sinks/[a-z0-9]+$`, `^window$|^ingest$|^sinks$|^sinks/ledger$|^elt$|^internal/`},
	{`^sinks$`, `^window$|^internal/`},
	{`^window/view$`, `^ingest$|^internal/`},
	{`^window/state$`, `^ingest$|^window/view$|^internal/`},
	{`^window$`, `^ingest$|^window/|^internal/`},
	{`^lake$`, `^window$|^ingest$|^internal/`},
	{`^lake/glue$`, `^lake$|^window$|^ingest$|^internal/`},
	{`^ingest$`, `^internal/`},
	{`^elt`, `^elt|^internal/`},
	{`^console`, `^window$|^ingest$|^internal/`},
	{`^internal/daemon`, `.*`},                           // composes everything for cmd and the end-to-end tests
	{`^internal/(conform|e2e|oracle|clinic)`, `.*`},      // test side
	{`^internal/(duck|parquet)$`, `^ingest$|^internal/`}, // the types they map are ingest's
	{`^internal/kafka$`, `^internal/`},
	{`^internal/`, `^internal/`},
}

func TestImportDirection(t *testing.T) {
	for _, f := range sources(t) {
		if f.test {
			continue
		}
		for _, imp := range f.file.Imports {
			path := strings.Trim(imp.Path.Value, `"`)
			if rel, ok := strings.CutPrefix(path, module); ok && !mayImport(f.dir, rel) {
				t.Errorf("%s imports %s: not a direction of docs/design.md", f.path, rel)
			}
		}
	}
}

func mayImport(from, to string) bool {
	for _, a := range allowed {
		if regexp.MustCompile(a.pkg).MatchString(from) {
			return regexp.MustCompile(a.imports).MatchString(to)
		}
	}
	return false
}

func TestEveryPackageHasADoc(t *testing.T) {
	dirs := map[string]bool{}
	for _, f := range sources(t) {
		if _, seen := dirs[f.dir]; !seen {
			dirs[f.dir] = false
		}
		if strings.HasSuffix(f.path, "/doc.go") && f.file.Doc != nil {
			dirs[f.dir] = true
		}
	}
	for d, ok := range dirs {
		if !ok && !strings.HasPrefix(d, "cmd/") {
			t.Errorf("%s has no doc.go with a package comment", d)
		}
	}
}

// Longer functions that stay: each is one switch over wire types or one table, and says so in its comment.
var longFunctions = map[string]string{
	"sources/mysql/rows/tablemap.go describe": "one switch over the wire types",
}

func TestSizeCeilings(t *testing.T) {
	for _, f := range sources(t) {
		lines := strings.Count(f.text, "\n")
		if !f.test && lines > 500 {
			t.Errorf("%s has %d lines; the ceiling is 500", f.path, lines)
		}
		for _, d := range f.file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || f.test {
				continue
			}
			n := f.set.Position(fn.End()).Line - f.set.Position(fn.Pos()).Line + 1
			if n > 80 && longFunctions[f.path+" "+fn.Name.Name] == "" {
				t.Errorf("%s: %s has %d lines; the ceiling is 80", f.path, fn.Name.Name, n)
			}
		}
	}
}

func TestNoInitRegistrationAndNoExitOutsidePrograms(t *testing.T) {
	for _, f := range sources(t) {
		if f.test {
			continue
		}
		for _, d := range f.file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s has an init function: registration is explicit (sources/all, sinks/all)", f.path)
			}
		}
		if f.file.Name.Name != "main" && regexp.MustCompile(`\bos\.Exit\(|log\.Fatal`).MatchString(f.text) {
			t.Errorf("%s exits the process: only a program (package main) may", f.path)
		}
	}
}

func TestNoSleepInTests(t *testing.T) {
	for _, f := range sources(t) {
		if f.test && f.dir != "internal/arch" && strings.Contains(f.text, "time.Sleep(") {
			t.Errorf("%s sleeps: wait for a condition or a signal", f.path)
		}
	}
}

// A connector is a folder and one line in all.go: a folder that is not listed is dead code or a forgotten line.
func TestConnectorsAreListed(t *testing.T) {
	for _, kind := range []string{"sources", "sinks"} {
		root := filepath.Join("..", "..", kind)
		list, err := os.ReadFile(filepath.Join(root, "all", "all.go"))
		if err != nil {
			t.Fatal(err)
		}
		dirs, err := os.ReadDir(root)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range dirs {
			if d.IsDir() && d.Name() != "all" && d.Name() != "ledger" && !strings.Contains(string(list), `"`+module+kind+"/"+d.Name()+`"`) {
				t.Errorf("%s/%s is not listed in %s/all/all.go", kind, d.Name(), kind)
			}
		}
	}
}

// duckdb-go's RegisterView answers queries wrongly unless all columns are copied out at once (facts in docs/adr): one caller.
func TestOneCallerOfRegisterView(t *testing.T) {
	for _, f := range sources(t) {
		if !f.test && f.dir != "internal/duck" && strings.Contains(f.text, ".RegisterView(") {
			t.Errorf("%s calls RegisterView: only internal/duck may", f.path)
		}
	}
}

// funcName is the name of a function, with its receiver's type before a dot.
func funcName(d ast.Decl) string {
	fn, ok := d.(*ast.FuncDecl)
	if !ok {
		return ""
	}
	if fn.Recv == nil {
		return fn.Name.Name
	}
	of := fn.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if generic, ok := of.(*ast.IndexExpr); ok {
		of = generic.X
	}
	return of.(*ast.Ident).Name + "." + fn.Name.Name
}
