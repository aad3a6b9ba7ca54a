// Package duckdb is the warehouse of a one-machine deployment: a DuckDB file that this process holds.
//
// The address is duckdb:./warehouse.db with these options, all optional:
//
//	memory_limit     of the database, e.g. 2GB; default 512MB. Larger work spills
//	threads          default: the machine's
//	temp_directory   where it spills; default: the file's path and .tmp
//	temp_limit       of that folder, e.g. 20GB; default 64GB
//
// Invariants, cited where they are enforced:
//  1. One write at a time. DuckDB's transactions are optimistic, would fail each other, and see a conflict only where both
//     change the same column of a row. So whoever publishes or takes a pipeline has its turn on the process's one Sink
//     first; another process cannot open the file.
//  2. Parts come in as Arrow. The database has no access to files, for anybody: SQL cannot read or write outside of it. The one
//     folder that it may, FILE.jobs, is for rows of jobs on their way through Parquet; no SQL of a user gets to it either.
//  3. Every row that is loaded is counted by operation and compared with the manifest before it is applied; keys are
//     compared too, since the tables have no primary key (12-90 times slower, and it cannot spill).
//  4. A query of a user is one SELECT, in a session and a read-only transaction of its own, under a timeout.
//  5. An error never holds a row value (internal/duck withholds what may quote one; a query's own text is withheld here).
//  6. Parts are appended to a table with rows only when their first key is beyond its last one and every key of theirs is
//     seen to grow; what does not is undone and staged.
package duckdb
