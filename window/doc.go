// Package window is the second half of tidemill: it reads the log, accumulates sealed windows in memory, collapses and
// joins them, and publishes exactly one window at a time to a warehouse (DESIGN §4, §5).
//
// The core is pure and decides everything: tracker (is this record new?), source (which slices are complete?), hold (what
// becomes of a table that loads or is parked?), order (which step is next, and with which cut?), decide (what after a restart,
// what after a publish without a reply?), plan (which outputs move, stand, are replaced?). Around it: reader fetches and
// feeds, buffer holds and spills rows, session decides and takes steps, step prepares and publishes one, recover brings the
// local state to the fence, snapshot keeps copies of the state. The engine behind state is window/state.
//
// The invariants are numbered; the lines that enforce them cite the number.
//  1. A window slice is processed only when its seal has been read in every partition of every input topic of the registry
//     version that the seals name. There is no other trigger.
//  2. Per (source, partition) seqs are contiguous: a repeat is dropped and counted, a gap or a wrong seal count halts.
//  3. Records of a lower epoch after a higher EPOCH marker are void and counted.
//  4. The warehouse's fence row is the only authority on what is committed. Nothing else decides.
//  5. What a publish contains is fixed (manifest, cut, pending) in one local transaction before the warehouse is touched.
//  6. The local state is a cache: its cut equals the fence's, or it is one step ahead with that step pending, or it is
//     thrown away and restored.
//  7. A delta has at most one operation per output key, no upsert equal to the previous row, no delete of an absent key
//     (joined views).
//  8. The same log gives the same steps, cuts and manifest hashes: no decision depends on the order in which partitions
//     are read, on batch sizes, on memory, on the clock, or on restarts.
//  9. Memory is bounded, and a partition that the next step needs is never paused: fetching stops only for those that are
//     ahead, and what is needed and does not fit is spilled.
package window
