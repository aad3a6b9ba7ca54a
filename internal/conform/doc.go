// Package conform holds the suites that every implementation of a contract must pass: conform.Store for window.Store,
// conform.Sink for window.Sink. A connector's own test is one call and its faults.
package conform
