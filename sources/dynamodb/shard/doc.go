// Package shard is the state machine of a stream's shards: what is read, from where, and what comes next. It does no I/O and
// reads no clock.
//
//	events:  Begin, Listed, Children, Advance, Ended, Trimmed
//	effects: Open (read this shard from here), Discover (ask for its children), Lost (records are gone that nobody has read)
//
// Invariants, each with a test named after the bug it prevents:
//
//  1. A child is read only when its parent is finished: what an item's records are in is a line of shards, in this order.
//  2. The start position is for the shards of the first discovery alone. Every later shard is read from its beginning.
//  3. A shard is finished when the server has said that it ends and everything before is emitted; Ended is told no earlier.
//  4. A finished shard is remembered until all its children are finished and it is two days old: the server may list it again.
//  5. A parent that the server does not list and that we do not know is finished. One that we know and have not finished is
//     a loss, when it stays away.
//  6. What the server lists may be behind: a shard that it does not list counts as gone only after several listings.
package shard
