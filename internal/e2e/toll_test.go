package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/servers"
)

// toll is what a test does to a line. Every number is counted where it happens; what is lost and doubled is counted by the
// oracle (oracle.Checker), row by row and window by window.
type toll struct {
	kills    int           // daemons that SIGKILL ended
	atPoints int           // of them at a failpoint
	servers  int           // kills of database servers and brokers
	others   int           // faults of other kinds
	cpu      time.Duration // of the daemons that were killed
	hurt     time.Time     // when the first fault came that nothing was published after; zero: none
	healed   int           // how many times a window was published after a fault
	longest  time.Duration // from the first of the faults before it until then
}

// counted prints the toll when the test ends, however it ends.
func (e *env) counted(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		o, c := &e.toll, e.checker
		t.Logf("%s: %d kills of the daemon (%d at failpoints), %d of servers, %d other faults; %d windows, %d rows compared; %d lost, %d doubled; longest recovery %s of %d; a killed daemon had used %s of CPU",
			e.combo, o.kills, o.atPoints, o.servers, o.others, c.Windows, c.Rows, c.Lost, c.Doubled, o.longest.Round(10*time.Millisecond), o.healed,
			(o.cpu / time.Duration(max(1, o.kills))).Round(10*time.Millisecond))
	})
}

// hit notes that something was broken just now.
func (o *toll) hit() {
	if o.hurt.IsZero() { // one fault may follow another before anything was published
		o.hurt = time.Now()
	}
}

// heal notes that a window was published after it.
func (o *toll) heal() {
	if o.hurt.IsZero() {
		return // the beginning
	}
	o.healed++
	o.longest = max(o.longest, time.Since(o.hurt))
	o.hurt = time.Time{}
}

// kill is SIGKILL. A daemon that has ended by itself before is a failure: nothing that these tests do is a reason to.
func (e *env) kill(t *testing.T, d *daemon) {
	t.Helper()
	d.kill()
	e.toll.hit()
	e.toll.cpu += d.cmd.ProcessState.UserTime() + d.cmd.ProcessState.SystemTime()
	if w, ok := d.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !w.Signaled() || w.Signal() != syscall.SIGKILL {
		t.Errorf("the daemon ended by itself, with exit code %d", d.cmd.ProcessState.ExitCode())
		return
	}
	e.toll.kills++
}

// restart kills a server and starts it again on the same data.
func (e *env) restart(t *testing.T, s *servers.Server) {
	t.Helper()
	s.Kill()
	e.toll.servers++
	e.toll.hit()
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// recovered waits until the daemon on e.port, which was started after a fault, has published something.
func (e *env) recovered(t *testing.T) {
	t.Helper()
	eventually(t, patience, "the daemon publishes", func() bool { return publishes(t.Context(), e.port) })
	e.toll.heal()
}

// patience bounds what takes seconds: the machine may be busy with other tests, and a hang must end.
const patience = 4 * time.Minute

var somethingPublished = regexp.MustCompile(`(?m)^tidemill_window_published_total\{[^}]*\} [1-9]`)

func publishes(ctx context.Context, port int) bool {
	return somethingPublished.MatchString(metricsOf(ctx, port))
}

// metricsOf is what the daemon behind a port counts; or why it does not answer.
func metricsOf(ctx context.Context, port int) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", port), nil)
	if err != nil {
		return err.Error()
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
