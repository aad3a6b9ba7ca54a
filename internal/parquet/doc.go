// Package parquet writes and reads the Parquet files of the lake. arrow-go writes and reads; parquet-go, the other
// library, checks.
//
// Invariants, cited where they are enforced:
//  1. Every file loads into Redshift whatever the warehouse is: data page V1, only PLAIN, RLE and dictionary encodings,
//     zstd, timestamps in microseconds, decimals as fixed-length bytes of minimal length, annotated strings, columns in
//     table order.
//  2. The same rows in the same order give the same bytes, however they were cut into batches.
//  3. A file's hash is of the bytes that were written, taken while they were written; a file is complete only when Close
//     has returned it.
//  4. Every value that a Checker passes is one that every warehouse holds as it is, but for U+0000 in texts, which the
//     writer leaves out and counts. What does not pass is not for a table: whoever writes for one asks the Checker first.
package parquet
