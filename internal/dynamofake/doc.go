// Package dynamofake is a scripted stand-in for DynamoDB and DynamoDB Streams: an HTTP server on 127.0.0.1 that speaks
// AWS JSON 1.0 well enough for the unchanged AWS SDK, with a clock and faults that a test moves at will. Tests of the
// DynamoDB source and the demo use it; it can do what no emulator does: split and rotate shards, trim, expire
// iterators, throttle, list a child before its parent is closed.
//
//	clock := dynamofake.NewClock(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
//	srv, err := dynamofake.Start(dynamofake.Options{Clock: clock.Now})
//	defer srv.Close()
//	client := dynamodb.New(dynamodb.Options{BaseEndpoint: aws.String(srv.Endpoint()), Region: srv.Region(), Credentials: ...})
//
// Invariants:
//
//  1. What it is not sure of, it refuses by name (NotImplemented) rather than guess; README.md lists every known
//     difference from AWS.
//  2. Time is the clock's. Nothing happens between requests: each request first settles what has fallen due (rotation,
//     trimming, TTL, exports) in the order of its due times, so a stepped clock and a running one see the same.
//  3. One item's records are in one shard lineage, and in the order of its writes; sequence numbers are unique in a
//     stream and say nothing across lineages.
//  4. A stored item and a written record are never changed, so that answers are encoded without holding the lock.
//  5. All chance comes from the seed.
package dynamofake
