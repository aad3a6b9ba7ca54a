package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tidemill/tidemill/internal/realtest"
)

// TestDevRedshift runs the command, connects to what it prints, and ends it as Ctrl-C does.
func TestDevRedshift(t *testing.T) {
	realtest.Need(t, "postgres")
	realtest.Need(t, "s3")
	dir, err := os.MkdirTemp("", "tm-dev-") // not t.TempDir, which PostgreSQL's account cannot enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	r, w := io.Pipe()
	var told bytes.Buffer
	c := &cli{in: strings.NewReader(""), out: w, err: &told, env: os.LookupEnv}
	root := c.root()
	root.SetArgs([]string{"dev", "redshift", "--port", "0", "--dir", dir, "--serverless"})
	ended := make(chan error, 1)
	go func() {
		err := root.ExecuteContext(ctx)
		w.CloseWithError(errors.Join(io.EOF, err))
		ended <- err
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	var version string
	if err := conn.QueryRow(ctx, "SELECT version()").Scan(&version); err != nil || !strings.Contains(version, "Redshift") {
		t.Errorf("%s, %v", version, err)
	}
	if _, err := conn.Exec(ctx, "SELECT * FROM stl_load_errors"); err == nil {
		t.Error("--serverless has STL tables")
	}
	if err := conn.Close(ctx); err != nil {
		t.Error(err)
	}
	interrupt()
	if err := <-ended; !errors.Is(err, context.Canceled) || !c.stoppedClean {
		t.Errorf("ends with %v", err)
	}
	for _, want := range []string{"not emulated", "Trailing blanks", "bucket lake", "not Redshift"} {
		if !strings.Contains(told.String(), want) {
			t.Errorf("did not tell %q", want)
		}
	}
}
