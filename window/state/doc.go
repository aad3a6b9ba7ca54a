// Package state keeps a pipeline's local DuckDB file: the latest image of every row of the tables that joined views read.
// It turns a step's change batches into the exact deltas of the pipeline's tables, as Parquet parts.
//
// Invariants, cited where they are enforced:
//  1. A step is one local transaction: tables, delta and the caller's meta change together or not at all. An error leaves
//     the file as it was.
//  2. The last row of a key, by arrival, wins: batches are given in arrival order, a key's rows never overtake each other.
//  3. Everything that is derived from the old state is derived before the step is applied.
//  4. A joined view's delta holds at most one operation per key, no upsert equal to the row before it and no delete of an
//     absent key, but for rows that are or were in quarantine; duplicate or NULL keys halt the step.
//  5. The output is sorted by key, so the same rows give the same bytes.
//  6. Tables are heaps: no primary key, no index. Keys are unique because every apply deletes a key before it inserts it.
//  7. The file is a cache. Whatever is odd about it when it is opened is a *DamagedError: the caller removes the file and
//     restores a snapshot.
//  8. Every row of every part has passed parquet.Checker. One that does not pass is a delete of its key in the parts, and is
//     given to the caller beside them. The state keeps it like any other: only what is published is screened.
package state
