// Package elt runs jobs: daily and weekly SQL on the same clock as the windows, when its data is complete and not when a
// cron says so. A job is one SELECT over published tables; a run makes one interval of its output.
//
// Everything is decided by functions of three things: the definitions (Graph), what the warehouse has committed (Committed: what
// pipelines have published, and the ledger of the jobs themselves) and the time. The runner only asks them again and again and does
// what they say.
//
// Invariants, cited where they are enforced:
//  1. Readiness is a query on committed state, never an event: pauses, restarts and takeovers change nothing.
//  2. An interval is one of the job's calendar, frozen with the definition in the ledger row of its run: a retry makes the
//     same slice.
//  3. Rows, checks' results and the ledger row of an interval become visible in one transaction, or not at all.
//  4. The ledger only grows. (job, interval, generation) is published once: the warehouse itself refuses a second.
//  5. Who may try holds the lease; who may write is decided in the publish transaction, by the epoch and by invariant 4.
//  6. A deadline comes from the calendar. Once it was missed it stays missed, whenever somebody looks.
//  7. What is built from data that has changed is stale until it is built again; nothing forgets it.
//  8. A definition that does not compile never replaces one that runs. A check that nothing understands is an error.
//  9. No row value leaves the warehouse: not in errors, logs, alerts or the ledger. Keys of failing rows stay in the warehouse,
//     masked columns as hashes.
//  10. A result that goes out to Parquet comes in whole, every value and type as it was, or the run fails; nothing of it is
//     left on the way.
package elt
