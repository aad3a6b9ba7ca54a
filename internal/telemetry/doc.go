// Package telemetry sets up traces, metrics and logs of the process, and holds the closed list of their names.
//
// Invariants, cited where they are enforced:
//  1. Nothing leaves the process unless a standard OTEL_ variable asks for it. Prometheus is pulled, never pushed.
//  2. Every metric, span and attribute key has its name in names.go; a test reads the tree and finds the others.
//  3. Values of attributes are counts, times, names and positions: never a row value, a secret or an SQL parameter.
package telemetry
