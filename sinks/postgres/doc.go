// Package postgres is the PostgreSQL warehouse (14 and later): tables as types.go maps them, the ledger in the schema
// tidemill, one transaction per publish.
//
// The address is a PostgreSQL URL, postgres://user:password@host:5432/database?sslmode=verify-full. The user needs CREATE and
// TEMPORARY on the database, or schemas that somebody made for it. It owns what it publishes; others are let in with
// GRANT USAGE ON SCHEMA ... and GRANT SELECT ON ALL TABLES IN SCHEMA ..., once: tables are never dropped and made anew.
// Connect to the server itself, not through a pooler: sessions set their time zone and timeouts.
//
// Invariants, cited where they are enforced:
//  1. The fence row is locked before anything is read or written, and until the commit: of two publishers of a pipeline
//     the second waits and then sees what the first did.
//  2. Parts are fetched before the transaction begins: nothing slow happens while the lock is held.
//  3. Every row that is loaded is counted by operation and compared with the manifest before it is applied.
//  4. A value that PostgreSQL cannot hold stops the publish. The parts have none: who makes them screens the rows
//     (window/state, invariant 8), and the quarantine comes in the same transaction.
//  5. An error carries SQLSTATE, relation, column and constraint; never a value, a parameter or the server's DETAIL.
//  6. A query of a user runs on a connection of its own, in a read-only transaction, under a timeout.
package postgres
