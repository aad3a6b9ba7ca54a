// Package kafka is what tidemill needs of a Kafka cluster, and the broker it embeds when there is none (DESIGN §3, §6).
//
// Invariants, cited where they are enforced:
//  1. A claim's epoch is its offset in the claims topic plus one: unique, ordered, never 0.
//  2. A revoked unit has returned before its partition is given away.
//  3. A trim leaves the last record of every partition: the embedded broker would otherwise forget, at a kill, how far
//     the partition's offsets had come.
//  4. The embedded broker's own compaction is off, because it deletes before it rewrites: Squeeze does the same by
//     appending first and trimming afterwards.
//  5. The embedded broker listens on loopback only, and one process at a time may open its folder.
//  6. After a record has failed, the Appender sends no later one of its partition: seqs never have a hole.
package kafka
