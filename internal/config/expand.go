package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// expander replaces ${env:NAME} and ${file:PATH} in scalar values.
type expander struct {
	dir     string
	env     func(string) (string, bool)
	missing Problems
}

var reference = regexp.MustCompile(`\$\{([^}]*)\}`)

// expand returns the text with references replaced. ok is false when one is missing (noted, invariant 5) or malformed
// (the problem is returned).
func (x *expander) expand(text string) (out string, missing []string, err error) {
	out = reference.ReplaceAllStringFunc(text, func(ref string) string {
		kind, name, _ := strings.Cut(ref[2:len(ref)-1], ":")
		switch {
		case name == "" || kind != "env" && kind != "file":
			err = fmt.Errorf("%s is no reference: write ${env:NAME} or ${file:PATH}", ref)
		case kind == "env":
			v, ok := x.env(name)
			if ok {
				return v
			}
			missing = append(missing, fmt.Sprintf("environment variable %s is not set", name))
		default:
			v, ferr := x.readFile(name)
			if ferr == nil {
				return v
			}
			missing = append(missing, fileError("reading "+name, ferr))
		}
		return ""
	})
	return out, missing, err
}

func (x *expander) readFile(name string) (string, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(x.dir, filepath.FromSlash(name))
	}
	b, err := os.ReadFile(name)
	return strings.TrimRight(string(b), "\r\n"), err
}
