package elt

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/grid"
)

// World is what jobs are compiled against.
type World struct {
	Grid   grid.Grid // of the windows
	Zone   string    // of intervals that name none
	Tables []PublishedTable
	// Unsure says that not all published tables are known: that a table does not exist is not said then.
	Unsure bool
	Pools  map[string]int
	Alerts config.Alerts
	// Warehouse is where the jobs will run; without a name it is not known.
	Warehouse Dialect
}

// PublishedTable is a table of a pipeline, or with * in its name all those that it may publish.
type PublishedTable struct{ Table, Pipeline string }

// compiler turns files into jobs. Problems are gathered, so that all are told at once.
type compiler struct {
	world     World
	templates map[string]*config.Job
	jobs      map[string]*Job // by name
	outputs   map[string]string
	files     map[string]*config.Job
	problems  config.Problems
}

// Compile reads definitions. When there are problems the graph is nil: a definition that does not compile never replaces
// one that runs (invariant 8).
func Compile(jobs, templates []config.Job, w World) (*Graph, config.Problems) {
	c := &compiler{world: w, templates: map[string]*config.Job{}, jobs: map[string]*Job{}, outputs: map[string]string{}, files: map[string]*config.Job{}}
	for i := range templates {
		c.templates[templates[i].Name] = &templates[i]
		var s Spec
		c.note(templates[i].Node.Fill(&s))
	}
	for i := range jobs {
		c.decode(&jobs[i])
	}
	names := slices.Sorted(maps.Keys(c.jobs))
	for _, n := range names {
		c.bind(c.jobs[n])
	}
	g, cycle := newGraph(c.jobs)
	if cycle != nil {
		c.problem(c.jobs[cycle[0]], "inputs", "the job depends on itself: "+strings.Join(append(cycle, cycle[0]), " reads "))
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	for _, n := range names {
		c.begins(g, c.jobs[n])
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return g, nil
}

func (c *compiler) note(err error) {
	var found config.Problems
	if errors.As(err, &found) {
		c.problems = append(c.problems, found...)
	}
}

func (c *compiler) problem(j *Job, path, message string) {
	if f := c.files[j.Name]; f != nil {
		c.problems = append(c.problems, f.Problem(path, message))
	}
}

// decode fills the job's spec from its layers and checks what it says by itself.
func (c *compiler) decode(f *config.Job) {
	j := &Job{Name: f.Name, File: f.File, Spec: Default(), Refs: map[string]string{}}
	c.files[f.Name] = f
	before := len(c.problems)
	var own Spec // only for extends, which the layers below must not say
	c.note(f.Node.Fill(&own))
	if len(c.problems) > before {
		return // one cause, one problem
	}
	for i, name := range own.Extends {
		t, ok := c.templates[name]
		if !ok {
			c.problem(j, config.Path("extends", i), fmt.Sprintf("there is no template %q%s", name, config.DidYouMean(name, slices.Sorted(maps.Keys(c.templates)))))
			continue
		}
		_ = t.Node.Fill(&j.Spec) // its problems were noted
	}
	_ = f.Node.Fill(&j.Spec)
	j.Spec.validate(func(path, message string) { c.problem(j, path, message) })
	c.calendar(j)
	c.shared(j)
	c.read(j, f)
	if len(c.problems) > before {
		return
	}
	if j.Output != "" {
		if first, ok := c.outputs[strings.ToLower(j.Output)]; ok {
			c.problem(j, "output.table", "is made by two jobs: also by "+first)
			return
		}
		for _, t := range c.world.Tables {
			if ok, err := path.Match(t.Table, j.Output); ok && err == nil {
				c.problem(j, "output.table", "is published by pipeline "+t.Pipeline+": choose another name or schema")
				return
			}
		}
		c.outputs[strings.ToLower(j.Output)] = j.Name
	}
	c.jobs[j.Name] = j
}

// shared checks what the job says of tidemill.yaml: its pool, its channels and what the warehouse has.
func (c *compiler) shared(j *Job) {
	capacity, ok := c.world.Pools[j.Spec.Limits.Pool]
	if !ok {
		pools := slices.Sorted(maps.Keys(c.world.Pools))
		c.problem(j, "limits.pool", fmt.Sprintf("there is no pool %q%s; tidemill.yaml has pools: %s", j.Spec.Limits.Pool, config.DidYouMean(j.Spec.Limits.Pool, pools), strings.Join(pools, ", ")))
	} else if j.Spec.Limits.Weight > capacity {
		c.problem(j, "limits.weight", fmt.Sprintf("is more than the pool %s holds (%d): the job could never run", j.Spec.Limits.Pool, capacity))
	}
	if c.world.Warehouse.Name != "" && j.Spec.SQL != "" {
		if what, remedy := c.world.Warehouse.noWay(j.Spec.Output.Via); what != "" {
			c.problem(j, "output.via", what+": "+remedy)
		}
	}
	for _, r := range []struct {
		key      string
		channels []string
	}{{"fail", j.Spec.Alerts.Fail}, {"late", j.Spec.Alerts.Late}, {"check_warn", j.Spec.Alerts.CheckWarn}} {
		for i, channel := range r.channels {
			if p := c.world.Alerts.ChannelProblem(channel); p != "" {
				c.problem(j, config.Path("alerts", r.key, i), p)
			}
		}
	}
}

// calendar works out the intervals.
func (c *compiler) calendar(j *Job) {
	zone := j.Spec.Interval.TZ
	if zone == "" {
		zone = c.world.Zone
		j.Spec.Interval.TZ = zone
	}
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		c.problem(j, "interval.tz", "is no IANA time zone, like Asia/Jakarta")
		return
	}
	if j.Spec.Interval.Every == "" {
		c.problem(j, "interval", "is missing: say the slice of data that one run makes, like interval: {every: day}")
		return
	}
	if j.Calendar, err = grid.NewCalendar(j.Spec.Interval.Every, loc); err != nil {
		c.problem(j, "interval.every", err.Error())
		return
	}
	if j.Spec.Start == "" {
		c.problem(j, "start", "is missing: say the first interval, like 2026-01-01")
		return
	}
	if j.First, err = firstInterval(j.Calendar, j.Spec.Start); err != nil {
		c.problem(j, "start", err.Error())
		return
	}
	if at, ok := untiled(j.Calendar, j.First, c.world.Grid); ok {
		c.problem(j, "interval", fmt.Sprintf("windows of %s do not tile the interval %s in %s: choose another length or zone", short(c.world.Grid.Length()), j.Calendar.Name(at), loc))
	}
}

// firstInterval is the first that begins at or after the start.
func firstInterval(c grid.Calendar, start string) (grid.Window, error) {
	w, err := c.Parse(start)
	if err != nil {
		return w, fmt.Errorf("must be a date like 2026-01-01 or an instant like 2026-01-01T06:00:00Z")
	}
	day, err := grid.NewCalendar("day", c.Zone())
	if err != nil {
		return w, err
	}
	at := w.Start
	if d, err := day.Parse(start); err == nil && len(start) == len(time.DateOnly) {
		at = d.Start
	} else if t, err := time.Parse(time.RFC3339, start); err == nil {
		at = t
	}
	if at.After(w.Start) {
		return c.Next(w), nil
	}
	return w, nil
}

// untiled finds an interval of the first two years that windows do not tile: a clock changes at the same places every year.
func untiled(c grid.Calendar, first grid.Window, g grid.Grid) (grid.Window, bool) {
	until := first.Start.AddDate(2, 0, 0)
	if d, err := time.ParseDuration(c.Every()); err == nil { // all are alike
		return first, d%g.Length() != 0
	}
	for w := first; w.Start.Before(until); w = c.Next(w) {
		if _, ok := g.Tile(w); !ok {
			return w, true
		}
	}
	return first, false
}

// read parses the job's SQL files and compiles its checks.
func (c *compiler) read(j *Job, f *config.Job) {
	text := ""
	if s := j.Spec.SQL; s != "" {
		name, sql, err := f.Read(s)
		j.SQLFile, text = name, sql
		if err != nil {
			c.problem(j, "sql", err.Error())
			return
		}
		if j.SQL, err = ParseTemplate(sql); err != nil {
			c.sqlProblem(name, sql, err)
			return
		}
		for _, v := range j.SQL.Vars {
			if _, ok := j.Spec.Vars[v]; !ok {
				c.problem(j, "vars", fmt.Sprintf("%s uses {{ var.%s }}, which is not among them%s", name, v, config.DidYouMean(v, slices.Sorted(maps.Keys(j.Spec.Vars)))))
			}
		}
		j.Output = j.Spec.Output.Table
	}
	c.checks(j, f)
	j.sqlText = text
}

func (c *compiler) sqlProblem(file, sql string, err error) {
	p := config.Problem{File: file, Message: err.Error()}
	var at *SQLError
	if errors.As(err, &at) {
		p.Line, p.Column, p.Message = at.Line, at.Column, at.Message
		lines := strings.Split(sql, "\n")
		p.Excerpt = fmt.Sprintf("%5d | %s\n      | %s^", at.Line, strings.TrimRight(lines[at.Line-1], "\r"), strings.Repeat(" ", at.Column-1))
	}
	c.problems = append(c.problems, p)
}

func (c *compiler) checks(j *Job, f *config.Job) {
	if len(j.Spec.Checks) == 0 && j.SQL == nil && j.Spec.SQL == "" {
		c.problem(j, "sql", "is missing: name the file with the job's SELECT; a job without one must have checks")
	}
	taken := map[string]int{}
	for i := range j.Spec.Checks {
		p, tables, problems := compileCheck(&j.Spec.Checks[i], func(rel string) (*Template, error) {
			name, sql, err := f.Read(rel)
			if err != nil {
				return nil, err
			}
			t, err := ParseTemplate(sql)
			if err != nil {
				return nil, fmt.Errorf("%s:%w", name, err)
			}
			return t, nil
		})
		for at, message := range problems {
			where := config.Path("checks", i)
			if at != "" {
				where += "." + at
			}
			c.problem(j, where, message)
		}
		said := p.Name
		if taken[said]++; taken[said] > 1 { // history of a check goes by its name
			p.Name = fmt.Sprintf("%s (%d)", said, taken[said])
		}
		j.Probes = append(j.Probes, p)
		j.checkTables = append(j.checkTables, tables...)
	}
}

// bind resolves the tables that a job reads. A ref without an entry of inputs is one that must be complete.
func (c *compiler) bind(j *Job) {
	for i, in := range j.Spec.Inputs {
		n, problem := c.resolve(in.Table)
		if problem != "" {
			c.problem(j, config.Path("inputs", i, "table"), problem)
			continue
		}
		switch {
		case in.Need.Coverage > 0:
			in.Need.Is = Coverage
		case in.Need.Is == "":
			in.Need.Is = Complete
		}
		n.Slice, n.Need, n.MaxAge = in.Slice, in.Need, in.MaxAge.Duration
		if slices.ContainsFunc(j.Inputs, func(o Needed) bool { return o.Table == n.Table }) {
			c.problem(j, config.Path("inputs", i, "table"), "is named twice: "+n.Table)
		}
		j.Inputs = append(j.Inputs, n)
		j.Refs[in.Table] = n.Table
	}
	imply := func(name, need string, where string) {
		if name == staged || j.Refs[name] != "" {
			return
		}
		n, problem := c.resolve(name)
		if problem != "" {
			c.problem(j, where, problem)
			return
		}
		j.Refs[name] = n.Table
		if !slices.ContainsFunc(j.Inputs, func(o Needed) bool { return o.Table == n.Table }) {
			n.Need.Is, n.Implied = need, true
			j.Inputs = append(j.Inputs, n)
		}
	}
	if j.SQL != nil {
		for _, r := range j.SQL.Refs {
			imply(r, Complete, "sql")
		}
		c.direct(j)
	}
	for _, t := range j.checkTables {
		imply(t, Latest, "checks")
	}
	if len(j.Inputs) == 0 && len(c.problems) == 0 {
		c.problem(j, "inputs", "the job reads no table: name its inputs, so that it knows what to wait for")
	}
	if j.SQL == nil && len(j.Spec.Inputs) != 1 {
		c.problem(j, "inputs", "a job that only checks has exactly one input")
	}
	j.define(j.sqlText)
}

// resolve finds the table that a name means: schema.table, a job, or a bare name that one table has.
func (c *compiler) resolve(name string) (Needed, string) {
	n := Needed{Name: name}
	if up, ok := c.jobs[name]; ok {
		if up.Output == "" {
			return n, fmt.Sprintf("job %s only checks: it has no table to read", name)
		}
		n.Job, n.Table = name, up.Output
		return n, ""
	}
	if up, ok := c.outputs[strings.ToLower(name)]; ok {
		n.Job, n.Table = up, c.jobs[up].Output
		return n, ""
	}
	if _, ok := c.files[name]; ok {
		return n, fmt.Sprintf("job %s has problems of its own", name)
	}
	if strings.Count(name, ".") == 1 {
		for _, t := range c.world.Tables {
			if ok, err := path.Match(t.Table, name); ok && err == nil {
				n.Table, n.Pipeline = name, t.Pipeline
				return n, ""
			}
		}
		if c.world.Unsure {
			n.Table = name
			return n, ""
		}
		return n, fmt.Sprintf("no pipeline publishes %q and no job makes it%s", name, config.DidYouMean(name, c.known()))
	}
	return c.bare(n)
}

// bare resolves a name without a schema.
func (c *compiler) bare(n Needed) (Needed, string) {
	var found []string
	for _, t := range c.world.Tables {
		if _, table, _ := strings.Cut(t.Table, "."); table == n.Name {
			found = append(found, t.Table)
			n.Table, n.Pipeline = t.Table, t.Pipeline
		}
	}
	for out, job := range c.outputs {
		if _, table, _ := strings.Cut(out, "."); table == n.Name {
			found = append(found, out)
			n.Table, n.Job, n.Pipeline = c.jobs[job].Output, job, ""
		}
	}
	slices.Sort(found)
	switch len(found) {
	case 1:
		return n, ""
	case 0:
		return n, fmt.Sprintf("there is no table or job %q%s; a table is named schema.table", n.Name, config.DidYouMean(n.Name, c.known()))
	}
	return n, fmt.Sprintf("%q may mean %s: say which", n.Name, strings.Join(found, " or "))
}

func (c *compiler) known() []string {
	out := slices.Collect(maps.Keys(c.jobs))
	for _, t := range c.world.Tables {
		if !strings.Contains(t.Table, "*") {
			out = append(out, t.Table)
		}
	}
	slices.Sort(out)
	return out
}

// direct refuses SQL that names a table without ref: the job would not wait for it.
func (c *compiler) direct(j *Job) {
	code := j.SQL.code()
	for _, t := range c.world.Tables {
		schema, table, _ := strings.Cut(t.Table, ".")
		if found := mentions(code, schema, table); found != "" {
			c.problem(j, "sql", fmt.Sprintf("%s reads %s directly: write {{ ref %q }}, so that the job waits for it", j.SQLFile, found, found))
		}
	}
	for out := range c.outputs {
		schema, table, _ := strings.Cut(out, ".")
		if found := mentions(code, schema, table); found != "" {
			c.problem(j, "sql", fmt.Sprintf("%s reads %s directly: write {{ ref %q }}, so that the job waits for it", j.SQLFile, found, found))
		}
	}
}

// begins refuses a job that begins before what it reads: its first intervals could never be complete.
func (c *compiler) begins(g *Graph, j *Job) {
	for _, n := range j.Inputs {
		up := g.byName[n.Job]
		if up == nil || n.Need.Is == Latest {
			continue
		}
		if from := n.Slice.Of(j.First, j.Calendar.Zone()).Start; from.Before(up.First.Start) {
			c.problem(j, "start", fmt.Sprintf("the first interval needs %s from %s on, which begins at %s: start later", n.Name, from.Format(time.RFC3339), up.First.Start.Format(time.RFC3339)))
		}
	}
}
