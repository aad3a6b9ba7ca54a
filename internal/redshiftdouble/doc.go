// Package redshiftdouble is a stand-in for Amazon Redshift: it speaks the wire protocol as Redshift does, runs the SQL on a real
// PostgreSQL 15 behind it, and loads and unloads Parquet from any S3 endpoint. It exists because there is no Redshift on a developer's
// machine or in CI; it is a test double and a place to write ELT at home, never a warehouse.
//
// README.md lists what it does not do as Redshift does; Divergences returns that text.
//
// Invariants, cited where they are enforced:
//  1. What Redshift refuses is refused, and PostgreSQL never sees it. The refusals are data (corpus_test.go, refusals.go): a statement and
//     what is expected of it, so that a real cluster can prove or disprove each line.
//  2. What is valid in Redshift and not emulated is refused too, in other words (unsupported): a double that guesses is worse than none.
//  3. Nothing here is shared with the linter that checks the same rules: two readings of one manual can contradict each other.
//  4. One client session is one PostgreSQL session. The PostgreSQL transaction is the client's: what it rolls back is gone, but for what
//     Redshift keeps: objects that UNLOAD wrote, rows of sys_load_error_detail, what TRUNCATE committed.
//  5. The declared model of a table (types, lengths, encodings, keys) lives in PostgreSQL's catalogue and in a comment on the table's row
//     type: it is transactional, follows renames, and its reads never conflict.
//  6. Parquet is read and written with parquet-go, the library that does not write tidemill's files.
//  7. Every goroutine belongs to a Server and has ended when Close returns; the listener is on 127.0.0.1.
package redshiftdouble
