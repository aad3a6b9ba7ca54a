// Package rslint reads SQL as Amazon Redshift reads it and says what Redshift would not run, or would run otherwise than
// PostgreSQL does. `tidemill check` runs it over what people write for a redshift warehouse; the tests of sinks/redshift
// run it over every statement that tidemill sends. There is no Redshift on a laptop or in CI: this is its strict stand-in
// for syntax. It knows no catalogue: names, types of columns and grants are the server's to judge.
//
// It is one tokenizer, one recursive-descent parser and a table of rules. The grammar is that of the Database Developer
// Guide; what the guide does not list is refused, so a refusal of something that works is a fault of this package to
// be mended with a line in its tables.
//
// Invariants, cited where they are enforced:
//  1. Check never panics and always ends, whatever the bytes: every loop takes a token, and nesting is bounded.
//  2. A finding names a rule, a place, what, why and the remedy. It quotes words of the grammar and names, never the
//     content of a literal.
//  3. After a syntax error the rest of that statement is not judged; the next statement is.
package rslint
