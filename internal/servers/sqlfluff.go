package servers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// sqlfluff is no server but a program that judges SQL: a second opinion, by people who do not know ours.
func sqlfluffComponent() Component {
	return Component{
		Name: "sqlfluff", Title: "sqlfluff (SQL parser)",
		Bring: fetchCommand("sqlfluff"),
		check: func() error { _, err := inCache("sqlfluff/bin/sqlfluff"); return err },
	}
}

// Unparsable has sqlfluff parse statements in a dialect. The result is the places and texts of its complaints, by the
// statement's index.
func Unparsable(ctx context.Context, dialect string, statements []string) (map[int][]string, error) {
	program, err := inCache("sqlfluff/bin/sqlfluff")
	if err != nil {
		return nil, &MissingError{Component: sqlfluffComponent(), Reason: err.Error()}
	}
	dir, err := os.MkdirTemp("", "sqlfluff")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for i, s := range statements {
		if err := os.WriteFile(filepath.Join(dir, strconv.Itoa(i)+".sql"), []byte(s+"\n"), 0o600); err != nil {
			return nil, err
		}
	}
	cmd := exec.CommandContext(ctx, program, "lint", "--dialect", dialect, "--templater", "raw", "--rules", "PRS", "--format", "json", "--disable-progress-bar", dir)
	cmd.Dir = dir // no settings of ours or of the user's
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) { // 1: it found something
		return nil, fmt.Errorf("running sqlfluff: %w", err)
	}
	var files []struct {
		Path       string `json:"filepath"`
		Violations []struct {
			Line        int    `json:"start_line_no"`
			Col         int    `json:"start_line_pos"`
			Description string `json:"description"`
		} `json:"violations"`
	}
	if err := json.Unmarshal(out, &files); err != nil {
		return nil, fmt.Errorf("reading sqlfluff's answer: %w", err)
	}
	if len(files) != len(statements) {
		return nil, fmt.Errorf("sqlfluff judged %d of %d statements", len(files), len(statements))
	}
	found := map[int][]string{}
	for _, f := range files {
		base := filepath.Base(f.Path)
		i, err := strconv.Atoi(base[:len(base)-len(filepath.Ext(base))])
		if err != nil {
			return nil, fmt.Errorf("sqlfluff judged a file %s", f.Path)
		}
		for _, v := range f.Violations {
			found[i] = append(found[i], fmt.Sprintf("%d:%d: %s", v.Line, v.Col, v.Description))
		}
	}
	return found, nil
}
