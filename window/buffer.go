package window

import (
	"cmp"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidemill/tidemill/ingest"
)

// buffer accumulates the batches of open slices, as Arrow in memory, and past its budget in local runs. It is used under
// the pipeline's lock.
type buffer struct {
	held    map[bucketKey]*bucket
	bytes   int64 // in memory
	spilled int64 // in runs
}

// bucketKey: rows of one table's slice with one schema. A schema may change in the middle of a slice, inside a group; turn
// counts the changes in the partition that the rows came from. A key's rows are all in one partition, so buckets in order of
// slice and turn hold them in order.
type bucketKey struct {
	topic string
	id    sliceID
	turn  int
	print uint64
}

type bucket struct {
	key     bucketKey
	schema  *ingest.Schema
	batches []rowBatch
	runs    []spillRun
	bytes   int64 // of batches
	rows    int64
	links   []trace.SpanContext // source batches it came from, at most maxLinks
}

// rowBatch is a batch of the log: row i has the seq first+i in its partition.
type rowBatch struct {
	partition int
	first     int64
	record    arrow.RecordBatch
	bytes     int64
}

// spillRun is a local file of rows.
type spillRun struct {
	path  string
	bytes int64
}

// maxLinks bounds the links of a span: enough to find the sources of a slow window, few enough for any trace store.
const maxLinks = 128

func newBuffer() *buffer { return &buffer{held: map[bucketKey]*bucket{}} }

// add takes over the reference to b.record.
func (u *buffer) add(key bucketKey, schema *ingest.Schema, b rowBatch, link trace.SpanContext) {
	k := u.held[key]
	if k == nil {
		k = &bucket{key: key, schema: schema}
		u.held[key] = k
	}
	k.batches = append(k.batches, b)
	k.bytes += b.bytes
	k.rows += b.record.NumRows()
	u.bytes += b.bytes
	if link.IsValid() && len(k.links) < maxLinks {
		k.links = append(k.links, link)
	}
}

// largest is the bucket that holds most memory, nil when none holds any. Ties are broken by name, for tests.
func (u *buffer) largest() *bucket {
	var out *bucket
	for _, b := range u.held {
		if b.bytes > 0 && (out == nil || b.bytes > out.bytes || b.bytes == out.bytes && b.key.compare(out.key) < 0) {
			out = b
		}
	}
	return out
}

// moved notes that the batches of b now lie in a run.
func (u *buffer) moved(b *bucket, run spillRun) {
	u.bytes -= b.bytes
	u.spilled += run.bytes
	b.runs = append(b.runs, run)
	b.release()
}

// take removes and returns the buckets of a topic up to a slice, in order.
func (u *buffer) take(topic string, upTo sliceID) []*bucket {
	var out []*bucket
	for key, b := range u.held {
		if key.topic == topic && key.id.compare(upTo) <= 0 {
			out = append(out, b)
			delete(u.held, key)
		}
	}
	slices.SortFunc(out, func(a, b *bucket) int { return a.key.compare(b.key) })
	return out
}

// done frees what taken buckets held and returns the files to remove.
func (u *buffer) done(taken []*bucket) []string {
	var files []string
	for _, b := range taken {
		u.bytes -= b.bytes
		b.release()
		for _, r := range b.runs {
			u.spilled -= r.bytes
			files = append(files, r.path)
		}
		b.runs = nil
	}
	return files
}

// release drops the batches.
func (b *bucket) release() {
	for _, r := range b.batches {
		r.record.Release()
	}
	b.batches, b.bytes = nil, 0
}

// all empties the buffer.
func (u *buffer) all() []*bucket {
	var out []*bucket
	for key, b := range u.held {
		out = append(out, b)
		delete(u.held, key)
	}
	return out
}

func (k bucketKey) compare(l bucketKey) int {
	return cmp.Or(cmp.Compare(k.topic, l.topic), k.id.compare(l.id), cmp.Compare(k.turn, l.turn), cmp.Compare(k.print, l.print))
}
