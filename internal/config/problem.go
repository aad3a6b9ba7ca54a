package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/agext/levenshtein"
)

// Problem is one thing that is wrong in one place of a project folder.
type Problem struct {
	File    string // relative to the folder, slash-separated
	Line    int    // 1-based; 0 when the problem is not at a line
	Column  int
	Path    string // YAML path, like tables[0].into
	Message string
	Excerpt string // the line with a caret under the column; secrets masked (invariant 4)
	Unread  bool   // nothing can be known of the file or folder: what others say about its content is not judged (invariant 6)
}

// String is the problem as it is shown to the person who edits the file.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Excerpt != "" {
		b.WriteString("\n" + p.Excerpt)
	}
	return b.String()
}

// Problems is an error made of every problem found.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, x := range p {
		lines[i] = x.String()
	}
	return strings.Join(lines, "\n")
}

// In reports whether a file has a problem.
func (p Problems) In(file string) bool {
	return slices.ContainsFunc(p, func(x Problem) bool { return x.File == file })
}

// Err is p as an error, in the order of files and lines and each once; nil when there is no problem.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return slices.Compact(Problems(slices.SortedStableFunc(slices.Values(p), compareProblems)))
}

func compareProblems(a, b Problem) int {
	return cmp.Or(cmp.Compare(a.rank(), b.rank()), cmp.Compare(a.File, b.File),
		cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
}

// rank puts causes before consequences: the project file, what could not be read, the rest.
func (p Problem) rank() int {
	switch {
	case p.File == ProjectFile:
		return 0
	case p.Unread:
		return 1
	}
	return 2
}

// DidYouMean is ` (did you mean "x"?)` for the candidate nearest to name, or empty when none is near.
func DidYouMean(name string, candidates []string) string {
	best, least := "", 0
	for _, c := range candidates {
		d := levenshtein.Distance(strings.ToLower(name), strings.ToLower(c), nil)
		if d <= max(1, len(c)/3) && (best == "" || d < least) {
			best, least = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// Path joins steps into a YAML path: an int is an index, a string a key (quoted when it is not a plain word).
func Path(steps ...any) string {
	var b strings.Builder
	for _, s := range steps {
		switch s := s.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", s)
		case string:
			switch {
			case !plainKey(s):
				b.WriteString("[" + strconv.Quote(s) + "]")
			case b.Len() > 0:
				b.WriteString("." + s)
			default:
				b.WriteString(s)
			}
		default:
			panic(fmt.Sprintf("config: path step of type %T", s))
		}
	}
	return b.String()
}

func plainKey(s string) bool {
	for _, c := range s {
		if c != '_' && c != '-' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// childPath is the path of a key inside the mapping at path.
func childPath(path, key string) string {
	if path != "" && plainKey(key) {
		return path + "." + key
	}
	return path + Path(key)
}

// parentPath is path without its last step.
func parentPath(path string) string {
	i := strings.LastIndexAny(path, ".[")
	if strings.HasSuffix(path, `"]`) { // a quoted key may hold dots and brackets
		i = strings.LastIndex(path, `["`)
	}
	return path[:max(i, 0)]
}
