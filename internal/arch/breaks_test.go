package arch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var breaksFlag = flag.String("breaks", "", "break the invariants whose number matches this, and see their tests fail")

// breaking is how an invariant is broken and what must fail then.
type breaking struct {
	id        string // "window 1": package and number
	file, fn  string // where it is enforced
	old, new  string
	pkg, test string
	read      bool // the test reads the tree: it needs a copy that is broken
}

// breakings reads testdata/breaks.txt.
func breakings(t *testing.T) []breaking {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "breaks.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var out []breaking
	var b *breaking
	for n, line := range strings.Split(string(text), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || word == "#":
		case word == "=":
			out = append(out, breaking{id: rest})
			b = &out[len(out)-1]
		case b == nil:
			t.Fatalf("breaks.txt:%d: before the first entry", n+1)
		case word == "in":
			b.file, b.fn, _ = strings.Cut(rest, " ")
		case word == "fails", word == "reads":
			b.pkg, b.test, _ = strings.Cut(rest, " ")
			b.read = word == "reads"
		case line[0] == '-':
			b.old = joined(b.old, line[1:])
		case line[0] == '+':
			b.new = joined(b.new, line[1:])
		default:
			t.Fatalf("breaks.txt:%d: what is %q?", n+1, line)
		}
	}
	return out
}

func joined(text, line string) string {
	if text == "" {
		return line
	}
	return text + "\n" + line
}

// Each breaking names text that is there, once, in a function that is there, and a test that is there.
func TestBreakingsAreUpToDate(t *testing.T) {
	funcs := functions(t)
	seen := map[string]bool{}
	for _, b := range breakings(t) {
		text, err := os.ReadFile(filepath.Join("..", "..", b.file))
		if err != nil {
			t.Errorf("%s: %v", b.id, err)
			continue
		}
		if n := strings.Count(string(text), b.old); n != 1 || b.old == b.new {
			t.Errorf("%s: %s holds %d times\n%s", b.id, b.file, n, b.old)
		}
		if !funcs[b.file+":"+b.fn] {
			t.Errorf("%s: %s has no function %s", b.id, b.file, b.fn)
		}
		if !funcs[strings.TrimPrefix(b.pkg, "./")+":"+b.test] {
			t.Errorf("%s: %s has no %s", b.id, b.pkg, b.test)
		}
		if seen[b.id] {
			t.Errorf("%s: twice", b.id)
		}
		seen[b.id] = true
	}
}

// functions are those of the tree, by file, and the tests by package.
func functions(t *testing.T) map[string]bool {
	out := map[string]bool{}
	for _, f := range sources(t) {
		for _, d := range f.file.Decls {
			if name := funcName(d); name != "" {
				out[f.path+":"+name] = true
				if f.test {
					out[f.dir+":"+name] = true
				}
			}
		}
	}
	return out
}

// TestBreaks breaks invariants one by one and wants the named test to fail. The tree is left alone: the compiler is shown another
// text of one file. It is slow and runs when it is asked to: go test ./internal/arch -run TestBreaks -timeout 0 -breaks . for all.
func TestBreaks(t *testing.T) {
	if *breaksFlag == "" {
		t.Skip("asked for with -breaks: it runs one test for every invariant")
	}
	want := regexp.MustCompile(*breaksFlag)
	for _, b := range breakings(t) {
		if want.MatchString(b.id) {
			t.Run(b.id, func(t *testing.T) {
				said, err := b.run(t.Context(), t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				t.Log(said)
			})
		}
	}
}

// run breaks the file, runs the test, and returns what it said.
func (b *breaking) run(ctx context.Context, dir string) (said string, err error) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return "", err
	}
	path, shown, overlay := filepath.Join(root, b.file), filepath.Join(dir, "broken.go"), filepath.Join(dir, "overlay.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: shown}})
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.WriteFile(shown, []byte(strings.Replace(string(text), b.old, b.new, 1)), 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		return "", err
	}
	if b.read {
		root = filepath.Join(dir, "tree")
		if out, err := exec.CommandContext(ctx, "cp", "-r", filepath.Join("..", ".."), root).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%w: %s", err, out)
		}
		if err := os.Rename(shown, filepath.Join(root, b.file)); err != nil {
			return "", err
		}
		if err := os.WriteFile(overlay, []byte("{}"), 0o600); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-tags", "duckdb_arrow failpoint", "-overlay", overlay, "-vet=off", "-ldflags=-s -w", "-count=1", "-timeout", "4m", "-run", "^"+b.test+"$", b.pkg)
	cmd.Dir = root
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return "", fmt.Errorf("%s is broken and %s passes", b.id, b.test)
	case bytes.Contains(out, []byte("[build failed]")) || bytes.Contains(out, []byte("[setup failed]")):
		return "", fmt.Errorf("%s: the break does not compile: %s", b.id, out)
	}
	for line := range strings.Lines(string(out)) {
		if trimmed := strings.TrimSpace(line); trimmed != "" && !strings.HasPrefix(trimmed, "---") && !strings.HasPrefix(trimmed, "===") {
			return trimmed[:min(len(trimmed), 300)], nil
		}
	}
	return string(out), nil
}
