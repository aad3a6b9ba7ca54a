// Package ledger is what every warehouse keeps about its pipelines, in the schema tidemill: the fence (one row per pipeline,
// the authority on what is committed), the receipts (one row per publish, forever), the tables (who publishes what), the
// quarantine (the rows that no table can hold) and the view freshness, which a dashboard joins to say how old it is. The
// package holds the shapes and the pure decisions; a sink runs the statements in its own transaction.
//
// Invariants, cited where they are enforced:
//  1. A publish is allowed only from its predecessor, by the epoch that holds the fence, on the lineage that the state
//     was made from. A publish whose step and manifest the fence already shows is done.
//  2. Epochs only grow.
//  3. A table belongs to one pipeline, and a publish names it once.
//  4. Fence, receipt, tables, quarantine and data move in one transaction.
//  5. A row is in quarantine in one open entry at most; an entry is ended, never deleted.
package ledger
