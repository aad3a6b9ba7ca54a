package config

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Load reads the project folder dir. env looks up environment variables. The error is Problems; the project is then what
// could be read, for checks that go further and for finding the daemon that runs on.
func Load(dir string, env func(string) (string, bool)) (*Project, error) {
	l := loader{dir: dir, expand: &expander{dir: dir, env: env}}
	p := Default()
	p.Dir, p.expand = dir, l.expand
	if none := noProject(dir); none != nil {
		p.Data = l.resolve(p.Data)
		return &p, Problems{*none}
	}
	l.project(&p)
	before := len(l.problems)
	for _, name := range l.list("sources") {
		if s, ok := l.source(name); ok {
			p.Sources = append(p.Sources, s)
		}
	}
	p.SourcesUnread = slices.ContainsFunc(l.problems[before:], func(x Problem) bool { return x.Unread || x.Path == "name" })
	for _, name := range l.list("pipelines") {
		if pl, ok := l.pipeline(name); ok {
			p.Pipelines = append(p.Pipelines, pl)
		}
	}
	l.references(&p)
	l.jobs(&p)
	return &p, l.problems.Err()
}

// Exists reports a folder that is no project, with why. The error is Problems.
func Exists(dir string) error {
	if none := noProject(dir); none != nil {
		return Problems{*none}
	}
	return nil
}

// noProject says why a folder is no project, nil when it is one.
func noProject(dir string) *Problem {
	const remedy = " (name another folder with --config, or make one with: tidemill new project)"
	f, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Problem{File: dir, Message: "there is no such folder" + remedy}
	case err == nil && !f.IsDir():
		return &Problem{File: dir, Message: "is no folder" + remedy}
	}
	if _, err := os.Stat(filepath.Join(dir, ProjectFile)); errors.Is(err, fs.ErrNotExist) {
		return &Problem{File: ProjectFile, Message: "there is no " + ProjectFile + " in this folder: it is not a project" + remedy}
	}
	return nil
}

type loader struct {
	dir      string
	expand   *expander
	problems Problems
}

func (l *loader) add(p ...Problem) { l.problems = append(l.problems, p...) }

// reported tells whether a path of a file has a problem already.
func (l *loader) reported(file, path string) bool {
	return slices.ContainsFunc(l.problems, func(p Problem) bool { return p.File == file && p.Path == path })
}

// list names the YAML files of a subfolder in order. Files that look like one and would not be read are refused
// (invariant 2).
func (l *loader) list(sub string) []string {
	entries, err := os.ReadDir(filepath.Join(l.dir, sub))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.add(Problem{File: sub, Message: fileError("reading the folder", err), Unread: true})
	}
	var names []string
	for _, e := range entries {
		name := path.Join(sub, e.Name())
		switch ext := path.Ext(name); {
		case strings.HasPrefix(e.Name(), ".") || e.IsDir():
		case ext == ".yaml":
			names = append(names, name)
		case ext == ".yml" || ext == ".json":
			l.add(Problem{File: name, Message: "is not read: rename it to " + strings.TrimSuffix(name, ext) + ".yaml", Unread: true})
		}
	}
	return names
}

// decode parses one file and decodes it into dst; ok when it could at least be parsed.
func (l *loader) decode(name string, dst any) (Node, bool) {
	f, unread := parseFile(l.dir, name, l.expand)
	if unread != nil {
		l.add(*unread)
		return Node{file: f}, false
	}
	n := Node{file: f, node: f.root}
	var found Problems
	if errors.As(n.Decode(dst), &found) {
		l.add(found...)
	}
	return n, true
}

func (l *loader) project(p *Project) {
	p.node, _ = l.decode(ProjectFile, p)
	if p.Log.Embedded == "" && len(p.Log.Brokers) == 0 {
		p.Log.Embedded = "./data/log"
	}
	for _, at := range []*string{&p.Data, &p.Log.Embedded} {
		*at = l.resolve(*at)
	}
	p.Store, p.Warehouse = l.resolveURL(p.Store), l.resolveURL(p.Warehouse)
}

