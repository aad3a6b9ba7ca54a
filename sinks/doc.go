// Package sinks is the set of warehouses and stores: which URL scheme is served by which constructor. A connector is one
// folder plus one line in sinks/all.
//
// Invariants:
//  1. Nothing registers itself: a Set is a value that cmd hands around.
//  2. An address may hold a password, so no error or log prints one: only its scheme and the names of its options.
//  3. An option that a connector does not know is an error, never ignored.
package sinks
