package failpoint

// Names of the points, in the order in which a step passes them. The package that holds a point is named beside it.
const (
	AfterRead        = "after-read"         // window: records fetched, nothing accumulated yet
	AfterSpill       = "after-spill"        // window: an accumulation was written to a local run
	MidCollapse      = "mid-collapse"       // window/state: changes loaded and collapsed, state untouched
	MidUpload        = "mid-upload"         // window: first part is in the store, more to come
	BeforeManifest   = "before-manifest"    // window: all parts are in the store
	AfterManifest    = "after-manifest"     // window: the manifest is in the store, pending not saved
	AfterLocalCommit = "after-local-commit" // window: state and pending are committed locally
	BeforeLock       = "before-lock"        // sinks: transaction begun, fence not locked
	MidCopy          = "mid-copy"           // sinks: first table staged
	BeforeCommit     = "before-commit"      // sinks: everything done but the commit
	AfterCommit      = "after-commit"       // sinks: committed, reply not yet seen by the pipeline
	BeforeSnapshot   = "before-snapshot"    // window: published, state snapshot due
	BeforeGC         = "before-gc"          // window: local parts and old snapshots still there
)

// Names lists every point, for tests that must visit them all.
var Names = []string{
	AfterRead, AfterSpill, MidCollapse, MidUpload, BeforeManifest, AfterManifest, AfterLocalCommit,
	BeforeLock, MidCopy, BeforeCommit, AfterCommit, BeforeSnapshot, BeforeGC,
}
