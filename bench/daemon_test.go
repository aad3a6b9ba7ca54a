package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/internal/daemon"
)

// project is a configuration folder with a daemon that runs on it now and then.
type project struct {
	dir string
	log bytes.Buffer
	cmd *exec.Cmd
}

// newProject writes a configuration: files by name.
func newProject(b *testing.B, settings string, files map[string]string) *project {
	b.Helper()
	p := &project{dir: b.TempDir()}
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer listen.Close()
	p.write(b, "tidemill.yaml", fmt.Sprintf("project: bench\nlisten: %s\n%s", listen.Addr(), settings))
	for name, text := range files {
		p.write(b, name, text)
	}
	b.Cleanup(func() {
		p.kill()
		if b.Failed() {
			b.Logf("the daemon printed:\n%s", p.log.String())
		}
	})
	return p
}

func (p *project) write(b *testing.B, name, text string) {
	b.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
}

// start runs the daemon.
func (p *project) start(b *testing.B) {
	b.Helper()
	p.cmd = exec.Command(binary(b), "run", "--config", p.dir)
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
}

// stop ends the daemon politely and returns the CPU time that it took.
func (p *project) stop(b *testing.B) time.Duration {
	b.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		b.Fatalf("the daemon ended with %v", err)
	}
	s := p.cmd.ProcessState
	p.cmd = nil
	return s.UserTime() + s.SystemTime()
}

func (p *project) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		p.cmd = nil
	}
}

// process reads what the system knows of the running daemon.
func (p *project) process(b *testing.B) (cpu time.Duration, status procfs.ProcStatus) {
	b.Helper()
	proc, err := procfs.NewProc(p.cmd.Process.Pid)
	if err != nil {
		b.Fatal(err)
	}
	stat, err := proc.Stat()
	if err != nil {
		b.Fatal(err)
	}
	if status, err = proc.NewStatus(); err != nil {
		b.Fatal(err)
	}
	return time.Duration(stat.CPUTime() * float64(time.Second)), status
}

// ask runs a query of one number; not ok when there is no answer yet. It asks the daemon itself: a process of the command
// line for each question would take a core away from what is measured.
func (p *project) ask(b *testing.B, sql string) (n int64, ok bool) {
	b.Helper()
	data := filepath.Join(p.dir, "data")
	info, err := daemon.ReadInfo(data)
	if err != nil {
		return 0, false
	}
	token, err := console.ReadToken(data)
	if err != nil {
		return 0, false
	}
	body, err := json.Marshal(console.QueryRequest{SQL: sql})
	if err != nil {
		b.Fatal(err)
	}
	r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://"+info.API+"/v1/query", bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", console.NDJSON)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, false
	}
	defer res.Body.Close()
	var row map[string]json.Number
	if json.NewDecoder(res.Body).Decode(&row) != nil {
		return 0, false
	}
	for _, v := range row {
		n, err = v.Int64()
	}
	return n, len(row) == 1 && err == nil
}

// until asks until the answer is the one that is wanted.
func (p *project) until(b *testing.B, within time.Duration, sql string, want int64) {
	b.Helper()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(within)
	var last int64
	for {
		n, ok := p.ask(b, sql)
		if ok && n == want {
			return
		}
		if ok {
			last = n
		}
		select {
		case <-tick.C:
		case <-deadline:
			b.Fatalf("%s: still %d after %s, want %d", sql, last, within, want)
		}
	}
}

// mysqlSource is a source file.
func mysqlSource(name, address, tables string) string {
	return strings.NewReplacer("NAME", name, "ADDRESS", address, "TABLES", tables).Replace(
		"kind: source\nname: NAME\ntype: mysql\naddress: ADDRESS\nuser: tm\npassword: tm\ntables: {TABLES: }\n")
}

// processCPU is the processor time that this process has used.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it has no way to fail
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var scale = flag.Float64("scale", 1, "part of the rows of the large benchmarks, to try them out")

// scaled is a number of rows, in whole transactions.
func scaled(rows int) int { return max(lineGroup, int(float64(rows)**scale)/lineGroup*lineGroup) }
