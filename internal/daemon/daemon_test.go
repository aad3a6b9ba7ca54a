package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/daemon"
	sinks "github.com/tidemill/tidemill/sinks/all"
	"github.com/tidemill/tidemill/sources"
)

// counter is a source whose log is the whole numbers: group n sets row n%10 to n. It knows its whole past, so it can be
// resumed and read at any time.
type counter struct {
	now  *atomic.Int64 // last group committed
	fail *atomic.Bool
	lost *atomic.Bool // once: its log is gone, and it may be loaded anew
}

// lost is a loss that a source can mend by a load of everything.
type lost struct{}

func (lost) Error() string   { return "counter: what follows is gone" }
func (lost) Retryable() bool { return false }
func (lost) LoadAnew() bool  { return true }

var numbers = ingest.Schema{
	Table:   ingest.TableName{Schema: "math", Name: "numbers"},
	Columns: []ingest.Column{{Name: "digit", Type: ingest.Type{Kind: ingest.Int64}}, {Name: "n", Type: ingest.Type{Kind: ingest.Int64}}},
	Key:     []string{"digit"},
}

type refused struct{}

func (refused) Error() string   { return "counter: access denied" }
func (refused) Retryable() bool { return false }
func (refused) Hint() string    { return "ask nicely" }

func (c *counter) Prepare(context.Context) ([]ingest.Schema, error) {
	if c.fail.Load() {
		return nil, refused{}
	}
	return []ingest.Schema{numbers}, nil
}

func (c *counter) Run(ctx context.Context, resume ingest.Resume, out ingest.Emitter) error {
	var done int64
	if resume.Position == "" {
		if err := out.Start(ctx, "0"); err != nil {
			return err
		}
	} else if _, err := fmt.Sscan(string(resume.Position), &done); err != nil {
		return err
	}
	id, err := out.Table(ctx, &numbers)
	if err != nil {
		return err
	}
	if !resume.Loads[numbers.Table].Done {
		if err := out.Load(ctx, id, make([]*ingest.Builder, out.Partitions(id)), ingest.Load{Done: true}); err != nil {
			return err
		}
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		for done < c.now.Load() {
			done++
			if err := c.emit(ctx, out, id, done); err != nil {
				return err
			}
		}
		if err := out.Idle(ctx, time.Now()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
			c.now.Add(1)
		}
		if c.fail.Load() {
			return refused{}
		}
		if c.lost.CompareAndSwap(true, false) {
			return lost{}
		}
	}
	return nil
}

func (c *counter) emit(ctx context.Context, out ingest.Emitter, id ingest.TableID, n int64) error {
	if err := out.Begin(ctx, time.Now()); err != nil {
		return err
	}
	row(out.Builder(id, int(n%10)%out.Partitions(id)), n)
	return out.End(ctx, ingest.Position(fmt.Sprint(n)))
}

func row(b *ingest.Builder, n int64) {
	b.Cols[0].Int64(n % 10)
	b.Cols[1].Int64(n)
	b.End(ingest.Upsert)
}

// Snapshot implements daemon.Snapshotter.
func (c *counter) Snapshot(_ context.Context, _ json.RawMessage, _ []ingest.TableName, begun func(ingest.Position) error, rows func(*ingest.Builder) error) error {
	last := c.now.Load()
	if err := begun(ingest.Position(fmt.Sprint(last))); err != nil {
		return err
	}
	b := ingest.NewBuilder(&numbers)
	for n := max(1, last-9); n <= last; n++ {
		row(b, n)
	}
	return rows(b)
}

// Covers implements daemon.Snapshotter.
func (*counter) Covers(by ingest.Position, _ time.Time, p ingest.Position) (bool, error) {
	var a, b int64
	_, err := fmt.Sscan(string(by)+" "+string(p), &a, &b)
	return a >= b, err
}

// rig is a daemon over a counter.
type rig struct {
	dir    string
	kinds  sources.Set // counter when empty
	now    atomic.Int64
	fail   atomic.Bool
	lost   atomic.Bool
	daemon *daemon.Daemon
	stop   context.CancelFunc
	done   chan error
	ready  chan daemon.Info
	info   daemon.Info

	mu     sync.Mutex
	events []daemon.Event
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir()}
	r.write(t, "tidemill.yaml", "project: maths\nwindow: 1s\nlisten: 127.0.0.1:0\nlog: {partitions: 2}\n")
	r.write(t, "sources/calc.yaml", "kind: source\nname: calc\ntype: counter\n")
	r.write(t, "pipelines/copy.yaml", "kind: pipeline\nname: copy\ntables: [{replicate: calc.math.*, into: raw}]\n")
	return r
}

