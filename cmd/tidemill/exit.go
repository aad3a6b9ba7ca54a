package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/window"
)

// The exit codes (DESIGN §9).
const (
	exitOK          = 0
	exitRuntime     = 1
	exitConfig      = 2
	exitEnvironment = 3
)

// usageError is a command line that makes no sense.
type usageError struct {
	command string
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }

// Hint is where to read on.
func (e *usageError) Hint() string { return e.command + " --help" }

func usage(cmd *cobra.Command, err error) error { return &usageError{cmd.CommandPath(), err} }

// environmentError is a machine that does not let us work.
type environmentError struct {
	what   string
	remedy string
	err    error
}

func (e *environmentError) Error() string {
	if e.err == nil {
		return e.what
	}
	return e.what + ": " + e.err.Error()
}

func (e *environmentError) Unwrap() error { return e.err }

// Hint is the remedy.
func (e *environmentError) Hint() string { return e.remedy }

// Environment marks the error for the classifier.
func (e *environmentError) Environment() bool { return true }

// errSaid ends a command with exit code 1 after it has said everything itself.
var errSaid = errors.New("already reported")

// exitCode is the one classifier (invariant 2).
func exitCode(err error) int {
	var problems config.Problems
	var use *usageError
	var env interface{ Environment() bool }
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &problems), errors.As(err, &use):
		return exitConfig
	case errors.As(err, &env) && env.Environment(), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EADDRINUSE),
		errors.Is(err, fs.ErrPermission), errors.As(err, new(*net.OpError)):
		return exitEnvironment
	}
	return exitRuntime
}

// report writes an error as one block and returns the exit code (invariant 4).
func (p program) report(w io.Writer, err error) int {
	code := exitCode(err)
	if err == nil || errors.Is(err, errSaid) {
		return code
	}
	var problems config.Problems
	if errors.As(err, &problems) {
		noun := "problems"
		if len(problems) == 1 {
			noun = "problem"
		}
		fmt.Fprintf(w, "tidemill: %d %s in the configuration\n\n%s\n", len(problems), noun, p.asCalled(problems.Error()))
		return code
	}
	fmt.Fprintln(w, "tidemill: "+p.asCalled(errorBlock(err)))
	return code
}

// errorBlock is an error with its remedies on lines of their own.
func errorBlock(err error) string {
	text := err.Error()
	if errors.Is(err, syscall.ENOSPC) && !strings.Contains(text, "no space left") {
		text += ": no space left on device"
	}
	var lines []string
	for _, hint := range hints(err) {
		text = strings.ReplaceAll(text, "; "+hint, "")
		lines = append(lines, "  remedy: "+strings.ReplaceAll(hint, "\n", "\n          "))
	}
	if errors.Is(err, syscall.ENOSPC) {
		lines = append(lines, "  remedy: free space on the disk that holds the folder; tidemill goes on where it stopped")
	}
	return strings.Join(append([]string{text}, lines...), "\n")
}

// hints collects the remedies that the errors of a tree carry, outermost first.
func hints(err error) []string {
	var out []string
	var walk func(error)
	walk = func(err error) {
		if err == nil {
			return
		}
		switch h := err.(type) { //nolint:errorlint // every level is looked at
		case *window.RefusedError:
			out = append(out, h.Hint)
		case interface{ Hint() string }:
			out = append(out, h.Hint())
		}
		switch u := err.(type) { //nolint:errorlint // every level is looked at
		case interface{ Unwrap() error }:
			walk(u.Unwrap())
		case interface{ Unwrap() []error }:
			for _, e := range u.Unwrap() {
				walk(e)
			}
		}
	}
	walk(err)
	out = slices.DeleteFunc(out, func(h string) bool { return h == "" })
	return slices.Compact(out)
}
