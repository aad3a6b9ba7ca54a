// Package cases makes random cases for the property tests: tables of every kind in two sources, views over them, a history of
// changes. It says in plain Go what tables and views must hold after any part of the history, writes a case as SQL, and makes
// a case that fails smaller. It is for tests only.
//
// A case is data. The same case runs through the core without servers (window) and through the real line (internal/e2e), and
// a failing one is printed whole: as JSON, which runs again, and as SQL, which people read.
//
// Invariants, cited where they are enforced:
//  1. Nothing of the engine under test is imported, nor anything that it is made of: what a view means is written down twice.
//  2. A seed is a case, for ever the same.
//  3. Every generated view is of the admitted class, in the words that DuckDB and PostgreSQL share: one that is refused is a
//     failure.
//  4. What Shrink returns fails as the case that it was given did, and no single step of it makes it smaller.
package cases
