package arch_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	reference = regexp.MustCompile("`([^`]+)` `([^`]+)`")
	numbered  = regexp.MustCompile(`(?m)^ +(\d+)\. `)
)

// docs/invariants.md is true: each function and each test that it names is there; each numbered line of a doc.go has a row; a row
// without a way to break it says why.
func TestInvariantsAreKept(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "invariants.md"))
	if err != nil {
		t.Fatal(err)
	}
	funcs := functions(t)
	broken := map[string]breaking{}
	for _, b := range breakings(t) {
		broken[b.id] = b
	}
	rows := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.ReplaceAll(line, `\|`, "/"), "|")
		if len(cells) < 5 || strings.HasPrefix(cells[1], "---") || strings.HasPrefix(cells[1], " #") || strings.HasPrefix(cells[1], " what is") {
			continue
		}
		id := strings.TrimSpace(cells[1])
		rows[id] = true
		for _, cell := range cells[2:] {
			for _, m := range reference.FindAllStringSubmatch(cell, -1) {
				if !funcs[m[1]+":"+m[2]] {
					t.Errorf("%s: %s has no %s", id, m[1], m[2])
				}
			}
		}
		b, has := broken[id]
		switch last := cells[len(cells)-2]; {
		case len(cells) == 5: // mutations
		case !reference.MatchString(cells[3]) || !reference.MatchString(last):
			t.Errorf("%s: nothing enforces it, or nothing fails", id)
		case has && !strings.Contains(cells[3], "`"+b.file+"` `"+b.fn+"`"):
			t.Errorf("%s: it is broken in %s %s", id, b.file, b.fn)
		case has && !strings.Contains(last, "`"+strings.TrimPrefix(b.pkg, "./")+"` `"+b.test+"`"):
			t.Errorf("%s: %s fails in %s", id, b.test, b.pkg)
		case !has && !strings.HasPrefix(id, "rule ") && !strings.HasPrefix(id, "promise ") && !strings.Contains(last, "–"):
			t.Errorf("%s: it is never broken, and the row does not say why", id)
		}
	}
	for id := range broken {
		if !rows[id] {
			t.Errorf("%s is broken and has no row", id)
		}
	}
	for _, f := range sources(t) {
		if !strings.HasSuffix(f.path, "doc.go") || f.file.Doc == nil || !strings.Contains(strings.ToLower(f.file.Doc.Text()), "invariants") {
			continue
		}
		for _, n := range numbered.FindAllStringSubmatch(f.file.Doc.Text(), -1) {
			if id := fmt.Sprintf("%s %s", f.dir, n[1]); !rows[id] {
				t.Errorf("%s has no row", id)
			}
		}
	}
}
