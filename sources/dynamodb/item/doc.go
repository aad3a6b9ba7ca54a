// Package item turns DynamoDB JSON, as the API, the stream and an export write it, into canonical rows: one decoder for
// all three, so that a row is the same bytes whichever way it came.
//
//	Parse ──attributes──> Profile (the lattice) ──> Table (columns)
//	                 └──────────────────────────────> Table.Row ──> ingest.Builder
//
// Invariants, cited where they are enforced:
//
//  1. No number is ever a float: it is digits and an exponent until it is text, an integer or a decimal.
//  2. One value has one text: numbers without leading or trailing zeros, sets sorted, the members of maps sorted.
//  3. Nothing is lost: what a column cannot hold exactly stands in _extra, and so does an explicit NULL, which is no missing
//     attribute, and a value of a kind that is not known yet.
//  4. A Profile only grows. A column never changes its type; what the profile has learned counts for a new generation.
//  5. No value is in an error.
package item
