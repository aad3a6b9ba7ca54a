// Package sources is the Set of source kinds: a kind's name, its configuration and its constructor. It knows no connector;
// sources/all is the one list of them.
//
// Invariants:
//
//  1. A Set is a value built in one place. Nothing registers itself.
//  2. Making a source does no I/O: its configuration is decoded strictly, checked, and that is all.
package sources
