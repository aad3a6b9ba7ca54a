// Package pqcheck reads a Parquet file as Redshift's COPY would and says what it would refuse, or read otherwise, without
// knowing what the file should hold. It reads the footer and the header of every page, and every text. It shares no code
// with what writes our files (arrow-go): it stands on parquet-go's structures.
//
// The profile is what is known to load (each rule says why): data pages of version 1; PLAIN, RLE and dictionary encodings;
// SNAPPY, ZSTD, GZIP or no compression; microseconds; decimals as fixed-length bytes of the least length; annotated texts;
// no TIME, INT96, unsigned or nested columns.
//
// Invariants, cited where they are enforced:
//  1. Every page of every column is looked at: a footer may say what it likes.
//  2. Nothing is sent or printed of the values: a finding names column, row group and rule.
//  3. Whatever the bytes are, Read returns: offsets and lengths are compared with the file before they are used.
package pqcheck
