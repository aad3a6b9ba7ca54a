// Package e2e drives the real binary against real databases, brokers, stores and warehouses, and lets internal/oracle judge
// every window it published. It has tests only.
//
// Invariants of the harness:
//  1. The daemon is the one users run: built by TestMain with -race and the failpoints, started as a process, killed with SIGKILL.
//  2. Every receipt is checked against the sources replayed to its cut; at the end the warehouse itself is read and compared.
//  3. Whatever the daemon printed, traced or counted is searched for the planted canary when a test ends.
package e2e
