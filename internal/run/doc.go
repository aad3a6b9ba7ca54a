// Package run starts, restarts and stops the long-lived parts of the daemon.
//
// Everything long-lived is a func(ctx) error that blocks, owns the goroutines it starts, returns nil after ctx has ended
// and an error otherwise (house rule: Run(ctx) error). Stopping has two tiers: the context that a unit is given is its
// read context; what must not be cut in the middle (a load in flight) runs under Grace(ctx, d), which lives d longer.
//
// Invariants:
//  1. Units of a later stage are stopped, and have returned, before those of an earlier stage are told to stop.
//  2. A unit runs at most once at a time; a restart waits for the return of the previous run and then for its backoff.
//  3. Run returns only when every unit has returned, or when Patience is used up, and then it names who has not.
package run
