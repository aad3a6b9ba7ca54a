// Package sim runs simulated processes one at a time, driven by one seed. It is for tests only; no production code may import it.
//
// A World lives in a bubble of testing/synctest. Code under test keeps its goroutines: every call of its environment (append,
// fetch, publish, a look at the claims) parks in Process.Call or waits in a lane of Process.Post. When every goroutine of the
// bubble is blocked, the World chooses by its seed which one call goes on, and what becomes of it.
//
// Invariants, cited where they are enforced:
//  1. Between two choices at most one call goes on, so what happens depends on the seed alone: a seed replays exactly.
//  2. A lane delivers in the order of the posts, one in flight; after one has failed none follows.
//  3. A crashed process has no further effect, but for what it had in flight: the network may deliver that later.
//  4. Every fault counts. A World that is allowed n faults behaves like the unlimited one up to the n-th: that is what a failing
//     seed is made shorter by.
package sim
