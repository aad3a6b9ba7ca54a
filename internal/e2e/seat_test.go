package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tidemill/tidemill/console"
)

// seat is where a daemon may run: a machine with a project folder and a data folder of its own. All seats of a line have
// one configuration.
type seat struct {
	dir  string
	port int
	log  *logBuffer
}

// seats are the line's own folder and another one.
func (e *env) seats(t *testing.T) [2]seat {
	t.Helper()
	other := seat{dir: t.TempDir(), port: freePort(t), log: &logBuffer{also: e.log}}
	copyProject(t, e.dir, other.dir)
	replace(t, other.dir, "tidemill.yaml", fmt.Sprintf("127.0.0.1:%d", e.port), fmt.Sprintf("127.0.0.1:%d", other.port))
	return [2]seat{{dir: e.dir, port: e.port, log: &logBuffer{also: e.log}}, other}
}

// runAt starts a daemon at a seat.
func (e *env) runAt(t *testing.T, s seat, extra ...string) *daemon {
	t.Helper()
	return start(t, s.dir, s.log, append(append([]string{}, e.vars...), extra...)...)
}

// status asks the daemon at the seat, by its API.
func (s seat) status(ctx context.Context) (out console.Status, err error) {
	token, err := console.ReadToken(filepath.Join(s.dir, "data"))
	if err != nil {
		return out, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/v1/status", s.port), nil)
	if err != nil {
		return out, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return out, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return out, err
	}
	if res.StatusCode != http.StatusOK {
		return out, fmt.Errorf("status %d: %s", res.StatusCode, tail(string(b), 200))
	}
	return out, json.Unmarshal(b, &out)
}

// explain is the status in words, for a test that fails.
func (s seat) explain(t *testing.T) func() string {
	return func() string {
		st, err := s.status(t.Context())
		if err != nil {
			return fmt.Sprintf("the daemon in %s: %v", s.dir, err)
		}
		text := fmt.Sprintf("the daemon in %s:", s.dir)
		for _, x := range st.Sources {
			text += fmt.Sprintf("\n  source %s %s %s", x.Name, x.State, x.Error)
		}
		for _, x := range st.Pipelines {
			text += fmt.Sprintf("\n  pipeline %s %s %s, waits for %q, published %s at %s", x.Name, x.State, x.Error, x.Waiting, x.Window, x.Published)
		}
		return text + "\n" + tail(metricsOf(t.Context(), s.port), 2000)
	}
}

// runs lists the units that the daemon at the seat runs or is about to run.
func (s seat) runs(ctx context.Context) (units []string, err error) {
	st, err := s.status(ctx)
	if err != nil {
		return nil, err
	}
	for _, x := range st.Sources {
		if x.State != console.Waiting && x.State != console.Stopped {
			units = append(units, "source/"+x.Name)
		}
	}
	for _, x := range st.Pipelines {
		if x.State != console.Waiting && x.State != console.Stopped || x.Waiting != "" { // that one waits for a window
			units = append(units, "pipeline/"+x.Name)
		}
	}
	return units, nil
}

// pause stops a daemon where it is, as a machine that hangs would; resume lets it go on.
func (d *daemon) pause(t *testing.T) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
}

func (d *daemon) resume(t *testing.T) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

// committed counts the windows in the warehouse; -1 when it cannot be asked.
func (e *env) committed(ctx context.Context) int {
	rows, err := e.ask(ctx, "select count(*) as n from tidemill.receipts where pipeline = 'care'")
	if err != nil || len(rows) != 1 {
		return -1
	}
	var n int
	if _, err := fmt.Sscan(strings.TrimSpace(rows[0]["n"]), &n); err != nil {
		return -1
	}
	return n
}

// more waits until n windows more than had are committed, and returns how many there are.
func (e *env) more(t *testing.T, had, n int) (have int) {
	t.Helper()
	eventually(t, patience, "the next windows are committed", func() bool {
		have = e.committed(t.Context())
		return have >= had+n
	})
	return have
}
