// Package ingest is the vocabulary of tidemill's log and its first half: it stamps what a Source emits with windows, seals
// windows, appends batches to the log and checkpoints positions (DESIGN §3).
//
// Invariants, cited where they are enforced:
//  1. The source decides a row's window once; the decision is in the log (batch headers and seals) and every replay
//     follows it: after a takeover no new decision is made before everything durable has been re-read.
//  2. A group is never split across windows or slices.
//  3. Per (topic, partition) seqs are contiguous from 1, over all epochs.
//  4. A seal goes to every partition of every topic of the source, and only after every batch of its slice.
//  5. A checkpoint is written only after every record it covers has been acknowledged, and only at a group's end.
//  6. An owner that sees a higher epoch stops; what it may still append is void for readers (its epoch is lower).
//  7. Silence seals nothing: only a group past the window's end, a proof of idleness, or the slice limit does.
//  8. A table that is loaded anew begins a generation: at a seal, in a registry version of its own, and only when a
//     checkpoint says so that every later owner goes by. Loads are counted in a generation. A table whose content was exchanged
//     is parked from the group on that did it, and every checkpoint behind that group has the wish until it is carried out.
//  9. A log is known by the ids of its cluster and topics, which the checkpoint names: in another one of the same name
//     nothing is written.
//  10. What a source of several logs decided about their order is in a checkpoint, seen by every later owner, before a row
//     that depends on it is in the log (Settle, ADR 0010).
package ingest
