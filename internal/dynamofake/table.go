package dynamofake

import (
	"container/heap"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/zeebo/xxh3"
)

// keyAttribute is a part of the primary key.
type keyAttribute struct {
	name string
	role string // HASH or RANGE
	kind kind
}

const partitions = 4096 // of the hash space; keeps the sorted slices short

// table is one table. Rows are in scan order: by hash of the partition key, then by key.
type table struct {
	name, arn, id string
	created       time.Time
	settled       time.Time // CREATING or UPDATING before this
	updating      bool      // it was changed since it was made
	deleted       bool      // DELETING until settled
	keys          []keyAttribute
	billing       string
	throughput    map[string]any
	protected     bool
	rows          [partitions][]*row
	stale         *[partitions][]*row // what an eventually consistent Scan shows, if not rows
	count         int
	bytes         int
	stream        *stream // the newest one, enabled or not
	ttl           timeToLive
	recovery      time.Time // point-in-time recovery is on since; zero is off
	journal       []change  // since then
	seed          uint64
}

// row is an item in its table. A write replaces the row, so that a reader may keep it.
type row struct {
	hash uint64
	key  string
	item item
	size int
}

// change is one write of one item. A nil row is none.
type change struct {
	at       time.Time
	key      string
	old, new *row
}

// key takes the primary key out of an item and checks it.
func (t *table) key(it item, exact bool) (uint64, string, *apiError) {
	if exact && len(it) != len(t.keys) {
		return 0, "", validation("The provided key element does not match the schema")
	}
	var b []byte
	var hash uint64
	for _, k := range t.keys {
		v, ok := it.get(k.name)
		if err := k.check(v, ok, exact); err != nil {
			return 0, "", err
		}
		text := v.text
		if v.kind == kindN {
			d, _ := parseNumber(text)
			text = d.orderKey()
		}
		if k.role == "HASH" {
			hash = xxh3.HashStringSeed(string(v.kind)+text, t.seed)
			b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		}
		b = append(b, text...)
	}
	return hash, string(b), nil
}

func (k keyAttribute) check(v value, there, exact bool) *apiError {
	switch {
	case !there && exact:
		return validation("The provided key element does not match the schema")
	case !there:
		return validation("One or more parameter values were invalid: Missing the key %s in the item", k.name)
	case v.kind != k.kind && exact:
		return validation("The provided key element does not match the schema")
	case v.kind != k.kind:
		return validation("One or more parameter values were invalid: Type mismatch for key %s expected: %s actual: %s", k.name, k.kind, v.kind)
	case v.kind != kindN && v.text == "":
		return validation("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", map[kind]string{kindS: "string", kindB: "binary"}[v.kind], k.name)
	case k.role == "HASH" && len(v.text) > 2048:
		return validation("One or more parameter values were invalid: Size of hashkey has exceeded the maximum size limit of2048 bytes")
	case k.role == "RANGE" && len(v.text) > 1024:
		return validation("One or more parameter values were invalid: Aggregated size of all range keys has exceeded the size limit of 1024 bytes")
	}
	return nil
}

// keyOf is the item's primary key as an item.
func (t *table) keyOf(it item) item {
	out := make(item, 0, len(t.keys))
	for _, a := range it {
		if slices.ContainsFunc(t.keys, func(k keyAttribute) bool { return k.name == a.name }) {
			out = append(out, a)
		}
	}
	return out
}

func partitionOf(hash uint64) int { return int(hash >> 52) }

func compareRow(r *row, at *row) int {
	switch {
	case r.hash < at.hash:
		return -1
	case r.hash > at.hash:
		return 1
	}
	return strings.Compare(r.key, at.key)
}

func (t *table) find(hash uint64, key string) (int, *row) {
	rows := t.rows[partitionOf(hash)]
	i, ok := slices.BinarySearchFunc(rows, &row{hash: hash, key: key}, compareRow)
	if ok {
		return i, rows[i]
	}
	return i, nil
}

const maxItem = 400 << 10

// write puts an item, or deletes it when it is nil, and records what changed. The lock is held, the key is checked.
func (s *Server) write(t *table, now time.Time, hash uint64, key string, it item, by identity) *apiError {
	i, old := t.find(hash, key)
	if it == nil && old == nil || it != nil && old != nil && it.equal(old.item) {
		return nil // nothing changes: no record (AWS)
	}
	var fresh *row
	if it != nil {
		fresh = &row{hash: hash, key: key, item: it, size: it.size()}
		if fresh.size > maxItem {
			return validation("Item size has exceeded the maximum allowed size")
		}
	}
	t.replace(i, hash, old, fresh)
	if fresh != nil {
		t.ttl.note(fresh, now, s.opts.TTLDelay)
	}
	if !t.recovery.IsZero() {
		t.journal = append(t.journal, change{at: now, key: key, old: old, new: fresh})
	}
	if t.stream != nil && t.stream.enabled(now) {
		t.stream.append(now, hash, old, fresh, by)
	}
	return nil
}

func (t *table) replace(i int, hash uint64, old, fresh *row) {
	p := &t.rows[partitionOf(hash)]
	switch {
	case old == nil:
		*p = slices.Insert(*p, i, fresh)
		t.count++
		t.bytes += fresh.size
	case fresh == nil:
		*p = slices.Delete(*p, i, i+1)
		t.count--
		t.bytes -= old.size
	default:
		(*p)[i] = fresh
		t.bytes += fresh.size - old.size
	}
}

// timeToLive deletes expired items in the order of their expiry.
type timeToLive struct {
	attribute string
	queue     expiries
}

type expiry struct {
	due time.Time
	row *row
}

type expiries []expiry

func (q expiries) Len() int           { return len(q) }
func (q expiries) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q expiries) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *expiries) Push(x any)        { *q = append(*q, x.(expiry)) }
func (q *expiries) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

// note queues an item that has an expiry. One that is replaced stays queued and is passed over when it falls due. An
// expiry more than five years back is left alone (AWS).
func (l *timeToLive) note(r *row, now time.Time, delay time.Duration) {
	at, ok := l.expiry(r.item)
	if !ok || now.Sub(at) > fiveYears {
		return
	}
	due := at.Add(delay)
	if due.Before(now) {
		due = now
	}
	heap.Push(&l.queue, expiry{due, r})
}

func (l *timeToLive) expiry(it item) (time.Time, bool) {
	if l.attribute == "" {
		return time.Time{}, false
	}
	v, ok := it.get(l.attribute)
	if !ok || v.kind != kindN {
		return time.Time{}, false // another type is no expiry (AWS)
	}
	whole, _, _ := strings.Cut(v.text, ".")
	n, ok := smallSeconds(whole)
	return time.Unix(n, 0).UTC(), ok
}

const fiveYears = 5 * 365 * 24 * time.Hour

// settleTable finishes what the table is about to become and deletes what has expired.
func (s *Server) settleTable(t *table, now time.Time) {
	if t.deleted && !now.Before(t.settled) {
		delete(s.tables, t.name)
		return
	}
	for len(t.ttl.queue) > 0 {
		next := t.ttl.queue[0]
		if next.due.After(now) {
			return
		}
		heap.Pop(&t.ttl.queue)
		if _, current := t.find(next.row.hash, next.row.key); current != next.row {
			continue // replaced since
		}
		if t.stream != nil {
			t.stream.settle(next.due)
		}
		_ = s.write(t, next.due, next.row.hash, next.row.key, nil, ttlService) // a delete is never too large
	}
}
