package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/elt/alert"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/grid"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/internal/telemetry"
	"github.com/tidemill/tidemill/window"
)

// jobsUnit is the unit that looks after all jobs: one daemon at a time does.
const jobsUnit = "jobs"

// jobWarehouses names the warehouses that jobs can run in.
const jobWarehouses = "DuckDB, PostgreSQL and Redshift"

// compileJobs makes the graph of the project's jobs for a warehouse, nil when its address cannot be read. unsure says that not all tables of pipelines are known.
func compileJobs(p *config.Project, w window.Sink, unsure bool) (*elt.Graph, config.Problems) {
	g, err := grid.New(p.Window)
	if err != nil {
		return nil, nil // said of tidemill.yaml
	}
	world := elt.World{Grid: g, Zone: p.Timezone, Unsure: unsure, Pools: p.Pools, Alerts: p.Alerts}
	if in, ok := w.(elt.Warehouse); ok {
		world.Warehouse = in.JobDialect()
	}
	for _, pl := range p.Pipelines {
		for _, t := range pl.Tables {
			name := t.Name
			if t.IsReplica() {
				in, _ := replicated(&pl, t) // config has checked it
				name = t.Into + "." + in.Table
			}
			world.Tables = append(world.Tables, elt.PublishedTable{Table: name, Pipeline: pl.Name})
		}
	}
	return elt.Compile(p.Jobs, p.Templates, world)
}

// graph is the definitions that run.
func (d *Daemon) graph() *elt.Graph {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.jobs
}

// runningJobs is the unit while it runs here.
type runningJobs struct {
	runner *elt.Runner
	mu     sync.Mutex
	counts console.JobsStatus
}

var _ part = (*runningJobs)(nil)

func (*runningJobs) source(*console.SourceStatus)     {}
func (*runningJobs) pipeline(*console.PipelineStatus) {}

func (j *runningJobs) status(s *console.JobsStatus) {
	j.mu.Lock()
	defer j.mu.Unlock()
	s.Running, s.Waiting, s.Failed, s.Stale, s.Late = j.counts.Running, j.counts.Waiting, j.counts.Failed, j.counts.Stale, j.counts.Late
}

