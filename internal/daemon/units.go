package daemon

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/sources"
)

// slots is how many shares the units are cut into: the partitions of the assign topic.
const slots = 64

// slotNames are names whose partitions of the assign topic are 0 to slots-1. Membership is about slots and not about units
// so that a unit that comes or goes with the configuration does not disturb the others.
func slotNames() map[string]int {
	names := map[string]int{}
	found := map[int32]bool{}
	for i := 0; len(found) < slots; i++ {
		name := fmt.Sprintf("slot/%d", i)
		if p := kafka.PartitionOfUnit(name); !found[p] {
			found[p] = true
			names[name] = int(p)
		}
	}
	return names
}

// units are the units of a project. Their fingerprint covers all that they are made of.
func (r *runtime) units(p *config.Project, wants map[string][]sources.Want) []unit {
	var out []unit
	shared := []any{p.Name, p.Window, p.Store.Reveal(), p.Warehouse.Reveal(), p.Log.Partitions, p.Memory}
	for i := range p.Sources {
		s := &p.Sources[i]
		u := unit{name: "source/" + s.Name, print: fingerprint(shared, s.Type, s.Node.Text(), sources.Distinct(wants[s.Name]))}
		u.run = func(ctx context.Context) error { return r.source(ctx, p, s, wants) }
		out = append(out, u)
	}
	for i := range p.Pipelines {
		pl := &p.Pipelines[i]
		u := unit{name: "pipeline/" + pl.Name, print: fingerprint(shared, pl.Tables, pl.MaxQuarantine)}
		u.run = func(ctx context.Context) error { return r.pipeline(ctx, p, pl) }
		out = append(out, u)
	}
	if w, ok := r.assembly.Warehouse.(elt.Warehouse); ok && len(p.Jobs) > 0 {
		// Definitions are no part of its fingerprint: a changed one is taken at the next look, and what runs goes on.
		u := unit{name: jobsUnit, print: fingerprint(shared, p.Alerts.Fingerprint())}
		u.run = func(ctx context.Context) error { return r.jobs(ctx, p, w) }
		out = append(out, u)
	}
	if p.Catalog.Glue != "" {
		u := unit{name: catalogUnit, print: fingerprint(shared, p.Catalog, pipelineNames(p))}
		u.run = func(ctx context.Context) error { return r.catalog(ctx, p) }
		out = append(out, u)
	}
	for i := range out {
		out[i].slot = int(kafka.PartitionOfUnit(out[i].name))
	}
	return out
}

func pipelineNames(p *config.Project) (out []string) {
	for i := range p.Pipelines {
		out = append(out, p.Pipelines[i].Name)
	}
	return out
}

// fingerprint hashes values; secrets in them leave no trace.
func fingerprint(values ...any) string {
	h := sha256.New()
	for _, v := range values {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // plain structs
		}
		fmt.Fprintf(h, "%d %s\n", len(b), b)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// unitChanged is told by the manager; what is wrong is said once per text (invariant 5).
func (d *Daemon) unitChanged(name string, s unitState) {
	d.mu.Lock()
	before := d.said[name]
	now := ""
	if s.Err != nil {
		now = s.Err.Error()
	}
	news := s.State != console.Stopped && now != before
	if s.State != console.Stopped {
		d.said[name] = now
	}
	d.mu.Unlock()
	if !news || errors.Is(s.Err, errDiskFull) { // the disk is spoken of where it is watched, once
		return
	}
	words := strings.Replace(name, "/", " ", 1)
	e := Event{At: time.Now(), Unit: name, Err: s.Err}
	switch s.State {
	case console.Failed:
		e.What = words + " stands still"
	case console.Retrying:
		e.What = words + " tries again"
	default:
		e.What = words + " runs again"
	}
	d.o.Event(e)
}

// ready says what is not yet up: the API's /readyz.
func (d *Daemon) ready() error {
	s := d.Status()
	for _, x := range s.Sources {
		if x.State == console.Starting {
			return fmt.Errorf("source %s is starting", x.Name)
		}
	}
	for _, x := range s.Pipelines {
		if x.State == console.Starting {
			return fmt.Errorf("pipeline %s is starting", x.Name)
		}
	}
	return nil
}

// Status is what the daemon does now. Before Run is up it is zero.
func (d *Daemon) Status() console.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.project == nil {
		return console.Status{}
	}
	p := d.project
	s := console.Status{
		Project: p.Name, Version: d.o.Version, PID: d.info.PID, Started: d.started, At: time.Now().UTC(), Window: windowText(p.Window),
		Broker: cmp.Or(d.info.Broker, strings.Join(p.Log.Brokers, ",")), Store: p.Store.String(), Warehouse: p.Warehouse.String(), Config: d.config,
	}
	for _, src := range p.Sources {
		u, part := d.manager.state("source/"+src.Name), d.parts["source/"+src.Name]
		x := console.SourceStatus{Name: src.Name, Type: src.Type, State: u.State, Error: message(u.Err), Since: u.Since}
		if part != nil {
			part.source(&x)
		}
		s.Sources = append(s.Sources, x)
	}
	for _, pl := range p.Pipelines {
		u, part := d.manager.state("pipeline/"+pl.Name), d.parts["pipeline/"+pl.Name]
		x := console.PipelineStatus{Name: pl.Name, State: u.State, Error: message(u.Err), Since: u.Since}
		if part != nil {
			part.pipeline(&x)
		}
		s.Pipelines = append(s.Pipelines, x)
	}
	if len(p.Jobs) > 0 {
		u := d.manager.state(jobsUnit)
		s.Jobs = &console.JobsStatus{State: u.State, Error: message(u.Err), Jobs: len(p.Jobs)}
		if j, ok := d.parts[jobsUnit].(*runningJobs); ok {
			j.status(s.Jobs)
		}
	}
	slices.SortFunc(s.Sources, func(a, b console.SourceStatus) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(s.Pipelines, func(a, b console.PipelineStatus) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// set publishes a running unit's own status; nil takes it back.
func (d *Daemon) set(name string, p part) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p == nil {
		delete(d.parts, name)
	} else {
		d.parts[name] = p
	}
}

// running lists the parts that run now.
func (d *Daemon) running() map[string]part {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.parts)
}

// windowText is a length of windows as it is written in the configuration: 15m and not 15m0s.
func windowText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
