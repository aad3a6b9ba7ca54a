package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"text/template"
	"time"

	"github.com/tidemill/tidemill/internal/servers"
)

//go:embed project
var projectFiles embed.FS

// project is the demo's folder and what its files hold.
type project struct {
	Folder                            string
	Consult, Pharmacy, Sessions, Mail int    // ports
	Start                             string // of the jobs
	ConsultPassword, PharmacyPassword string
	Key, Secret                       string // of the chat rooms' DynamoDB
	Fresh                             bool   // written just now
}

// The accounts open two databases that only this machine reaches, with made-up rows: passwords anyone may know.
const (
	consultPassword  = "consult-demo"
	pharmacyPassword = "pharmacy-demo"
)

// openProject writes the folder if it is not there, else reads the ports from it: the sources' address lines are the
// one place where they stand, so a newcomer who reads a file sees the truth.
func openProject(folder string) (project, error) {
	p := project{Folder: folder, ConsultPassword: consultPassword, PharmacyPassword: pharmacyPassword, Key: "clinic", Secret: "sessions-demo"}
	_, err := os.Stat(filepath.Join(folder, "tidemill.yaml"))
	switch {
	case err == nil:
		p.Consult, err = portIn(filepath.Join(folder, "sources", "consult.yaml"))
		if err == nil {
			p.Pharmacy, err = portIn(filepath.Join(folder, "sources", "pharmacy.yaml"))
		}
		if err == nil {
			p.Sessions, err = portIn(filepath.Join(folder, "sources", "sessions.yaml"))
		}
		if err == nil {
			p.Mail, err = portIn(filepath.Join(folder, "tidemill.yaml"))
		}
		return p, err
	case !errors.Is(err, fs.ErrNotExist):
		return p, fmt.Errorf("opening the demo project: %w", err)
	}
	p.Fresh = true
	if p.Consult, err = freePort(23306); err != nil {
		return p, err
	}
	if p.Pharmacy, err = freePort(23307); err != nil {
		return p, err
	}
	if p.Sessions, err = freePort(23308); err != nil {
		return p, err
	}
	if p.Mail, err = freePort(23325); err != nil {
		return p, err
	}
	p.Start = time.Now().UTC().Truncate(10 * time.Minute).Format(time.RFC3339)
	if err := p.write(); err != nil {
		return p, fmt.Errorf("writing the demo project: %w", err)
	}
	return p, nil
}

// freePort prefers a port that is easy to remember.
func freePort(preferred int) (int, error) {
	if servers.PortFree(preferred) {
		return preferred, nil
	}
	return servers.FreePort()
}

// portIn finds the port of the demo's own server in a file; 0 when the source was pointed at another machine.
func portIn(file string) (int, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil // the newcomer removed that source: its server still plays its part in the load
	}
	if err != nil {
		return 0, fmt.Errorf("looking for the demo's port: %w", err)
	}
	found := regexp.MustCompile(`(?m)(?:^address:|^endpoint:|server:)\s*["']?(?:http://)?127\.0\.0\.1:(\d+)`).FindSubmatch(text)
	if found == nil {
		return 0, nil
	}
	return strconv.Atoi(string(found[1]))
}

// write fills the folder; tidemill.yaml comes last, because its presence means that the folder is complete.
func (p project) write() error {
	last := "project/tidemill.yaml"
	err := fs.WalkDir(projectFiles, "project", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path == last {
			return err
		}
		return p.writeFile(path)
	})
	if err != nil {
		return err
	}
	return p.writeFile(last)
}

func (p project) writeFile(path string) error {
	text, err := projectFiles.ReadFile(path)
	if err != nil {
		return err
	}
	filled, err := template.New(path).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := filled.Execute(&out, p); err != nil {
		return err
	}
	rel, err := filepath.Rel("project", path)
	if err != nil {
		return err
	}
	target := filepath.Join(p.Folder, rel)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return os.WriteFile(target, out.Bytes(), 0o644)
}

// databases is where the two servers keep their data: in the cache, not in the project, for two reasons. A server's
// account must get there even if the project lies in root's home, and a unix socket's path may be about 100 bytes.
func (p project) databases() (string, error) {
	abs, err := filepath.Abs(p.Folder)
	if err != nil {
		return "", err
	}
	h := fnv.New32a()
	h.Write([]byte(abs)) // a hash never fails
	return filepath.Join(servers.Cache(), "clinic", fmt.Sprintf("%08x", h.Sum32())), nil
}
