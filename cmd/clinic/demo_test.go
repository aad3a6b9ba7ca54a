package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/internal/realtest"
)

// asProgram makes this test binary be the program itself.
const asProgram = "TIDEMILL_TEST_CLINIC"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(mainCode(os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// stand is a folder to run the demo in, with a stand-in for tidemill that runs a shell script.
type stand struct {
	settings
	out *lockedBuffer
}

func newStand(t *testing.T, script string) stand {
	t.Helper()
	realtest.Need(t, "mariadb")
	dir, err := os.MkdirTemp("", "tm-demo-") // not t.TempDir: see servers.Server.makeDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // the databases' account must get through
		t.Fatal(err)
	}
	t.Setenv("TIDEMILL_CACHE", filepath.Join(dir, "cache"))
	program := filepath.Join(dir, "tidemill")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return stand{
		settings: settings{config: filepath.Join(dir, "demo"), tidemill: program, patients: 40, rate: 200, seed: 3},
		out:      &lockedBuffer{},
	}
}

// until waits for a file that the stand-in writes, or for the early end of the demo.
func until(t *testing.T, file string, ended <-chan error) string {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(time.Minute)
	for {
		if text, err := os.ReadFile(file); err == nil {
			return string(text)
		}
		select {
		case err := <-ended:
			t.Fatalf("the demo ended: %v", err)
		case <-deadline:
			t.Fatalf("%s was never written", file)
		case <-ticker.C:
		}
	}
}

// A stand-in that says what it was given, then leaves politely when asked.
const polite = `
config=$3
trap 'echo stopped > "$config/stopped.tmp"; mv "$config/stopped.tmp" "$config/stopped"; exit 0' TERM
echo "$* $CONSULT_PASSWORD $PHARMACY_PASSWORD" > "$config/started.tmp"; mv "$config/started.tmp" "$config/started"
while :; do sleep 0.05; done
`

func (s stand) runUntilStarted(t *testing.T) error {
	t.Helper()
	for _, f := range []string{"started", "stopped"} {
		_ = os.Remove(filepath.Join(s.config, f)) // of a run before
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- runDemo(ctx, s.settings, s.out) }()
	said := until(t, filepath.Join(s.config, "started"), ended)
	if want := "run --config " + s.config + " consult-demo pharmacy-demo\n"; said != want {
		t.Errorf("tidemill was started with %q, want %q", said, want)
	}
	cancel()
	return <-ended
}

func TestDemoRunsStopsAndGoesOn(t *testing.T) {
	s := newStand(t, polite)
	if err := s.runUntilStarted(t); err != nil {
		t.Fatal(err)
	}
	if !exists(filepath.Join(s.config, "stopped")) {
		t.Error("tidemill was not asked to stop")
	}
	consult := filepath.Join(s.config, "sources", "consult.yaml")
	before, err := os.ReadFile(consult)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(consult, append(before, "# mine\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	noneLeft(t, s)
	if err := s.runUntilStarted(t); err != nil {
		t.Fatalf("the second run: %v", err)
	}
	after, err := os.ReadFile(consult)
	if err != nil || string(after) != string(before)+"# mine\n" {
		t.Errorf("the second run changed %s: %s %v", consult, after, err)
	}
	if said := s.out.String(); !strings.Contains(said, "yours to edit") || strings.Contains(said, "tidemill query") {
		t.Errorf("it says what the demo is made of, and leaves to tidemill what can be asked of it:\n%s", said)
	}
	noneLeft(t, s)
}

// noneLeft finds databases of this stand that still run, by their pid files.
func noneLeft(t *testing.T, s stand) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(filepath.Dir(s.config), "cache", "clinic", "*", "*", "server.log"))
	if err != nil || len(logs) != 2 {
		t.Fatalf("logs of the two databases: %v, %v", logs, err)
	}
	for _, l := range logs {
		text, err := os.ReadFile(l)
		if err != nil {
			t.Fatal(err)
		}
		starts := regexp.MustCompile(`starting as process (\d+)|ready for connections`).FindAllIndex(text, -1)
		stops := regexp.MustCompile(`Shutdown complete`).FindAllIndex(text, -1)
		if len(stops) == 0 || len(starts) == 0 || stops[len(stops)-1][0] < starts[len(starts)-1][0] {
			t.Errorf("%s does not end with a complete shutdown:\n%s", l, text)
		}
		if pids, _ := filepath.Glob(filepath.Join(filepath.Dir(l), "pid")); len(pids) > 0 {
			t.Errorf("%s is still there", pids[0])
		}
	}
}

// TestTwoSignalsAtOnce: timeout(1) signals a process and its group. That must be one polite stop, with exit code 0.
func TestTwoSignalsAtOnce(t *testing.T) {
	s := newStand(t, polite)
	program := exec.Command(os.Args[0], "--config", s.config, "--tidemill", s.tidemill, "--seed-rows", "40")
	program.Env = append(os.Environ(), asProgram+"=1")
	program.Stdout, program.Stderr = s.out, s.out
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, filepath.Join(s.config, "started"), nil)
	for range 2 {
		if err := program.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
	}
	if err := program.Wait(); err != nil {
		t.Errorf("%v\n%s", err, s.out.String())
	}
	if !exists(filepath.Join(s.config, "stopped")) {
		t.Error("tidemill was not asked to stop")
	}
	noneLeft(t, s)
}

