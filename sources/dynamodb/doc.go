// Package dynamodb reads one DynamoDB table, by its stream and a first load, as an ingest.Source. ADR 0010 is its design.
//
//	readers ──pages──> stream (rounds: plan, settle, emit) ──> ingest.Emitter
//	lister ──shards──┘   └─ between rounds: windows that are complete, chunks of the first load
//	loader ──chunks──┘
//
// The stream's goroutine owns the tree of shards, the order of everything and the emitter. Readers and the loader only ask
// the server; what they bring waits in memory until the stream takes it.
//
// Invariants, cited where they are enforced:
//
//  1. What is emitted is a function of the log and of what was settled: a round is planned (which records of which shards, in
//     which order), settled, and only then emitted. Who resumes emits the planned round first, read again from the server.
//  2. Records of one item follow each other as the server wrote them: a shard in its order, a child after its parent is
//     finished, and that only when everything in the parent is emitted.
//  3. A window is complete when every open shard has come to its end, by a record or by empty pages behind it and a grace, and
//     the list of shards is younger (rule 7c). What was written behind the end waits until then.
//  4. A chunk of the first load is emitted without the keys that the stream has brought since it was asked for. The load is
//     done when the stream has come to where its last page was read.
//  5. Records that are gone, a stream that was off, a table that was made anew: said loudly, never skipped.
//  6. No item, key or attribute value is in an error, a log line, a metric or a status.
//  7. A comparison shows each item as it is at some moment, by consistent reads, and counts from a cut on that is complete to
//     where its last page was read and a grace: what was written meanwhile is in the log.
package dynamodb
