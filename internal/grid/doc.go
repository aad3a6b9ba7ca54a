// Package grid is the window arithmetic of tidemill: half-open UTC intervals on a fixed grid.
//
// Invariants:
//  1. A window is [Start, End), End = Start + length, both whole multiples of the length since the Unix epoch.
//  2. The length divides a day, so windows line up with days in UTC.
//  3. Nothing here reads a clock: every function is of its arguments only.
package grid
