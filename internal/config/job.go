package config

import (
	"cmp"
	"errors"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Job is one jobs/*.yaml: the envelope, and the rest for the job's own decode. A file of kind: template is one too: it is the
// layer below the jobs that extend it.
type Job struct {
	Name string
	File string // relative to the folder
	Node Node

	dir string
}

// Read returns the content of a file that the job names, relative to the job's own. name is relative to the folder.
func (j *Job) Read(rel string) (name, text string, err error) {
	if filepath.IsAbs(rel) {
		return rel, "", errors.New("must be relative to this file")
	}
	name = path.Join(path.Dir(j.File), filepath.ToSlash(rel))
	b, err := os.ReadFile(filepath.Join(j.dir, filepath.FromSlash(name)))
	if err != nil {
		return name, "", errors.New(fileError("reading "+name, err) + (&loader{dir: j.dir}).nearbyFile(name))
	}
	if strings.TrimSpace(string(b)) == "" {
		return name, "", errors.New(name + " is empty")
	}
	return name, string(b), nil
}

// Problem is a problem at a path of the job's file.
func (j *Job) Problem(path, message string) Problem { return j.Node.Problem(path, message) }

func (l *loader) jobs(p *Project) {
	taken := map[string]string{}
	for _, name := range l.list("jobs") {
		f, unread := parseFile(l.dir, name, l.expand)
		if unread != nil {
			l.add(*unread)
			p.JobsUnread = true
			continue
		}
		n := Node{file: f, node: f.root, skip: []string{"kind", "name"}}
		f.index(n)
		j := Job{Name: n.text("name"), File: name, Node: n, dir: l.dir}
		kind := n.text("kind")
		l.name(n, j.Name)
		if first, ok := taken[j.Name]; ok && j.Name != "" {
			l.add(n.Problem("name", "is taken: "+first+" has the same name"))
			continue
		}
		taken[j.Name] = name
		switch kinds := []string{"job", "template"}; {
		case kind == "job":
			p.Jobs = append(p.Jobs, j)
		case kind == "template":
			p.Templates = append(p.Templates, j)
		default:
			l.add(n.Problem("kind", "must be job or template in this folder"+DidYouMean(cmp.Or(kind, "?"), kinds)))
		}
	}
	if slices.ContainsFunc(l.problems, func(x Problem) bool { return x.Unread && x.File == "jobs" }) {
		p.JobsUnread = true
	}
}