func TestTidemillsExitCodeIsOurs(t *testing.T) {
	s := newStand(t, "exit 2")
	err := runDemo(t.Context(), s.settings, s.out)
	var exit *exitError
	if !errors.As(err, &exit) || exit.code != 2 {
		t.Fatalf("want exit code 2, got: %v", err)
	}
	noneLeft(t, s)
}

func TestADatabaseThatDiesEndsTheDemo(t *testing.T) {
	s := newStand(t, polite)
	ended := make(chan error, 1)
	go func() { ended <- runDemo(t.Context(), s.settings, s.out) }()
	until(t, filepath.Join(s.config, "started"), ended)
	pids, err := filepath.Glob(filepath.Join(filepath.Dir(s.config), "cache", "clinic", "*", "consult", "pid"))
	if err != nil || len(pids) != 1 {
		t.Fatalf("pid file of consult: %v %v", pids, err)
	}
	killByFile(t, pids[0])
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "the consult database ended by itself") {
		t.Fatalf("got: %v", err)
	}
	if !exists(filepath.Join(s.config, "stopped")) {
		t.Error("tidemill was not asked to stop")
	}
}

func killByFile(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid := 0
	for _, c := range strings.TrimSpace(string(text)) {
		pid = pid*10 + int(c-'0')
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func TestPortsComeFromTheProject(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "demo")
	first, err := openProject(folder)
	if err != nil || !first.Fresh {
		t.Fatalf("%+v %v", first, err)
	}
	again, err := openProject(folder)
	if err != nil || again.Fresh || again.Consult != first.Consult || again.Pharmacy != first.Pharmacy {
		t.Errorf("%+v, first %+v, %v", again, first, err)
	}
	elsewhere := "kind: source\nname: consult\naddress: db.example.com:3306\n"
	if err := os.WriteFile(filepath.Join(folder, "sources", "consult.yaml"), []byte(elsewhere), 0o644); err != nil {
		t.Fatal(err)
	}
	if moved, err := openProject(folder); err != nil || moved.Consult != 0 {
		t.Errorf("a source that was pointed elsewhere: %+v %v", moved, err)
	}
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--nonsense"}, {"instal"}, {"--rate", "-1"}, {"--seed-rows", "0"}} {
		if code := mainCode(args); code != 2 {
			t.Errorf("%v: exit code %d, want 2", args, code)
		}
	}
}

func TestNoTidemillProgram(t *testing.T) {
	t.Parallel()
	err := runDemo(t.Context(), settings{config: t.TempDir(), tidemill: filepath.Join(t.TempDir(), "none")}, &lockedBuffer{})
	if err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("got: %v", err)
	}
}

// lockedBuffer is written by the demo and read by the test.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