func (r *rig) write(t *testing.T, name, text string) {
	t.Helper()
	at := filepath.Join(r.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (r *rig) options() daemon.Options {
	kind := sources.Kind{Name: "counter", Config: func() any { return &struct{}{} },
		New: func(sources.Env, any) (ingest.Source, error) { return &counter{&r.now, &r.fail, &r.lost}, nil }}
	kinds := r.kinds
	if len(kinds) == 0 {
		kinds = sources.Set{kind}
	}
	return daemon.Options{
		Dir: r.dir, Env: func(string) (string, bool) { return "", false }, Version: "test", Reload: 50 * time.Millisecond,
		Kinds: daemon.Kinds{Sources: kinds, Sinks: sinks.Set()}, Log: slog.New(slog.DiscardHandler),
		Ready: func(_ *config.Project, i daemon.Info) { r.ready <- i },
		Event: func(e daemon.Event) { r.mu.Lock(); r.events = append(r.events, e); r.mu.Unlock() },
	}
}

// begin starts the daemon and waits until it is up.
func (r *rig) begin(t *testing.T) {
	t.Helper()
	r.ready, r.done = make(chan daemon.Info, 1), make(chan error, 1)
	r.daemon = daemon.New(r.options())
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r.stop = cancel
	go func() { r.done <- r.daemon.Run(ctx) }()
	t.Cleanup(cancel)
	select {
	case r.info = <-r.ready:
	case err := <-r.done:
		t.Fatalf("the daemon ended: %v", err)
	}
}

// end stops the daemon and expects it to end well.
func (r *rig) end(t *testing.T) {
	t.Helper()
	r.stop()
	if err := r.ended(t); err != nil {
		t.Errorf("the daemon ended: %v", err)
	}
	http.DefaultClient.CloseIdleConnections()
}

func (r *rig) ended(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(time.Minute):
		t.Fatal("the daemon does not end")
		return nil
	}
}

func (r *rig) until(t *testing.T, what string, f func(console.Status) bool) console.Status {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for {
		s := r.daemon.Status()
		if f(s) {
			return s
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within a minute: %s\n%+v", what, s)
		}
	}
}

func published(s console.Status) bool {
	return len(s.Pipelines) > 0 && !s.Pipelines[0].Published.IsZero()
}

// post asks the API.
func (r *rig) post(t *testing.T, path, body string) (int, string) {
	t.Helper()
	token, err := console.ReadToken(filepath.Join(r.dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.info.API+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b) + res.Trailer.Get(console.ErrorTrailer)
}

// The whole life: publish, query, verify, a view added and broken by editing files, restart.
// A source that can mend its loss by a load of everything is loaded anew, once, without anybody asking; what it lost is said.
func TestALossThatMendsItself(t *testing.T) {
	r := newRig(t)
	r.begin(t)
	s := r.until(t, "a window is published", published)
	r.now.Store(1000)
	r.lost.Store(true)
	said := func(word string) (n int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, e := range r.events {
			if strings.Contains(e.What, word) {
				n++
			}
		}
		return n
	}
	at := time.Now()
	s = r.until(t, "it is loaded anew and publishes", func(s console.Status) bool {
		return said("loads its tables anew") > 0 && s.Sources[0].State == console.Running && len(s.Pipelines) > 0 && s.Pipelines[0].Published.After(at.Add(2*time.Second))
	})
	if n := said("loads its tables anew"); n != 1 {
		t.Errorf("said %d times", n)
	}
	var stands int64
	if from := s.Sources[0]; len(from.Position) == 0 {
		t.Error("it stands nowhere")
	} else if _, err := fmt.Sscan(from.Position, &stands); err != nil || stands-from.Rows > 5 { // it had emitted more before
		t.Errorf("it has emitted %d rows and stands at %s: it has gone on where it was", from.Rows, from.Position)
	}
	if code, body := r.post(t, "/v1/verify", `{"differ":5,"timeout":"30s"}`); code != 200 || !strings.Contains(body, `"equal":true`) {
		t.Errorf("verify: %d %s", code, body)
	}
	r.end(t)
}

func TestDaemon(t *testing.T) {
	r := newRig(t)
	r.begin(t)
	s := r.until(t, "a window is published", published)
	if s.Sources[0].State != console.Running || s.Project != "maths" || s.Window != "1s" || s.Sources[0].Tables[0].Name != "math.numbers" {
		t.Errorf("status: %+v", s)
	}
	r.until(t, "the replica holds every digit", func(console.Status) bool {
		_, body := r.post(t, "/v1/query", `{"sql":"select count(*) as n, max(n) > 9 as some from raw.numbers"}`)
		return strings.Contains(body, `"n":10,"some":true`)
	})
	if code, body := r.post(t, "/v1/query", `{"sql":"drop table raw.numbers"}`); code == 200 {
		t.Errorf("a DROP was answered: %s", body)
	}
	if code, body := r.post(t, "/v1/verify", `{"differ":5,"timeout":"30s"}`); code != 200 || !strings.Contains(body, `"equal":true`) || !strings.Contains(body, `"source_rows":10`) {
		t.Errorf("verify: %d %s", code, body)
	}
	if code, body := r.post(t, "/v1/verify", `{"pipeline":"cop"}`); code == 200 || !strings.Contains(body, `did you mean`) {
		t.Errorf("verify of an unknown pipeline: %d %s", code, body)
	}

	r.write(t, "pipelines/even.sql", "SELECT digit, n FROM calc.numbers WHERE digit % 2 = 0")
	r.write(t, "pipelines/sums.yaml", "kind: pipeline\nname: sums\ntables: [{name: mart.even, sql: even.sql, key: [digit]}]\n")
	s = r.until(t, "the new pipeline publishes", func(s console.Status) bool { return len(s.Pipelines) == 2 && !s.Pipelines[1].Published.IsZero() })
	r.until(t, "the view holds the five even digits", func(console.Status) bool {
		_, body := r.post(t, "/v1/query", `{"sql":"select count(*) as n, count(*) filter (n % 2 = 1) as odd from mart.even"}`)
		return strings.Contains(body, `"n":5,"odd":0`)
	})
	since := s.Sources[0].Since
	r.write(t, "pipelines/sums.yaml", "kind: pipeline\nname: sums\ntabels: []\n")
	s = r.until(t, "the broken file is told", func(s console.Status) bool { return s.Config.Error != "" })
	if !strings.Contains(s.Config.Error, `did you mean "tables"?`) || len(s.Pipelines) != 2 || !s.Sources[0].Since.Equal(since) {
		t.Errorf("a broken file did more than be told: %+v", s)
	}
	if err := os.Remove(filepath.Join(r.dir, "pipelines", "sums.yaml")); err != nil {
		t.Fatal(err)
	}
	r.until(t, "the pipeline is gone", func(s console.Status) bool { return len(s.Pipelines) == 1 && s.Config.Error == "" })
	r.end(t)

	if _, err := daemon.ReadInfo(filepath.Join(r.dir, "data")); err == nil {
		t.Error("the daemon's address outlives it")
	}
	before := r.now.Load()
	r.begin(t)
	r.until(t, "rows of after the restart are published", func(s console.Status) bool { return published(s) && s.Sources[0].Rows > 0 && r.now.Load() > before+50 })
	if code, body := r.post(t, "/v1/verify", `{"timeout":"30s"}`); code != 200 || !strings.Contains(body, `"equal":true`) {
		t.Errorf("verify after the restart: %d %s", code, body)
	}
	r.end(t)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.ContainsFunc(r.events, func(e daemon.Event) bool { return e.Published != nil && len(e.Published.Tables) > 0 }) {
		t.Error("no event told of a published window")
	}
}

// A source that refuses at its first start ends the daemon with what helps; one that has worked before only rests.
func TestRefusals(t *testing.T) {
	r := newRig(t)
	r.fail.Store(true)
	r.begin(t)
	err := r.ended(t)
	var env interface{ Environment() bool }
	if !errors.As(err, new(refused)) || !errors.As(err, &env) || strings.Contains(err.Error(), "units:") {
		t.Errorf("first start: %v", err)
	}
	r.fail.Store(false)
	r.begin(t)
	r.until(t, "a window is published", published)
	r.fail.Store(true)
	s := r.until(t, "the source rests", func(s console.Status) bool { return s.Sources[0].State == console.Failed })
	if !strings.Contains(s.Sources[0].Error, "access denied") || s.Pipelines[0].State != console.Running {
		t.Errorf("status: %+v", s)
	}
	r.end(t)
	r.begin(t)
	r.until(t, "the daemon goes on without the source", func(s console.Status) bool {
		return s.Sources[0].State == console.Failed && s.Pipelines[0].State == console.Running
	})
	r.end(t)
}

// What the machine does not allow is one error with its remedy.
func TestEnvironment(t *testing.T) {
	r := newRig(t)
	r.begin(t)
	if err := daemon.New(r.options()).Run(t.Context()); !environment(err, "another daemon (process") {
		t.Errorf("the same folder twice: %v", err)
	}
	r.end(t)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r.write(t, "tidemill.yaml", "project: maths\nwindow: 1s\nlisten: "+l.Addr().String()+"\n")
	if err := daemon.New(r.options()).Run(t.Context()); !environment(err, "in use") {
		t.Errorf("a port in use: %v", err)
	}
	r.write(t, "tidemill.yaml", "project: maths\nlisten: 127.0.0.1:0\ndata: ./tidemill.yaml/data\n")
	if err := daemon.New(r.options()).Run(t.Context()); !environment(err, "making the data folder") {
		t.Errorf("a data folder that cannot be: %v", err)
	}
}

func environment(err error, want string) bool {
	var env *daemon.EnvironmentError
	return errors.As(err, &env) && strings.Contains(err.Error(), want) && env.Hint() != ""
}
