package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// file is one YAML file of the folder with what is needed to point into it.
type file struct {
	name    string // relative, slash-separated
	lines   []string
	root    ast.Node // mapping; nil when the file did not parse
	expand  *expander
	at      map[string]*token.Token // where each decoded path stands
	secrets map[string]bool         // decoded paths whose value is a secret
}

// parseFile reads and parses one file. When it cannot, it says so in one problem; root is set otherwise.
func parseFile(dir, name string, x *expander) (*file, *Problem) {
	f := &file{name: name, expand: x, at: map[string]*token.Token{}, secrets: map[string]bool{}}
	p := f.parse(dir)
	if p != nil {
		p.Unread = true
	}
	return f, p
}

func (f *file) parse(dir string) *Problem {
	text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(f.name)))
	if err != nil {
		return &Problem{File: f.name, Message: fileError("reading the file", err)}
	}
	f.lines = strings.Split(string(text), "\n")
	parsed, err := parser.ParseBytes(text, 0)
	if err != nil {
		return f.syntaxProblem(err)
	}
	var docs []ast.Node
	for _, d := range parsed.Docs {
		if d.Body != nil && d.Body.Type() != ast.NullType && d.Body.Type() != ast.CommentType {
			docs = append(docs, d.Body)
		}
	}
	var p Problem
	switch {
	case len(docs) == 0:
		p = Problem{File: f.name, Line: 1, Column: 1, Message: "the file is empty"}
	case len(docs) > 1:
		p = f.problem(docs[1].GetToken(), "", "holds a second document: write one file per document")
	default:
		if _, ok := docs[0].(ast.MapNode); ok {
			f.root = docs[0]
			return nil
		}
		p = f.problem(docs[0].GetToken(), "", "the file must hold keys and values (key: value)")
	}
	return &p
}

// fileError words an error of the file system without the machine's path.
func fileError(doing string, err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return doing + ": " + err.Error()
}

func (f *file) syntaxProblem(err error) *Problem {
	var ye yaml.Error
	if !errors.As(err, &ye) || ye.GetToken() == nil {
		return &Problem{File: f.name, Message: "not valid YAML"}
	}
	p := f.problem(ye.GetToken(), "", "not valid YAML: "+ye.GetMessage())
	p.Excerpt = f.excerpt(p.Line, p.Column, maskLine)
	return &p
}

// problem points at a token.
func (f *file) problem(tok *token.Token, path, message string) Problem {
	p := Problem{File: f.name, Path: path, Message: message}
	if tok != nil && tok.Position != nil {
		p.Line, p.Column = tok.Position.Line, tok.Position.Column
		mask := maskLine
		if f.secrets[path] {
			mask = maskValue
		}
		p.Excerpt = f.excerpt(p.Line, p.Column, mask)
	}
	return p
}

// keyProblem points at a key and shows the line only up to it.
func (f *file) keyProblem(key *token.Token, path, message string) Problem {
	p := f.problem(key, path, message)
	p.Excerpt = f.excerpt(p.Line, p.Column, func(line string) string {
		end := min(len(line), p.Column-1+len(key.Value))
		if i := strings.IndexByte(line[end:], ':'); i >= 0 {
			end += i + 1
		}
		return line[:end] + " …"
	})
	return p
}

// problemAt points at the value of a path, or at the nearest part of the file that holds it.
func (f *file) problemAt(path, message string) Problem {
	for at := path; ; at = parentPath(at) {
		if tok := f.at[at]; tok != nil || at == "" {
			p := f.problem(tok, path, message)
			if at == "" {
				p.Line, p.Column, p.Excerpt = 0, 0, "" // the whole file: no line of it is to blame
			}
			return p
		}
	}
}

// excerpt shows one line and a caret under the column.
func (f *file) excerpt(line, column int, mask func(string) string) string {
	if line < 1 || line > len(f.lines) {
		return ""
	}
	text := strings.TrimRight(strings.ReplaceAll(f.lines[line-1], "\t", " "), "\r ")
	n := fmt.Sprintf("%5d", line)
	return fmt.Sprintf("%s | %s\n%s | %s^", n, mask(text), strings.Repeat(" ", len(n)), strings.Repeat(" ", max(column-1, 0)))
}

var (
	keyInLine  = regexp.MustCompile(`[\w.-]+["']?\s*[:=]`)
	secretive  = regexp.MustCompile(`(?i)pas+w|pwd|secret|token|credential|_key|sasl|auth`)
	userinfo   = regexp.MustCompile(`//[^/@\s]*@`)
	parameters = regexp.MustCompile(`\?[^\s"']*=[^\s"']*`)
)

// maskLine hides what may be a secret in a line that is shown though nobody knows all that it holds: everything after the
// first key that sounds like one, rightly spelt or not, and the user and parameters of an address. A reference is shown:
// it holds no secret.
func maskLine(line string) string {
	line = userinfo.ReplaceAllString(line, "//***@")
	line = parameters.ReplaceAllString(line, "?***")
	for _, at := range keyInLine.FindAllStringIndex(line, -1) {
		value := strings.TrimSpace(line[at[1]:])
		if value != "" && soundsSecret(line[at[0]:at[1]]) && !loneReference.MatchString(value) {
			return line[:at[1]] + " ***"
		}
	}
	return line
}

// loneReference is a value that is a reference and nothing else.
var loneReference = regexp.MustCompile(`^["']?\$\{[^}]*\}["']?[\s,}\]]*$`)

func soundsSecret(key string) bool {
	key = strings.ToLower(strings.Trim(key, `"' :=`))
	if secretive.MatchString(key) {
		return true
	}
	for _, name := range []string{"password", "secret", "token"} {
		if levenshtein.Distance(key, name, nil) <= 2 {
			return true
		}
	}
	return false
}

// maskValue hides everything after the key.
func maskValue(line string) string {
	if key, value, ok := strings.Cut(line, ":"); ok && !loneReference.MatchString(strings.TrimSpace(value)) {
		return key + ": ***"
	}
	return line
}

// index notes where the top-level keys stand.
func (f *file) index(n Node) {
	for it := n.node.(ast.MapNode).MapRange(); it.Next(); {
		tok := it.Key().GetToken()
		f.at[Path(tok.Value)] = tok
	}
}
