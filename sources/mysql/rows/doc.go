// Package rows is the row codec of the MySQL and MariaDB source: it decodes the rows of binlog events and the rows of
// text-protocol result sets straight into Arrow builders. It is pure: no connection, no goroutine, no clock.
//
// A Catalogue (what information_schema says) gives a table's first Schema and the TextPlan that reads it in snapshots. A
// table map event gives the Plan that decodes the rows events after it. Both bind a column to one decoder; the schema
// that both derive is the same (invariant 1), and so is every value (invariant 2).
//
// Invariants, cited where they are enforced:
//
//  1. One table has one Schema.Fingerprint, whether it was derived from the catalogue or from a table map.
//  2. A row read as text and the same row read from the binlog append the same bytes, the same key and the same hash.
//  3. A table map decides, the catalogue only hints: a hint is taken for a column of the same name that looks the same on
//     the wire, so that a catalogue read before or after an ALTER can never misread a row.
//  4. A row that cannot be decoded leaves no trace in a builder.
//  5. No error holds a row value; errors name table, column and type.
//  6. No input makes the package panic or loop: every length is checked before it is used.
//  7. Only full row images are decoded. Anything less is an *ImageError.
//  8. A value that has no canonical form (a zero date, bytes that are no text) becomes NULL or U+FFFD and is counted in
//     Invalid; in a key column it is an error, since two rows would meet in one key.
package rows
