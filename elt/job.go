package elt

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// Job is a definition that has been compiled: all names are resolved, all SQL is parsed.
type Job struct {
	Name     string
	File     string
	Spec     Spec
	Calendar grid.Calendar
	First    grid.Window // the first interval
	Inputs   []Needed
	SQLFile  string
	SQL      *Template         // nil: the job only checks its input
	Refs     map[string]string // names in the SQL and in checks -> schema.table
	Probes   []Probe
	Output   string // schema.table; empty when the job only checks
	// Definition identifies what decides about the rows: SQL, inputs, output, interval. Owner, alerts, limits and checks do not.
	Definition string

	sqlText     string
	checkTables []string // that checks read
}

// Needed is an input whose table is known.
type Needed struct {
	Name     string // as the job writes it
	Table    string // schema.table
	Job      string // that makes it; empty: a pipeline does
	Pipeline string // that publishes it; empty: a job does, or it is not known
	Slice    Slice
	Need     Need
	MaxAge   time.Duration
	Implied  bool // by a ref, not by an entry of inputs
}

// Upstream reports whether a job makes the input.
func (n Needed) Upstream() bool { return n.Job != "" }

// Routes are the channels of a kind of alert.
func (j *Job) Routes(kind AlertKind, owners map[string][]string) []string {
	if slices.Contains(j.Spec.Alerts.Silence, string(kind)) {
		return nil
	}
	own := map[AlertKind][]string{AlertFail: j.Spec.Alerts.Fail, AlertLate: j.Spec.Alerts.Late, AlertWarn: j.Spec.Alerts.CheckWarn}[kind]
	if own != nil {
		return own
	}
	return owners[j.Spec.Owner]
}

// Name is an interval as people call it.
func (j *Job) IntervalName(w grid.Window) string { return j.Calendar.Name(w) }

// Statement is the job's SELECT for an interval.
func (j *Job) Statement(w grid.Window) string {
	if j.SQL == nil {
		in := j.Inputs[0]
		c := quoteIdent(j.Spec.Output.TimeColumn)
		s := in.Slice.Of(w, j.Calendar.Zone())
		return fmt.Sprintf("SELECT * FROM %s WHERE %s >= %s AND %s < %s", quoteTable(in.Table), c, Timestamp(s.Start), c, Timestamp(s.End))
	}
	return j.SQL.Render(Values{Interval: w, Refs: j.Refs, Vars: j.Spec.Vars})
}

// probing is where the job's checks are asked.
func (j *Job) probing(w grid.Window, staged string, d Dialect) probing {
	return probing{Staged: staged, Interval: w, Tables: j.Refs, Vars: j.Spec.Vars, Dialect: d}
}

// define computes Definition.
func (j *Job) define(sql string) {
	type input struct {
		Table    string
		Slice    Slice
		Need     string
		Coverage Percent
	}
	var inputs []input
	for _, n := range j.Inputs {
		inputs = append(inputs, input{n.Table, n.Slice, n.Need.Is, n.Need.Coverage})
	}
	vars := map[string]string{}
	for name, v := range j.Spec.Vars {
		vars[name] = v.Literal()
	}
	out := j.Spec.Output
	out.Via = "" // the way of the rows does not change them
	b, err := json.Marshal(struct {
		SQL       string
		Vars      map[string]string
		Inputs    []input
		Output    Output
		Every, TZ string
	}{sql, vars, inputs, out, j.Calendar.Every(), j.Calendar.Zone().String()})
	if err != nil {
		panic(err) // plain values
	}
	sum := sha256.Sum256(b)
	j.Definition = hex.EncodeToString(sum[:8])
}
