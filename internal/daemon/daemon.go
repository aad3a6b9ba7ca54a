package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/internal/run"
	"github.com/tidemill/tidemill/internal/telemetry"
	"github.com/tidemill/tidemill/sources"
)

// Options are what the process gives to its daemon.
type Options struct {
	Dir     string // project folder
	Env     func(string) (string, bool)
	Kinds   Kinds
	Log     *slog.Logger
	Version string
	Ready   func(*config.Project, Info) // called once, when everything is up; may be nil
	Event   func(Event)                 // called from several goroutines; may be nil
	Reload  time.Duration               // how often the folder is looked at. Default 1 s
}

// Event is something that a person wants to see when it happens.
type Event struct {
	At        time.Time
	Unit      string // source/<name>, pipeline/<name>, jobs, or empty
	What      string
	Err       error
	Published *console.PipelineStatus // a window became visible
}

// Daemon runs one project.
type Daemon struct {
	o       Options
	manager *manager
	started time.Time

	mu      sync.Mutex // guards what is below
	info    Info
	config  console.ConfigStatus
	project *config.Project
	wants   map[string][]sources.Want // what its pipelines read
	jobs    *elt.Graph
	parts   map[string]part // running units by name
	said    map[string]string
}

// part is a unit that can say what it does.
type part interface {
	source(*console.SourceStatus)
	pipeline(*console.PipelineStatus)
}

// New makes a daemon. It does nothing until Run.
func New(o Options) *Daemon {
	if o.Reload == 0 {
		o.Reload = time.Second
	}
	if o.Event == nil {
		o.Event = func(Event) {}
	}
	d := &Daemon{o: o, parts: map[string]part{}, said: map[string]string{}}
	d.manager = newManager(d.unitChanged)
	return d
}

// Run runs the project until ctx ends.
func (d *Daemon) Run(ctx context.Context) (err error) {
	a, err := Assemble(ctx, d.o.Dir, d.o.Env, d.o.Kinds)
	if err != nil {
		return err
	}
	if missing := a.Project.Missing(); len(missing) > 0 {
		return missing
	}
	p := a.Project
	held, err := lock(p.Data) // invariant 1
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	defer func() { err = errors.Join(err, a.Warehouse.Close()) }()

	log, err := d.openLog(ctx, p)
	if err != nil {
		return err
	}
	tel, err := telemetry.Start(ctx, telemetry.Options{Project: p.Name, Version: d.o.Version, Instance: instance(), Env: d.o.Env})
	if err != nil {
		return errors.Join(err, log.close())
	}
	defer func() { err = errors.Join(err, stopTelemetry(ctx, tel)) }()
	l, err := listen(ctx, p.Listen)
	if err != nil {
		return errors.Join(err, log.close())
	}
	token, err := console.EnsureToken(p.Data)
	if err != nil {
		return errors.Join(err, l.Close(), log.close())
	}
	d.begin(a, Info{PID: os.Getpid(), API: l.Addr().String(), Broker: log.embeddedAddress(), Started: time.Now().UTC()})
	if err := d.info.write(p.Data); err != nil {
		return errors.Join(err, l.Close(), log.close())
	}
	defer func() { _ = os.Remove(filepath.Join(p.Data, infoFile)) }() // a stale file only leads to a refused connection
	group := d.group(newRuntime(d, a, log, tel), l, token)
	if d.o.Ready != nil {
		d.o.Ready(p, d.info)
	}
	err = group.Run(ctx)
	var refused *refusal
	if errors.As(err, &refused) {
		return refused // without the names of the parts that passed it on
	}
	return err
}

// group lists the long-lived parts by stage (invariant 2).
func (d *Daemon) group(r *runtime, l net.Listener, token string) run.Group {
	api := &console.Server{Token: token, Host: host(r.project().Listen), Status: d.Status, Metrics: r.telemetry.Handler(), Ready: d.ready, Verifier: r.verifier(), Resyncer: resyncer{r}, Rebuilder: rebuilder{r}}
	if w, ok := r.assembly.Warehouse.(elt.Warehouse); ok {
		api.Jobs = jobsAPI{r, w}
	}
	if q, ok := r.assembly.Warehouse.(console.Querier); ok {
		api.Querier = q
	}
	units := []run.Unit{
		{Name: "api", Stage: 2, Run: func(ctx context.Context) error { return api.Run(ctx, l) }},
		{Name: "units", Stage: 3, Run: r.own},
		{Name: "config", Stage: 4, Run: r.watch},
		{Name: "trim", Stage: 4, Run: r.trim},
		{Name: "disks", Stage: 4, Run: r.disks},
	}
	if r.log.embedded != nil {
		units = append(units, run.Unit{Name: "broker", Stage: 1, Run: r.log.run})
	}
	return run.Group{Units: units}
}

func (d *Daemon) begin(a *Assembly, i Info) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.info, d.project, d.wants, d.jobs, d.started = i, a.Project, a.Wants, a.Jobs, i.Started
	d.config = console.ConfigStatus{Dir: d.o.Dir, Loaded: i.Started}
}

// instance names this process among the daemons of a project.
func instance() string {
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	return fmt.Sprintf("%s/%d", name, os.Getpid())
}

// host is the host of a listen address when it is not every address.
func host(listen string) string {
	h, _, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(h); err != nil || ip != nil && ip.IsUnspecified() {
		return ""
	}
	return h
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &EnvironmentError{What: "the API's address " + address + " is in use by another program", Remedy: "stop it, or set listen in tidemill.yaml to another port"}
	case err != nil:
		return nil, &EnvironmentError{What: "opening the API's address " + address, Err: err, Remedy: "set listen in tidemill.yaml to an address of this machine"}
	}
	return l, nil
}

func stopTelemetry(ctx context.Context, t *telemetry.Telemetry) error {
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if err := t.Stop(grace); err != nil {
		return fmt.Errorf("sending the last telemetry: %w", err)
	}
	return nil
}

// logHandle is the log of the project, embedded or not.
type logHandle struct {
	cfg      kafka.Config
	embedded *kafka.Embedded
}

func (d *Daemon) openLog(ctx context.Context, p *config.Project) (*logHandle, error) {
	if p.Log.Embedded == "" {
		cfg, err := KafkaConfig(p.Log, "")
		if err != nil {
			return nil, err
		}
		return &logHandle{cfg: cfg}, reach(ctx, cfg, brokerPatience)
	}
	e, err := kafka.OpenEmbedded(kafka.EmbeddedOptions{Dir: p.Log.Embedded})
	if err != nil {
		return nil, &EnvironmentError{What: "starting the embedded broker", Err: err, Remedy: "check that " + p.Log.Embedded + " can be written and its disk has space"}
	}
	return &logHandle{cfg: e.Config(), embedded: e}, nil
}

func (l *logHandle) embeddedAddress() string {
	if l.embedded == nil {
		return ""
	}
	return l.cfg.Brokers[0]
}

// close is for a start that goes no further; once run has begun, it closes the broker.
func (l *logHandle) close() error {
	if l.embedded == nil {
		return nil
	}
	return l.embedded.Close()
}

func (l *logHandle) run(ctx context.Context) error {
	return l.embedded.Run(ctx, ingest.PositionsTopic, ingest.RegistryTopic)
}
