package duckdb

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	driver "github.com/duckdb/duckdb-go/v2"

	"github.com/tidemill/tidemill/internal/duck"
	"github.com/tidemill/tidemill/window"
)

// classify marks what stays until a person acts. What is left (a conflict of transactions, an interrupt) may be tried again.
func classify(err error) error {
	var refused *window.RefusedError
	if err == nil || errors.As(err, &refused) || errors.Is(err, window.ErrFenced) {
		return err
	}
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return &window.RefusedError{What: "the warehouse file cannot be written", Hint: "give the user that runs tidemill access to it", Err: err}
	}
	var value *duck.Error // its text may hold row values and is withheld
	if errors.As(err, &value) {
		return refuseValue(err, value)
	}
	var de *driver.Error
	if !errors.As(err, &de) {
		return err
	}
	switch de.Type {
	case driver.ErrorTypeIO, driver.ErrorTypeTransaction, driver.ErrorTypeFatal: // a commit words its cause as its own kind
		return refuseIO(err, de.Msg)
	case driver.ErrorTypeOutOfMemory:
		return &window.RefusedError{What: "DuckDB needs more memory or room to spill", Hint: "raise memory_limit or temp_limit in the warehouse address, or make room on its disk", Err: err}
	case driver.ErrorTypePermission:
		return &window.RefusedError{What: "DuckDB refuses access", Hint: "check who owns the warehouse file and its folder", Err: err}
	}
	return err
}

// fatal reports whether the database answers nothing more until it is opened again. Only the words tell it of an
// attached file.
func fatal(err error) bool {
	var de *driver.Error
	return errors.As(err, &de) && (de.Type == driver.ErrorTypeFatal || strings.Contains(de.Msg, "has been invalidated"))
}

// full reports whether the disk had no room. What the failed transaction wrote ahead into the file and to the spill stays
// there until the file is closed: on a full disk that would leave no room for a smaller window either.
func full(err error) bool {
	var de *driver.Error
	return errors.As(err, &de) && noRoom(strings.ToLower(de.Msg))
}

func noRoom(low string) bool {
	return strings.Contains(low, "no space left") || strings.Contains(low, "disk quota") || strings.Contains(low, "file too large")
}

func refuseValue(err error, e *duck.Error) error {
	if strings.Contains(e.Kind, "Constraint") {
		return &window.RefusedError{What: "a constraint of the table refuses a row", Hint: "published tables must not have constraints of their own; drop it, or filter the rows in the view", Err: err}
	}
	return &window.RefusedError{What: "DuckDB cannot hold a value of the table", Hint: "cast the column in the view to what its type holds", Err: err}
}

// refuseIO tells apart what DuckDB calls an IO error. It gives no code for them, so its words have to do.
func refuseIO(err error, text string) error {
	low := strings.ToLower(text)
	switch {
	case strings.Contains(low, "lock on file"):
		return &window.RefusedError{What: "another process holds the warehouse file", Hint: "stop it; to read beside a running daemon use: tidemill query", Err: err}
	case noRoom(low):
		return &window.RefusedError{What: "the disk of the warehouse is full", Hint: "make room on it", Err: err}
	case strings.Contains(low, "permission denied"), strings.Contains(low, "read-only file system"):
		return &window.RefusedError{What: "the warehouse file cannot be opened", Hint: "give the user that runs tidemill access to it and to its folder", Err: err}
	case strings.Contains(low, "not a valid duckdb"), strings.Contains(low, "corrupt"), strings.Contains(low, "newer version"):
		return &window.RefusedError{What: "the warehouse file is not one that this DuckDB can read", Hint: "restore it, or move it away and publish anew", Err: err}
	}
	return err
}
