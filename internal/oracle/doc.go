// Package oracle proves what was published. It replays each source's change log from its birth with a decoder that is not
// ours (go-mysql's), stops at exactly the cut of a receipt, evaluates the views in an engine that is not the one under test
// (PostgreSQL), and compares with what the receipts' manifests published, read by a Parquet library that did not write them.
//
// Invariants:
//  1. Nothing here imports the decoder, the window stage or the writers that it checks; values are compared as canonical text.
//  2. Every receipt is checked, in order, not only the last (facts: a wrong window that the next one mends is still wrong).
//  3. Parts are folded as a list: two operations on one key in a window, an upsert of an equal row or a delete of an absent
//     key are failures of their own, not hidden by the map (O5; for views).
package oracle
