// Package mysql reads the binlog of a MySQL or MariaDB server as an ingest.Source.
//
//	dump ──blocks──> stream ──> group (the state machine) ──> rows.Plan ──> ingest.Emitter
//	loader ──chunks──┘  └─ between groups: chunks of first loads, proofs of idleness, parking
//	prober ──proofs──┘
//
// The stream's goroutine owns everything that depends on the place in the log and is the only one that calls the emitter.
// The dump reads and checks packets ahead of it; the loader reads first loads on a connection of its own; the prober asks
// an idle server for the time.
//
// Invariants, cited where they are enforced:
//
//  1. What is emitted is a function of the log: from one position the same rows follow in the same order. Catalogues are
//     hints, first loads and proofs come between groups.
//  2. A group is emitted whole or the run ends: nothing of an open group survives a broken connection, because the owner
//     starts again from its checkpoint.
//  3. What cannot be right parks one table, with the statement that mends it; the stream stops only when the log itself
//     cannot be read on. Tables that are not captured can do neither.
//  4. Positions are GTID sets. Adding a group and rendering the text do not depend on the size of the set.
//  5. Coordinates (log file and byte) order events of one server within one run. They never leave the process.
//  6. A chunk of a first load is emitted when the stream has passed everything the chunk may show, without the keys that
//     groups outside its snapshot have touched. So whatever is emitted last for a key is the newest.
//  7. A proof of idleness is time first, then the end of the log, then the stream behind that end.
//  8. No row value, statement text or password is in an error, a log line, a metric or a status.
package mysql