// resolve makes a path relative to the folder.
func (l *loader) resolve(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(l.dir, filepath.FromSlash(p))
}

// resolveURL makes the path of a plain path or of scheme:path relative to the folder; scheme://host stays.
func (l *loader) resolveURL(u URL) URL {
	text := u.Reveal()
	if text == "" || strings.Contains(text, "://") {
		return u
	}
	prefix := ""
	if s := u.Scheme(); s != "" {
		prefix, text = s+":", text[len(s)+1:]
	}
	name, query, hasQuery := strings.Cut(text, "?")
	if text = prefix + l.resolve(name); hasQuery {
		text += "?" + query
	}
	return NewURL(text)
}

func (l *loader) source(name string) (Source, bool) {
	f, unread := parseFile(l.dir, name, l.expand)
	if unread != nil {
		l.add(*unread)
		return Source{}, false
	}
	n := Node{file: f, node: f.root, skip: []string{"kind", "name", "type"}}
	f.index(n)
	s := Source{Name: n.text("name"), Type: n.text("type"), File: name, Node: n}
	l.kind(n, "source")
	l.name(n, s.Name)
	if s.Type == "" {
		l.add(n.Problem("type", "is missing: name the kind of source, like type: mysql"))
	}
	return s, true
}

// kind checks the kind of a file: it must be the one of its folder.
func (l *loader) kind(n Node, want string) {
	switch got := n.text("kind"); got {
	case want:
	case "":
		l.add(n.Problem("kind", "is missing: write kind: "+want))
	default:
		l.add(n.Problem("kind", "must be "+want+" in this folder"+DidYouMean(got, []string{want})))
	}
}

func (l *loader) name(n Node, name string) {
	if p := NameProblem(name); p != "" {
		l.add(n.Problem("name", p))
	}
}

func (l *loader) pipeline(name string) (Pipeline, bool) {
	p := Pipeline{File: name}
	var ok bool
	if p.node, ok = l.decode(name, &p); !ok {
		return p, false
	}
	l.kind(p.node, "pipeline")
	l.name(p.node, p.Name)
	if len(p.Tables) == 0 && !l.reported(name, "tables") {
		l.add(p.node.Problem("tables", "a pipeline needs at least one table"))
	}
	if p.MaxQuarantine < 0 {
		l.add(p.node.Problem("max_quarantine", "must be 0 or more"))
	}
	for i := range p.Tables {
		l.table(&p, i)
	}
	return p, true
}

// query reads the SQL file of a view.
func (l *loader) query(p *Pipeline, i int) {
	t := &p.Tables[i]
	if filepath.IsAbs(t.SQL) {
		l.add(p.Problem(Path("tables", i, "sql"), "must be relative to this file"))
		return
	}
	t.QueryFile = path.Join(path.Dir(p.File), filepath.ToSlash(t.SQL))
	b, err := os.ReadFile(filepath.Join(l.dir, filepath.FromSlash(t.QueryFile)))
	if err != nil {
		l.add(p.Problem(Path("tables", i, "sql"), fileError("reading "+t.QueryFile, err)+l.nearbyFile(t.QueryFile)))
		return
	}
	if t.Query = string(b); strings.TrimSpace(t.Query) == "" {
		l.add(Problem{File: t.QueryFile, Message: "the file is empty: it must hold one SELECT"})
	}
}

// nearbyFile suggests a file of the same folder.
func (l *loader) nearbyFile(name string) string {
	entries, err := os.ReadDir(filepath.Join(l.dir, filepath.FromSlash(path.Dir(name))))
	if err != nil {
		return ""
	}
	var names []string
	for _, e := range entries {
		if path.Ext(e.Name()) == path.Ext(name) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return DidYouMean(path.Base(name), names)
}

// ReadFile decodes one YAML file of the folder, by its relative name, as strictly as the others. The error is Problems.
func ReadFile(dir, name string, env func(string) (string, bool), into any) error {
	f, unread := parseFile(dir, name, &expander{dir: dir, env: env})
	if unread != nil {
		return Problems{*unread}
	}
	return Node{file: f, node: f.root}.Decode(into)
}
