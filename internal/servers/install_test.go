package servers

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestClosedAbove(t *testing.T) {
	t.Parallel()
	me := uint32(os.Getuid())
	dir := t.TempDir()
	closed := filepath.Join(dir, "closed")
	if err := os.MkdirAll(filepath.Join(closed, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := closedAbove(filepath.Join(closed, "data"), me+1); got != closed {
		t.Errorf("closed folder found: %q, want %q", got, closed)
	}
	if got := closedAbove(filepath.Join(closed, "data"), me); got == closed {
		t.Errorf("the owner cannot enter %s?", closed)
	}
}

func TestInstallTellsTheCauseInOneLine(t *testing.T) {
	t.Setenv("TIDEMILL_CACHE", t.TempDir())
	t.Setenv("PATH", t.TempDir()) // no go, no mvn, no apt-get
	var progress strings.Builder
	err := Install(t.Context(), &progress, "s3")
	var missing *MissingError
	if !errors.As(err, &missing) || missing.Component.Name != "s3" {
		t.Fatalf("want a MissingError for s3, got: %v", err)
	}
	for _, part := range []string{"versitygw", "needs Go", missing.Component.Bring} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error lacks %q: %v", part, err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error has more than one line: %v", err)
	}
}

func TestInstallRefusesUnknownNames(t *testing.T) {
	t.Parallel()
	err := Install(t.Context(), os.Stderr, "oracle")
	if err == nil || !strings.Contains(err.Error(), "mariadb") {
		t.Fatalf("want the names there are, got: %v", err)
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		"Can't start server: Bind on TCP/IP port. Got error: 98: Address already in use": true,
		"could not bind IPv4 address \"127.0.0.1\": Address already in use":              true,
		"java.net.BindException: Address already in use":                                 true,
		"unknown variable 'no_such_setting=1'":                                           false,
	} {
		if got := portTaken(line); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	if got := lastLines("a\nb\nc\n", 2); got != "  b\n  c" {
		t.Errorf("%q", got)
	}
}
