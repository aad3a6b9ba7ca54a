package console

import "time"

// Status is what the daemon is doing, as the API and the terminal show it.
type Status struct {
	Project   string           `json:"project"`
	Version   string           `json:"version"`
	PID       int              `json:"pid"`
	Started   time.Time        `json:"started"`
	At        time.Time        `json:"at"`     // when this was read
	Window    string           `json:"window"` // length
	Broker    string           `json:"broker"` // where the log can be read
	Store     string           `json:"store"`
	Warehouse string           `json:"warehouse"`
	Config    ConfigStatus     `json:"config"`
	Sources   []SourceStatus   `json:"sources"`
	Pipelines []PipelineStatus `json:"pipelines"`
	Jobs      *JobsStatus      `json:"jobs,omitempty"`
}

// JobsStatus is what the daemon does about jobs. Who holds their lease knows more than the others.
type JobsStatus struct {
	State State  `json:"state"`
	Error string `json:"error,omitempty"`
	// Running are runs under way, Waiting intervals that have ended and wait for their inputs, Failed those that a person must
	// look at, Stale those that are to be built again, Late those whose deadline has passed.
	Running int `json:"running"`
	Waiting int `json:"waiting"`
	Failed  int `json:"failed"`
	Stale   int `json:"stale"`
	Late    int `json:"late"`
	Jobs    int `json:"jobs"`
}

// ConfigStatus tells which configuration runs.
type ConfigStatus struct {
	Dir    string    `json:"dir"`
	Loaded time.Time `json:"loaded"`
	Error  string    `json:"error,omitempty"` // why the folder as it is now does not run
}

// State is what a unit does.
type State string

// The states.
const (
	Starting State = "starting"
	Waiting  State = "waiting" // for a seal, a source or another owner
	Loading  State = "loading" // first load
	Running  State = "running"
	Retrying State = "retrying" // after an error that may pass
	Failed   State = "failed"   // until a person acts
	Stopped  State = "stopped"
)

// SourceStatus is one source.
type SourceStatus struct {
	Name     string        `json:"name"`
	Type     string        `json:"type"`
	State    State         `json:"state"`
	Error    string        `json:"error,omitempty"`
	Since    time.Time     `json:"since"` // of the state
	Position string        `json:"position,omitempty"`
	AsOf     time.Time     `json:"as_of,omitzero"`  // commit time of the last group read
	Window   time.Time     `json:"window,omitzero"` // open window
	Rows     int64         `json:"rows"`            // stream rows emitted since this owner began
	Tables   []SourceTable `json:"tables,omitempty"`
}

// SourceTable is one captured table.
type SourceTable struct {
	Name     string `json:"name"`
	Loaded   bool   `json:"loaded"`   // the first load is done
	Rows     int64  `json:"rows"`     // rows loaded so far
	Estimate int64  `json:"estimate"` // the source's guess of the table's rows
	Parked   string `json:"parked,omitempty"`
}

// PipelineStatus is one pipeline.
type PipelineStatus struct {
	Name      string          `json:"name"`
	State     State           `json:"state"`
	Error     string          `json:"error,omitempty"`
	Since     time.Time       `json:"since"`
	Waiting   string          `json:"waiting,omitempty"` // what the next window waits for
	Window    time.Time       `json:"window,omitzero"`   // start of the last published window
	WindowEnd time.Time       `json:"window_end,omitzero"`
	Slice     int             `json:"slice,omitempty"`
	Final     bool            `json:"final"`
	Published time.Time       `json:"published,omitzero"` // when it became visible
	AsOf      time.Time       `json:"as_of,omitzero"`     // commit time of the oldest source's last group in it
	Rows      int64           `json:"rows"`               // upserts and deletes of it
	Buffered  int64           `json:"buffered"`           // bytes waiting for their window to be sealed
	Tables    []PipelineTable `json:"tables,omitempty"`
}

// PipelineTable is one output table and what the last window did to it.
type PipelineTable struct {
	Name    string `json:"name"`
	Upserts int64  `json:"upserts"`
	Deletes int64  `json:"deletes"`
	Parked  string `json:"parked,omitempty"`
	// Quarantined are rows that are in tidemill.quarantine and not in the table.
	Quarantined int64 `json:"quarantined,omitempty"`
}

// Lag is how far what the warehouse shows lies behind now. Zero before the first publish.
func (p PipelineStatus) Lag(now time.Time) time.Duration {
	if p.WindowEnd.IsZero() {
		return 0
	}
	return max(0, now.Sub(p.WindowEnd))
}
