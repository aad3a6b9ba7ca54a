package telemetry

// Scope is the instrumentation scope of every tracer and meter.
const Scope = "github.com/tidemill/tidemill"

// Metric names. Units are in the name's last part where Prometheus does not add them.
const (
	MetricSourceRows        = "tidemill.source.rows"         // counter: rows emitted into the log, by source and table
	MetricSourceGroups      = "tidemill.source.groups"       // counter: source transactions, by source
	MetricSourceLag         = "tidemill.source.lag"          // gauge, s: now minus the commit time of the last group read
	MetricSourceLate        = "tidemill.source.late"         // counter: groups committed before the window they were stamped with
	MetricSourceParked      = "tidemill.source.parked"       // gauge: tables that stand still
	MetricSourceBytes       = "tidemill.source.bytes"        // counter: bytes of row events decoded, by source
	MetricSourceInvalid     = "tidemill.source.invalid"      // counter: values without a canonical form, by source and table
	MetricSourceExpired     = "tidemill.source.expired"      // counter: items that DynamoDB deleted because their time to live was over
	MetricSourceClock       = "tidemill.source.clock"        // counter: groups whose commit time went back by minutes
	MetricLogBytes          = "tidemill.log.bytes"           // counter: bytes appended to the log, by source
	MetricLogVoid           = "tidemill.log.void"            // counter: records of a superseded owner that were skipped
	MetricLogRepeats        = "tidemill.log.repeats"         // counter: repeated rows that were dropped
	MetricWindowRows        = "tidemill.window.rows"         // counter: change rows read for published windows, by pipeline
	MetricWindowPublished   = "tidemill.window.published"    // counter: publishes, by pipeline
	MetricWindowSeconds     = "tidemill.window.duration"     // histogram, s: by pipeline and stage
	MetricWindowFreshness   = "tidemill.window.freshness"    // gauge, s: now minus the end of the last published window
	MetricWindowVisible     = "tidemill.window.visible"      // histogram, s: window end to commit in the warehouse
	MetricWindowMemory      = "tidemill.window.memory"       // gauge, bytes held by open windows
	MetricWindowSpilled     = "tidemill.window.spilled"      // counter, bytes written to local runs
	MetricWindowBad         = "tidemill.window.bad"          // counter: rows put into quarantine, by pipeline
	MetricWindowQuarantine  = "tidemill.window.quarantine"   // gauge: rows in quarantine, by pipeline
	MetricSinkRows          = "tidemill.sink.rows"           // counter: rows applied, by pipeline, table and op
	MetricJobRuns           = "tidemill.job.runs"            // counter: runs that ended, by job and state
	MetricJobGaps           = "tidemill.job.gaps"            // gauge: intervals that have ended and are not published, by job
	MetricJobStale          = "tidemill.job.stale"           // gauge: published intervals whose inputs have changed, by job
	MetricJobLate           = "tidemill.job.late"            // gauge: intervals whose deadline has passed, by job
	MetricJobSeconds        = "tidemill.job.duration"        // histogram, s: from begin to publish, by job
	MetricUnitRestarts      = "tidemill.unit.restarts"       // counter: restarts of a unit after an error
	MetricUnitUp            = "tidemill.unit.up"             // gauge: 1 when the unit runs
	MetricConfigReloads     = "tidemill.config.reloads"      // counter: by result
	MetricAPIRequestSeconds = "tidemill.api.duration"        // histogram, s: by route and code
	MetricLogTrimmed        = "tidemill.log.trimmed.offsets" // counter: records given back to the embedded broker
)

// Descriptions of what sources and pipelines both count. Prometheus wants one for one name: with two, the scrape fails.
const (
	DescribeLogVoid    = "records of a superseded owner that were skipped"
	DescribeLogRepeats = "repeated rows that were dropped"
)

// Span names: one trace is one step of a pipeline.
const (
	SpanWindow     = "window"
	SpanAccumulate = "accumulate"
	SpanCollapse   = "collapse"
	SpanJoin       = "join"
	SpanParquet    = "parquet"
	SpanUpload     = "upload"
	SpanPublish    = "publish"
	SpanLoad       = "load"
	SpanCommit     = "commit"
	SpanRestore    = "restore"
	SpanBatch      = "batch"  // a source's batch, from its first row to its acknowledgement
	SpanAppend     = "append" // one flush of a source's rows into the log
	SpanSeal       = "seal"
	SpanJob        = "job" // one run of an interval of a job
	SpanFirstLoad  = "first_load"
)

// Attribute keys of spans, metrics and log lines.
const (
	KeyProject    = "tidemill.project"
	KeySource     = "source"
	KeyPipeline   = "pipeline"
	KeyJob        = "job"
	KeyInterval   = "interval"
	KeyGeneration = "generation"
	KeyState      = "state"
	KeyTable      = "table"
	KeyTopic      = "topic"
	KeyPartition  = "partition"
	KeyUnit       = "unit"
	KeyWindow     = "window"
	KeySlice      = "slice"
	KeyStage      = "stage"
	KeyEpoch      = "epoch"
	KeyPosition   = "position"
	KeyOrdinal    = "ordinal"
	KeyCut        = "cut"
	KeyRows       = "rows"
	KeyRowsIn     = "rows_in"
	KeyUpserts    = "upserts"
	KeyDeletes    = "deletes"
	KeyBytes      = "bytes"
	KeyLate       = "late"
	KeyLag        = "lag"
	KeyAsOf       = "as_of"
	KeyOp         = "op"
	KeyResult     = "result"
	KeyRoute      = "route"
	KeyCode       = "code"
	KeyError      = "error"
	KeyManifest   = "manifest"
	KeyAttempt    = "attempt"
	KeyParts      = "parts"
	KeyReason     = "reason"
)
