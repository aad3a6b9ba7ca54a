// Package failpoint names the instants at which a process of tidemill may die and must lose nothing (DESIGN §10,
// guarantee 2), and lets a test make it die exactly there.
//
// Invariants:
//  1. Without the build tag failpoint, Hit is an empty function: no environment is read, nothing can be switched on.
//  2. A hit kills the process with SIGKILL: no deferred call, no flush, no exit code of its own.
package failpoint
