package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The files of the move from Airflow in docs/jobs.md, as a reader copies them: they are a project, and their tests pass.
func TestMoveFromAirflow(t *testing.T) {
	b, err := os.ReadFile("../../docs/jobs.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := map[string]string{
		"tidemill.yaml":        "project: clinic\n",
		"sources/consult.yaml": "kind: source\nname: consult\ntype: mysql\naddress: 127.0.0.1:3306\nuser: tidemill\npassword: x\n",
		"pipelines/care.yaml":  "kind: pipeline\nname: care\ntables: [{name: mart.visits, sql: visits.sql, key: [visit_id]}]\n",
		"pipelines/visits.sql": "SELECT visit_id, visited FROM consult.clinic.visits\n",
	}
	for _, m := range regexp.MustCompile("(?s)```(?:yaml|sql)\n(?:#|--) (jobs/[a-z/]+\\.(?:yaml|sql))\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		files[m[1]] = m[2]
	}
	if len(files) != 10 {
		t.Fatalf("%d files, want the 4 of here and 6 of the page", len(files))
	}
	for name, text := range files {
		at := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for command, want := range map[string]string{"check": "2 jobs", "test": "ok    jobs/tests/week.yaml: week 2026-03-23"} {
		cmd := exec.Command("tidemill", command, "--config", dir) // testscript puts this binary there under that name
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) || strings.Contains(string(out), "FAIL") {
			t.Errorf("tidemill %s: %v\n%s", command, err, out)
		}
	}
}
