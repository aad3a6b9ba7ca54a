package telemetry_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// instruments are the methods whose first (or, for spans, second) argument is a name of the closed list.
var instruments = map[string]int{
	"Int64Counter": 0, "Int64UpDownCounter": 0, "Int64Histogram": 0, "Int64Gauge": 0,
	"Float64Counter": 0, "Float64UpDownCounter": 0, "Float64Histogram": 0, "Float64Gauge": 0,
	"Int64ObservableCounter": 0, "Int64ObservableGauge": 0, "Int64ObservableUpDownCounter": 0,
	"Float64ObservableCounter": 0, "Float64ObservableGauge": 0, "Float64ObservableUpDownCounter": 0,
	"Start": 1,
}

// A name of a metric, span or attribute that is written as a literal outside names.go is a name nobody can find
// (invariant 2).
func TestNamesAreInTheList(t *testing.T) {
	root := filepath.Join("..", "..")
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		files++
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return nil // the compiler reports it better
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if name, at := literalName(n); name != "" {
				t.Errorf("%s: %q is not a constant of internal/telemetry/names.go", set.Position(at), name)
			}
			return true
		})
		return nil
	})
	if err != nil || files < 20 {
		t.Fatalf("read %d files: %v", files, err)
	}
}

// literalName is the literal given as a name to an instrument, a span or an attribute; attributes of the process itself
// (service.*) are OpenTelemetry's names, not ours.
func literalName(n ast.Node) (string, token.Pos) {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return "", 0
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", 0
	}
	i, ok := instruments[sel.Sel.Name]
	if x, isIdent := sel.X.(*ast.Ident); isIdent && x.Name == "attribute" {
		i, ok = 0, true
	}
	if !ok || len(call.Args) <= i {
		return "", 0
	}
	lit, ok := call.Args[i].(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", 0
	}
	name, err := strconv.Unquote(lit.Value)
	if err != nil || strings.HasPrefix(name, "service.") {
		return "", 0
	}
	return name, lit.Pos()
}

func TestLiteralNamesAreFound(t *testing.T) {
	for src, want := range map[string]string{
		`m.Int64Counter("a")`:               "a",
		`tracer.Start(ctx, "b")`:            "b",
		`attribute.String("c", v)`:          "c",
		`attribute.String("service.x", v)`:  "",
		`m.Int64Counter(telemetry.MetricX)`: "",
		`cmd.Start()`:                       "",
	} {
		e, err := parser.ParseExpr(src)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := literalName(e); got != want {
			t.Errorf("%s: %q", src, got)
		}
	}
}
