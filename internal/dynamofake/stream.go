package dynamofake

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/zeebo/xxh3"
)

const (
	retention     = 24 * time.Hour
	iteratorLife  = 15 * time.Minute
	firstHi       = 99   // the first lineage starts just below a power of ten: its numbers soon grow by a digit
	largestStride = 1000 // sequence numbers of one lineage are up to so far apart
)

// identity is who made a change; the zero one is a client.
type identity struct{ principal, kind string }

var (
	nobody     = identity{}
	ttlService = identity{"dynamodb.amazonaws.com", "Service"} //nolint:gochecknoglobals // a constant
)

// stream is one stream of a table: enabled, or disabled and readable until its last record is trimmed.
type stream struct {
	arn, label, table, view, region string
	schema                          []keySchemaElement
	keysOf                          func(item) item
	created                         time.Time
	opens                           time.Time // ENABLING before
	closed, shut                    time.Time // disabled at, DISABLING before
	rotate                          time.Duration
	shards                          []*shard // in order of id
	last                            time.Time
	rng                             *rand.Rand
	seed                            uint64
	roots, highest                  uint64   // lineages begun by roots; highest high part given out
	active                          []*shard // cache of openShards

	openParents  int // DescribeStream calls that still show closed parents as open
	hideChildren int // DescribeStream calls that don't show children yet
	emptyPages   int // GetRecords calls that answer nothing though there is more
}

// lineage is a root shard and its descendants: they share a counter, so that an item's records ascend.
type lineage struct{ next sequence }

// shard is an append-only list of records.
type shard struct {
	id, parent      string
	lineage         *lineage
	lo, hi          uint64 // hashes
	created, closed time.Time
	start, end      sequence
	records         []record
	trimmed         sequence // all records up to here are gone
	dropped         bool     // closed, and all its records trimmed
	flood           *flood   // in place of records
}

// record is one stream record as it goes over the wire.
type record struct {
	seq  sequence
	at   time.Time
	size int
	json []byte
}

func (st *stream) begin(shards int) {
	for i := range shards {
		lo, hi := slice(i, shards)
		st.open("", st.lineage(), lo, hi, st.created)
	}
}

// lineage makes a root's counter. High parts differ by more than a lineage can count, and are in no order.
func (st *stream) lineage() *lineage {
	hi := uint64(firstHi)
	if st.roots > 0 {
		hi = 1000 + st.roots*1_000_003%9973*1000
	}
	st.roots++
	st.highest = max(st.highest, hi)
	return &lineage{sequence{hi, lowBase - 20*largestStride}}
}

// sibling makes the counter of a further child: above its parent's numbers, as above all others.
func (st *stream) sibling() *lineage {
	st.highest += 1000
	return &lineage{sequence{st.highest, 0}}
}

func (l *lineage) take(rng *rand.Rand) sequence {
	l.next = l.next.add(1 + rng.Uint64N(largestStride))
	return l.next
}

// open adds a shard. Ids carry the time of creation, which therefore never repeats: a child sorts behind its parent.
func (st *stream) open(parent string, l *lineage, lo, hi uint64, at time.Time) *shard {
	stamp := at.Truncate(time.Millisecond)
	if !stamp.After(st.last) {
		stamp = st.last.Add(time.Millisecond)
	}
	st.last = stamp
	id := fmt.Sprintf("shardId-%020d-%08x", stamp.UnixMilli(), uint32(xxh3.HashStringSeed(stamp.String(), st.seed)))
	sh := &shard{id: id, parent: parent, lineage: l, lo: lo, hi: hi, created: at, start: l.take(st.rng)}
	st.shards, st.active = append(st.shards, sh), nil
	return sh
}

func (st *stream) close(sh *shard, at time.Time) {
	sh.closed, sh.end, st.active = at, sh.lineage.take(st.rng), nil
}

// split closes a shard and divides its hashes among n children; one child is a rotation.
func (st *stream) split(sh *shard, n int, at time.Time) {
	st.close(sh, at)
	width := (sh.hi-sh.lo)/uint64(n) + 1
	for i := range n {
		lo := sh.lo + uint64(i)*width
		hi := lo + width - 1
		if i == n-1 {
			hi = sh.hi
		}
		l := sh.lineage
		if i > 0 {
			l = st.sibling()
		}
		st.open(sh.id, l, lo, hi, at)
	}
}

func (st *stream) shard(id string) *shard {
	i := sort.Search(len(st.shards), func(i int) bool { return st.shards[i].id >= id })
	if i < len(st.shards) && st.shards[i].id == id {
		return st.shards[i]
	}
	return nil
}

