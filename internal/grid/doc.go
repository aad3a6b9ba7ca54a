// Package grid is the arithmetic of windows and of job intervals: half-open UTC intervals on a fixed grid, and the hours,
// days, weeks and months of a zone that they tile.
//
// Invariants:
//  1. A window is [Start, End), End = Start + length, both whole multiples of the length since the Unix epoch.
//  2. The length divides a day, so windows line up with days in UTC.
//  3. Nothing here reads a clock: every function is of its arguments only.
//  4. Intervals of a calendar touch, cover all time and are never empty, whatever a zone's clock does: a day may have 23, 24
//     or 25 hours or any quarter between, an hour may be half an hour or an hour and a half where the clock moves by 30
//     minutes, and a day that a zone has skipped is no interval.
package grid
