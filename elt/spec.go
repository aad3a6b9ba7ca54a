package elt

import (
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// Spec is what a job's file says. Default is it before the file is read; Explain prints it after.
type Spec struct {
	// Owner routes alerts when the job does not: required, because a report without an owner is repaired by nobody.
	Owner string `yaml:"owner" jsonschema:"required,description=Who answers for the job; alerts go to the owner's channels unless the job says otherwise"`
	// Extends names templates, the first lowest. Mappings merge, lists and values are replaced.
	Extends []string `yaml:"extends" jsonschema:"description=Templates below this file: mappings merge; lists and values are replaced"`
	// Interval is the slice of data that one run makes. When it runs is another matter: when its inputs are complete.
	Interval Interval `yaml:"interval" jsonschema:"required,description=The slice of data that one run makes"`
	// Start is the first interval.
	Start string `yaml:"start" jsonschema:"required,description=The first interval: a date in the job's zone or an instant"`
	Run   Run    `yaml:"run" jsonschema:"description=What holds a run back besides its inputs"`

	Inputs []Input `yaml:"inputs" jsonschema:"description=Tables that the job reads, and what must be there before it runs"`
	// SQL is one SELECT. Without it the job only checks its one input.
	SQL    string         `yaml:"sql" jsonschema:"description=File with one SELECT, relative to this file. Without it the job only checks the rows of its input"`
	Vars   map[string]Var `yaml:"vars" jsonschema:"description=Constants for {{ var.name }}"`
	Output Output         `yaml:"output" jsonschema:"description=Where the rows go, and how"`

	Late   Late    `yaml:"late" jsonschema:"description=What happens when data of an interval changes after it was published"`
	Retry  Retry   `yaml:"retry" jsonschema:"description=What is tried again, and how often"`
	Limits Limits  `yaml:"limits" jsonschema:"description=What a run may take"`
	Checks []Check `yaml:"checks" jsonschema:"description=What the rows of an interval must satisfy before they are published"`
	SLA    SLA     `yaml:"sla" jsonschema:"description=When an interval must be there"`
	Alerts Routes  `yaml:"alerts" jsonschema:"description=Who hears of what"`
	Data   Data    `yaml:"data" jsonschema:"description=How sensitive the rows are"`
}

// Interval is a calendar.
type Interval struct {
	Every string `yaml:"every" short:"" jsonschema:"description=hour, day, week, week(sunday), month, or a length that divides a day, like 15m"`
	// TZ is the zone whose days are meant. Default: the project's timezone.
	TZ string `yaml:"tz" jsonschema:"description=IANA zone. Default: the project's timezone"`
}

// Run holds runs back.
type Run struct {
	// NotBefore is a time of day in the job's zone, or a delay like +20m, after the interval's end. Default none.
	NotBefore Due `yaml:"not_before" jsonschema:"description=Time of day after the interval's end, like 00:20, or a delay like +20m"`
	// Catchup is what happens to intervals that were missed. Default all: a gap in a report is a fault.
	Catchup string `yaml:"catchup" jsonschema:"enum=all,enum=latest,enum=none,description=What happens to intervals that were missed. Default all"`
	// Overlap is what happens to an interval that comes due while the job runs another. Default queue.
	Overlap string `yaml:"overlap" jsonschema:"enum=queue,enum=skip,description=What happens to an interval that comes due while another runs. Default queue"`
}

// Input is a table that the job reads.
type Input struct {
	Table string `yaml:"table" short:"" jsonschema:"description=schema.table, a job's name, or a bare name that only one table has"`
	Slice Slice  `yaml:"slice" jsonschema:"description=The part that is needed, relative to the interval. Default the interval itself"`
	Need  Need   `yaml:"need" jsonschema:"description=complete, final, latest, or {coverage: 95%, give_up: 05:00, then: provisional}. Default complete"`
	// MaxAge is how old a table with need: latest may be. Default: of any age.
	MaxAge Span `yaml:"max_age" jsonschema:"description=How old a table with need: latest may be"`
}

// Slice is a part of time around an interval: from its start and its end.
type Slice struct {
	From Offset `yaml:"from"`
	To   Offset `yaml:"to"`
}

// Need is what must be there of an input.
type Need struct {
	Is       string  `yaml:"is" short:"" jsonschema:"enum=complete,enum=final,enum=latest,enum=coverage"`
	Coverage Percent `yaml:"coverage"`
	GiveUp   Due     `yaml:"give_up"`
	Then     string  `yaml:"then" jsonschema:"enum=provisional,enum=fail"`
}

// The needs.
const (
	Complete = "complete" // every window or interval of the slice is committed
	Final    = "final"    // and none of them is provisional
	Latest   = "latest"   // whatever is there, not older than max_age
	Coverage = "coverage" // enough of them, or after give_up what there is
)

// Output is the job's table.
type Output struct {
	Table string `yaml:"table" jsonschema:"description=schema.table"`
	// Mode is how an interval gets into the table. All are atomic.
	Mode string `yaml:"mode" jsonschema:"enum=replace_interval,enum=merge,enum=replace_all,enum=append_once,description=Default replace_interval"`
	// Key identifies a row for merge.
	Key []string `yaml:"key"`
	// TimeColumn tells which interval a row of the table is of, for replace_interval.
	TimeColumn string `yaml:"time_column"`
	// Via is how the result gets from the SELECT into the table. Default insert, inside of the warehouse. parquet goes out as
	// Parquet and in again, through S3 on Redshift, where unload_copy is another name of it.
	Via string `yaml:"via" jsonschema:"enum=insert,enum=parquet,enum=unload_copy,description=insert stays inside of the warehouse; parquet goes out to Parquet and in again. Default insert"`
	// SchemaChange is what happens when the SELECT gives other columns than the table has. Default freeze: a report that
	// changes its columns by accident breaks its readers.
	SchemaChange string `yaml:"schema_change" jsonschema:"enum=freeze,enum=add_columns,description=Default freeze"`
}

// The modes.
const (
	ReplaceInterval = "replace_interval" // rows whose time_column is in the interval are replaced
	Merge           = "merge"            // rows of the same key are replaced
	ReplaceAll      = "replace_all"      // the table is replaced
	AppendOnce      = "append_once"      // rows of the interval's earlier generation are replaced, found by (job, interval)
)

// The ways of a result into its table. A warehouse lists those that it has.
const (
	ViaInsert  = "insert"
	ViaParquet = "parquet"
	ViaUnload  = "unload_copy" // Redshift's name of parquet
)

// Late says what happens when data changes afterwards.
type Late struct {
	// Lookback is how many intervals before a new one are built again with it, for sources that settle. Default 0.
	Lookback int `yaml:"lookback" jsonschema:"minimum=0,description=How many intervals before a new one are built again with it. Default 0"`
	// OnRestate is what a re-published input does to intervals that were built from it. Default rerun.
	OnRestate string `yaml:"on_restate" jsonschema:"enum=rerun,enum=mark,enum=ignore,description=Default rerun"`
	// Horizon is how long ago an interval may have ended to be built again by itself; older ones are only marked. Default
	// 30d: an audit wants to know why an old report changed, so a person asks for it.
	Horizon Span `yaml:"horizon" jsonschema:"description=How long ago an interval may have ended to be built again by itself. Default 30d"`
}

// Retry says what is tried again.
type Retry struct {
	Attempts int     `yaml:"attempts" jsonschema:"minimum=1,description=Default 4"`
	Backoff  Backoff `yaml:"backoff" jsonschema:"description=First and longest wait, like 30s..10m. Default 30s..10m"`
	// On are the classes of errors that may pass by themselves. Default both; SQL errors and failed checks never do.
	On []string `yaml:"on" jsonschema:"description=transient and conflict are the classes. Default both"`
}

// The classes of errors.
const (
	Transient = "transient"
	Conflict  = "conflict"
)

// Limits bound a run.
type Limits struct {
	Timeout time.Duration `yaml:"timeout" jsonschema:"description=Default 1h"`
	Pool    string        `yaml:"pool" jsonschema:"description=Pool of tidemill.yaml that the job runs in. Default default"`
	Weight  int           `yaml:"weight" jsonschema:"minimum=1,description=How much of the pool a run takes. Default 1"`
	// BackfillShare is the part of the pool that backfills of this job may take, and that is kept for them while there are
	// some. Default 30%.
	BackfillShare Percent `yaml:"backfill_share" jsonschema:"description=Part of the pool for backfills. Default 30%"`
	// MaxCostRows refuses a result with more rows. Default none.
	MaxCostRows Count `yaml:"max_cost_rows" jsonschema:"description=A result with more rows is refused, like 500M"`
}

// SLA says when an interval must be there. Deadlines come from the calendar: an interval that never ran is late too.
type SLA struct {
	ReadyBy    Due     `yaml:"ready_by" jsonschema:"description=Time of day after the interval's end, like 06:00, or a delay like +20m"`
	WarnBy     Due     `yaml:"warn_by" jsonschema:"description=Before ready_by"`
	MaxRuntime Runtime `yaml:"max_runtime" jsonschema:"description=A length, or a multiple of what runs took: 3x median"`
}

// Routes are the channels by kind of alert.
type Routes struct {
	Fail      []string `yaml:"fail" jsonschema:"description=A run has failed for good. Default: the owner's channels"`
	Late      []string `yaml:"late" jsonschema:"description=A deadline has passed. Default: the owner's channels"`
	CheckWarn []string `yaml:"check_warn" jsonschema:"description=A check warns. Default: the owner's channels"`
	// Group is how long alerts to a channel are gathered after one was sent. Default 10m.
	Group time.Duration `yaml:"group" jsonschema:"description=How long alerts to one channel are gathered after one was sent. Default 10m"`
	// Silence are kinds that are noted and not sent.
	Silence []string `yaml:"silence" jsonschema:"description=Kinds that are noted and not sent: fail, late, check_warn"`
}

// Data says how sensitive the rows are.
type Data struct {
	Classification string   `yaml:"classification" jsonschema:"description=Label for lineage and the console, like phi"`
	Mask           []string `yaml:"mask" jsonschema:"description=Columns whose values are kept only as hashes where failing keys are kept"`
	// KeepFailedRows is how many keys of failing rows a check keeps. Default 50 keys only.
	KeepFailedRows Keep `yaml:"keep_failed_rows" jsonschema:"description=How many keys of failing rows a check keeps. Default 50 keys only"`
}

// Default is a job before its file is read.
func Default() Spec {
	return Spec{
		Run:    Run{Catchup: "all", Overlap: "queue"},
		Output: Output{Mode: ReplaceInterval, Via: ViaInsert, SchemaChange: "freeze"},
		Late:   Late{OnRestate: "rerun", Horizon: Span{30 * 24 * time.Hour, "30d"}},
		Retry:  Retry{Attempts: 4, Backoff: Backoff{30 * time.Second, 10 * time.Minute}, On: []string{Transient, Conflict}},
		Limits: Limits{Timeout: time.Hour, Pool: "default", Weight: 1, BackfillShare: 30},
		Alerts: Routes{Group: 10 * time.Minute},
		Data:   Data{KeepFailedRows: 50},
	}
}

// Of is the slice of an interval.
func (s Slice) Of(w grid.Window, zone *time.Location) grid.Window {
	return grid.Window{Start: s.From.From(w.Start, zone), End: s.To.From(w.End, zone)}
}