// openShards are those that take records, in order of their hashes.
func (st *stream) openShards() []*shard {
	if st.active != nil {
		return st.active
	}
	var out []*shard
	for _, sh := range st.shards {
		if sh.closed.IsZero() {
			out = append(out, sh)
		}
	}
	slices.SortFunc(out, func(a, b *shard) int {
		if a.lo < b.lo {
			return -1
		}
		return 1
	})
	st.active = out
	return out
}

func (st *stream) enabled(now time.Time) bool { return st.closed.IsZero() && !now.Before(st.opens) }

// expired says that the stream is gone: disabled more than the retention ago.
func (st *stream) expired(now time.Time) bool {
	return !st.closed.IsZero() && now.Sub(st.closed) >= retention
}

func (st *stream) status(now time.Time) string {
	switch {
	case !st.closed.IsZero() && now.Before(st.shut):
		return "DISABLING"
	case !st.closed.IsZero():
		return "DISABLED"
	case now.Before(st.opens):
		return "ENABLING"
	}
	return "ENABLED"
}

func (st *stream) disable(now, shut time.Time) {
	if !st.closed.IsZero() {
		return
	}
	st.closed, st.shut = now, shut
	for _, sh := range st.openShards() {
		st.close(sh, now)
	}
}

// settle rotates and trims what is due by now, in the order of due times.
func (st *stream) settle(now time.Time) {
	if st.rotate > 0 && st.closed.IsZero() {
		st.rotateDue(now)
	}
	for _, sh := range st.shards {
		if sh.dropped {
			continue
		}
		sh.trim(now.Add(-retention))
	}
}

func (st *stream) rotateDue(now time.Time) {
	for i := 0; i < len(st.shards); i++ { //nolint:intrange // grows: children are appended and get their turn
		sh := st.shards[i]
		if due := sh.created.Add(st.rotate); sh.closed.IsZero() && !due.After(now) {
			st.split(sh, 1, due)
		}
	}
}

// trim lets go of the records that are older than the horizon, and of a closed shard that is.
func (sh *shard) trim(horizon time.Time) {
	n := sort.Search(len(sh.records), func(i int) bool { return sh.records[i].at.After(horizon) })
	sh.drop(n)
	if !sh.closed.IsZero() && !sh.closed.After(horizon) && len(sh.records) == 0 {
		sh.dropped = true
	}
}

// drop trims the n oldest records.
func (sh *shard) drop(n int) {
	if n == 0 {
		return
	}
	sh.trimmed = sh.records[n-1].seq
	clear(sh.records[:n]) // answers in progress have copies
	sh.records = sh.records[n:]
}

// append records a change in the shard that its item hashes to.
func (st *stream) append(now time.Time, hash uint64, old, fresh *row, by identity) {
	sh := st.route(hash)
	rec := record{seq: sh.lineage.take(st.rng), at: now}
	rec.json, rec.size = st.encode(rec, old, fresh, by)
	sh.records = append(sh.records, rec)
}

func (st *stream) route(hash uint64) *shard {
	open := st.openShards()
	i := sort.Search(len(open), func(i int) bool { return open[i].hi >= hash })
	return open[i]
}

// encode writes a record as GetRecords returns it.
func (st *stream) encode(rec record, old, fresh *row, by identity) (b []byte, size int) {
	name, shown := "MODIFY", fresh
	switch {
	case old == nil:
		name = "INSERT"
	case fresh == nil:
		name, shown = "REMOVE", old
	}
	e := encoder{st.rng}
	keys := st.keysOf(shown.item)
	size = keys.size()
	seq := rec.seq.String()
	b = st.head(make([]byte, 0, 320+3*shown.size), seq, name, rec.at)
	b = e.item(b, keys)
	if fresh != nil && (st.view == "NEW_IMAGE" || st.view == "NEW_AND_OLD_IMAGES") {
		b = e.item(append(b, `,"NewImage":`...), fresh.item)
		size += fresh.size
	}
	if old != nil && (st.view == "OLD_IMAGE" || st.view == "NEW_AND_OLD_IMAGES") {
		b = e.item(append(b, `,"OldImage":`...), old.item)
		size += old.size
	}
	return st.tail(b, seq, size, by), size
}

// streamOf finds a stream that can still be read.
func (s *Server) streamOf(c *call, arn string) (*stream, *apiError) {
	if !strings.Contains(arn, "/stream/") {
		return nil, validation("Invalid StreamArn: %s", arn)
	}
	for _, st := range s.streams {
		if st.arn == arn && !st.expired(c.now) {
			return st, nil
		}
	}
	return nil, notFound("Requested resource not found: Stream: %s not found", arn)
}