// jobs owns the jobs until ctx ends: a claim in the log, as for sources and pipelines, is the lease.
func (r *runtime) jobs(ctx context.Context, p *config.Project, w elt.Warehouse) error {
	cl, err := kafka.New(r.log.cfg)
	if err != nil {
		return err
	}
	defer cl.Close()
	epoch, err := kafka.Claim(ctx, cl, jobsUnit, r.owner)
	if err != nil {
		return err
	}
	g, err := grid.New(p.Window)
	if err != nil {
		return err
	}
	m, err := newJobMeter(r.telemetry.Meter())
	if err != nil {
		return err
	}
	channels := alert.New(p.Name, p.Alerts)
	running := &runningJobs{}
	running.runner = elt.NewRunner(elt.Options{
		Warehouse: w, Graph: r.daemon.graph, Grid: g, Pools: func() map[string]int { return r.project().Pools },
		Owners: func() map[string][]string { return r.project().Alerts.Owners }, Sender: channels, Epoch: epoch, Actor: r.owner, Tracer: r.telemetry.Tracer(),
		Wrote: func(e elt.Entry) { m.wrote(ctx, e); r.tellJob(e) },
		Look:  func(l *elt.Look) { m.look(ctx, l); running.note(l); r.daemon.manager.up(jobsUnit) },
	})
	r.daemon.set(jobsUnit, running)
	defer r.daemon.set(jobsUnit, nil)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return running.runner.Run(ctx) })
	group.Go(func() error {
		err := kafka.WatchClaim(ctx, r.log.cfg, jobsUnit, epoch)
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
	group.Go(func() error { return r.alive(ctx, channels) })
	return group.Wait()
}

// alive asks the dead-man's switch while jobs are looked after.
func (r *runtime) alive(ctx context.Context, c *alert.Channels) error {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	said := ""
	for {
		if err := c.Alive(ctx); err != nil && ctx.Err() == nil && err.Error() != said { // it misses us: that is what it is for
			said = err.Error()
			r.daemon.o.Event(Event{At: time.Now(), Unit: jobsUnit, What: "the dead-man's switch does not answer", Err: err})
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// nudgeJobs tells the jobs that a window was published. It is a hint.
func (r *runtime) nudgeJobs() {
	r.daemon.mu.Lock()
	defer r.daemon.mu.Unlock()
	if j, ok := r.daemon.parts[jobsUnit].(*runningJobs); ok {
		j.runner.Nudge()
	}
}

// tellJob tells a person what has become of a run.
func (r *runtime) tellJob(e elt.Entry) {
	name := e.Interval.String()
	if j := r.daemon.graph().Job(e.Job); j != nil {
		name = j.IntervalName(e.Interval)
	}
	what := fmt.Sprintf("job %s %s ", e.Job, name)
	switch e.State {
	case elt.Published:
		what += fmt.Sprintf("published: %d rows in %s", e.Rows, e.Took.Round(time.Millisecond))
		if e.Generation > 1 {
			what += fmt.Sprintf(", generation %d", e.Generation)
		}
		if e.Provisional {
			what += ", provisional"
		}
	case elt.Failed:
		r.daemon.o.Event(Event{At: time.Now(), Unit: jobsUnit, What: what + "failed", Err: errors.New(e.Reason)})
		return
	case elt.Stale:
		what += "is stale: " + e.Reason
	case elt.Skipped:
		what += "is skipped: " + e.Reason
	default:
		return
	}
	r.daemon.o.Event(Event{At: time.Now(), Unit: jobsUnit, What: what})
}

// note counts what a look has found.
func (j *runningJobs) note(l *elt.Look) {
	var c console.JobsStatus
	for _, st := range l.Decision.Statuses {
		switch st.State {
		case elt.Running, elt.Checking:
			c.Running++
		case elt.Failed:
			c.Failed++
		case elt.Stale:
			c.Stale++
		case elt.Waiting, elt.Ready:
			if st.Missed {
				c.Waiting++
			}
		}
	}
	c.Late = len(l.Late())
	j.mu.Lock()
	defer j.mu.Unlock()
	j.counts = c
}

// jobMeter are the instruments of jobs.
type jobMeter struct {
	runs              metric.Int64Counter
	gaps, stale, late metric.Int64Gauge
	seconds           metric.Float64Histogram
}

func newJobMeter(m metric.Meter) (*jobMeter, error) {
	var errs [5]error
	var j jobMeter
	j.runs, errs[0] = m.Int64Counter(telemetry.MetricJobRuns)
	j.gaps, errs[1] = m.Int64Gauge(telemetry.MetricJobGaps)
	j.stale, errs[2] = m.Int64Gauge(telemetry.MetricJobStale)
	j.late, errs[3] = m.Int64Gauge(telemetry.MetricJobLate)
	j.seconds, errs[4] = m.Float64Histogram(telemetry.MetricJobSeconds, metric.WithUnit("s"))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("making the instruments of jobs: %w", err)
	}
	return &j, nil
}

func (m *jobMeter) wrote(ctx context.Context, e elt.Entry) {
	job := attribute.String(telemetry.KeyJob, e.Job)
	switch e.State {
	case elt.Published:
		m.seconds.Record(ctx, e.Took.Seconds(), metric.WithAttributes(job))
		fallthrough
	case elt.Failed, elt.Skipped:
		m.runs.Add(ctx, 1, metric.WithAttributes(job, attribute.String(telemetry.KeyState, string(e.State))))
	}
}

func (m *jobMeter) look(ctx context.Context, l *elt.Look) {
	gaps, stale := map[string]int64{}, map[string]int64{}
	for _, st := range l.Decision.Statuses {
		if st.Missed {
			gaps[st.Job]++
		}
		if st.State == elt.Stale {
			stale[st.Job]++
		}
	}
	late := l.Late()
	for _, j := range l.Situation.Graph.Jobs {
		job := metric.WithAttributes(attribute.String(telemetry.KeyJob, j.Name))
		m.gaps.Record(ctx, gaps[j.Name], job)
		m.stale.Record(ctx, stale[j.Name], job)
		m.late.Record(ctx, int64(late[j.Name]), job)
	}
}
