package failpoint

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A name that no code hits is a kill test that tests nothing.
func TestEveryPointIsHeld(t *testing.T) {
	text, err := os.ReadFile("names.go")
	if err != nil {
		t.Fatal(err)
	}
	constants := regexp.MustCompile(`(?m)^\t([A-Z]\w+)\s+= "`).FindAllStringSubmatch(string(text), -1)
	if len(constants) != len(Names) {
		t.Fatalf("%d constants and %d names", len(constants), len(Names))
	}
	held := map[string]bool{}
	hit := regexp.MustCompile(`failpoint\.Hit\(failpoint\.(\w+)\)`)
	err = filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range hit.FindAllStringSubmatch(string(b), -1) {
			held[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range constants {
		if !held[c[1]] {
			t.Errorf("nothing hits failpoint.%s", c[1])
		}
	}
}
