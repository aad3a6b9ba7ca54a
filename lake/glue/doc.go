// Package glue registers the lake's tables and windows in an AWS Glue Data Catalog, so that Athena, Redshift Spectrum and EMR can query
// every window's Parquet where it lies.
//
// A table of the catalog is the change log of a warehouse table: the rows of every publish with their operation (_op: 1 upsert,
// 2 delete), one partition a publish (window, slice). Its name is the warehouse table's with two underscores: mart__visits.
//
// The identity needs glue:GetDatabase, glue:CreateDatabase, glue:GetTable, glue:CreateTable, glue:UpdateTable and
// glue:BatchCreatePartition on the catalog, the database and its tables.
//
// Invariants, cited where they are enforced:
//
//  1. A partition is registered after its publish is committed: its parts are durable then, and it is never an attempt's.
//  2. Registering again changes nothing: what is there already is no error.
//  3. The table says how far it is registered only after its partitions are.
package glue
