// Package daemon composes everything into the process that runs a project: configuration, lock, log, warehouse, API, sources and
// pipelines. It is the only package that knows all parts; cmd/tidemill gives it the edges of the process.
//
// Invariants, cited where they are enforced:
//  1. One daemon per data folder: the lock file is held from before anything is opened until everything is closed.
//  2. Parts start in the order lock, log, warehouse, API, units and stop in the reverse.
//  3. A unit that fails does not stop the others: it is retried, or rests until its configuration changes, and says why.
//  4. A configuration that cannot run never replaces one that runs.
//  5. What a failure is, is said once: when the text changes, not at every retry.
package daemon
