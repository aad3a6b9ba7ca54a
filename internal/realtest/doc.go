// Package realtest gives a test a real server of its own, or skips the test loudly.
//
//	db := realtest.Open(t, realtest.MariaDB(t), "")
//
// Invariants:
//
//  1. A server is private to the test that asked for it and gone when the test ends. The one exception says so in its
//     name: SharedKafka.
//  2. A missing component skips the test with the component's name and the command that brings it; with
//     TIDEMILL_REQUIRE=all, as in CI, it fails the test: a green run there means that everything ran.
//  3. A failed test shows the end of its servers' logs.
package realtest
