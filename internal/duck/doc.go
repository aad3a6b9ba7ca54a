// Package duck is the one door to DuckDB: connections with every limit set, Arrow in, Arrow out, and the mapping between
// the kinds of ingest and DuckDB's types.
//
// Invariants, cited where they are enforced:
//  1. LoadArrow is the only caller of the driver's RegisterView, and the registered view is only ever read whole: all
//     columns, in order, no filter, once. Any other use of such a view answers wrongly without an error, or crashes.
//  2. Memory, threads, spill directory and spill quota are set on every database; nothing is left at a default that
//     looks at the machine.
//  3. No database loads or installs an extension by itself, and every session's time zone is UTC.
//  4. An error that may quote a row value is reduced to its kind before it leaves the package.
//  5. A session whose last statement was interrupted (its time was up, its context ended) or failed begins one more before
//     it ends.
package duck
