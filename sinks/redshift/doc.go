// Package redshift is the Amazon Redshift warehouse, provisioned and serverless. Parts are loaded by COPY from the store, which has to be
// an S3 bucket in the warehouse's region; nothing but SQL goes over the connection.
//
// The address is redshift://user:password@host:5439/database with these options, all optional:
//
//	iam_role           default, or the ARN of the role that COPY reads the bucket with (several by commas). Default: default
//	auth               password, cluster or serverless. cluster and serverless fetch temporary credentials by IAM before each
//	                   connection. Default: password if the address has one, else what the host's name says
//	cluster, workgroup, region   for auth, where the host's name does not say them
//	json               varchar keeps documents as they are written, in VARCHAR; super makes SUPER of them by JSON_PARSE, which keeps
//	                   their meaning and not their spelling. Default: varchar
//	overflow           what becomes of a text of more than 65,535 bytes: error stops the publish, quarantine keeps its row
//	                   in tidemill.quarantine, truncate cuts it on a character, null drops it. All are counted in the receipt. A document
//	                   is never cut: it is dropped. Default: error
//	diststyle, sortkey auto, or key: DISTKEY on the first key column, SORTKEY on the key. diststyle also even, all. Default: auto
//	query_group        for workload management. Default: tidemill
//	statement_timeout  of every statement. Default: 1h
//
// and the TLS options of PostgreSQL (sslmode, sslrootcert), where the default is verify-full. docs/warehouses/redshift.md says what the
// user and the role must be allowed.
//
// Invariants, cited where they are enforced:
//  1. LOCK tidemill.lock is the first statement of every transaction that writes what others see: of two publishers the second
//     waits, then takes its snapshot, then reads the fence. Nobody reads that table, so no reader waits.
//  2. Parts are copied into temporary tables of this session before that transaction: nothing slow happens while the lock is held,
//     and a transaction that is repeated copies nothing again.
//  3. COPY reads a manifest whose entries are mandatory and name their length, into a table made of this load's schema. What it
//     counted is compared with the manifest, and what is staged with the publish's counts, before any table is touched.
//  4. A transaction is repeated whole, and only after an error that says it has not happened. A COMMIT without an answer is
//     settled by reading the fence.
//  5. An error names table, column, file and remedy; never a value, a parameter or a text of the server that may quote one.
//  6. Everything is one statement at a time. Values are parameters where Redshift takes them and literals of quote.go elsewhere.
//  7. Columns are only widened, outside of transactions and before the load that needs it; texts are measured in bytes.
//  8. Every statement is in the golden files of this package, which rslint and sqlfluff judge.
package redshift
