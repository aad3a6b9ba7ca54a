package servers

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

//go:embed install/*.sh
var scripts embed.FS

// Install brings the named components (all when none is named) into the cache folder or, for what Debian ships, by
// apt. What is there already is left alone. Progress goes to out. The error joins one line per component that
// could not be had; the others are installed all the same.
func Install(ctx context.Context, out io.Writer, names ...string) error {
	wanted, err := ComponentsByName(names...)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(Cache(), 0o755); err != nil {
		return fmt.Errorf("making the cache folder: %w; choose another with TIDEMILL_CACHE", err)
	}
	unlock, err := lockCache()
	if err != nil {
		return err
	}
	defer unlock()
	var failed []error
	for _, c := range wanted {
		if c.Check() == nil {
			continue
		}
		fmt.Fprintf(out, "bringing %s ...\n", c.Title)
		if err := c.install(ctx, out); err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// install runs the component's script and checks its result rather than trusting its exit code.
func (c Component) install(ctx context.Context, out io.Writer) error {
	prelude, err := scripts.ReadFile("install/lib.sh")
	if err != nil {
		return err
	}
	script, err := scripts.ReadFile("install/" + c.Name + ".sh")
	if err != nil {
		return err
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, "/bin/sh", "-eu", "-s")
	cmd.Stdin = io.MultiReader(bytes.NewReader(prelude), bytes.NewReader(script))
	cmd.Stdout, cmd.Stderr = out, io.MultiWriter(out, &said)
	cmd.Env = append(os.Environ(), "CACHE="+Cache())
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("bringing %s: %w", c.Title, context.Cause(ctx))
		}
		return &MissingError{Component: c, Reason: lastSaid(said.String(), err)}
	}
	return c.Check()
}

// lastSaid is the script's last line: die() in install/lib.sh sees to it that this is the cause.
func lastSaid(text string, err error) string {
	if line := strings.TrimSpace(lastLines(text, 1)); line != "" {
		return line
	}
	return err.Error()
}

// lockCache keeps two processes (go test runs packages side by side) from unpacking into the same folder.
func lockCache() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(Cache(), ".lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking the cache folder: %w; choose another with TIDEMILL_CACHE", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking the cache folder %s: %w", Cache(), err)
	}
	return func() { f.Close() }, nil // closing drops the lock
}
