// Package arch holds the house tests: import direction, package docs, size ceilings, listed connectors. It has no code.
//
// The rules are those of docs/design.md; an exception is an entry with its reason in this package's tests.
package arch
