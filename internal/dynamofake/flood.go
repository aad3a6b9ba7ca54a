package dynamofake

import (
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/zeebo/xxh3"
)

// Flood is a mass of records that are made when they are read, so that a bench can read more of them than fit memory.
type Flood struct {
	Records int64         // over all shards
	Step    time.Duration // between the creation times of two records; the last one is created now
	// Key and Image append the i-th record's Keys and NewImage as DynamoDB JSON ({"id":{"S":"a"}}). They are called
	// again for a record that is read again, and must then give the same.
	Key, Image func(b []byte, i int64) []byte
}

// flood is a shard's part of one: the records first to first+count-1, sequence numbers ascending from base.
type flood struct {
	Flood
	first, count int64
	base         sequence
	begin        time.Time
	stream       *stream
}

// Flood puts INSERT records into the table's newest stream without storing an item. Each open shard is closed; behind it
// comes one that holds its part of the flood, closed as well, and behind that an open one.
func (s *Server) Flood(table string, f Flood) error {
	if f.Records <= 0 || f.Key == nil || f.Image == nil {
		return errors.New("a flood needs a number of records, keys and images")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.current(table)
	if err != nil {
		return err
	}
	now := s.now()
	if !st.enabled(now) {
		return fmt.Errorf("the stream of table %s is not enabled", table)
	}
	open := append([]*shard(nil), st.openShards()...)
	for i, sh := range open {
		part := &flood{Flood: f, stream: st, begin: now.Add(-time.Duration(f.Records) * f.Step)}
		part.first = f.Records * int64(i) / int64(len(open))
		part.count = f.Records*int64(i+1)/int64(len(open)) - part.first
		st.split(sh, 1, now)
		mass := st.shards[len(st.shards)-1]
		part.base = mass.lineage.next.add(1)
		mass.lineage.next = mass.lineage.next.add(uint64(part.count))
		mass.flood = part
		st.split(mass, 1, now)
	}
	return nil
}

// index is the number of the first record at or behind a place.
func (f *flood) index(at sequence) int64 {
	return int64(sort.Search(int(f.count), func(i int) bool { return !f.base.add(uint64(i)).less(at) }))
}

// page makes the records from a place on.
func (f *flood) page(at sequence, limit, maxBytes int) []record {
	var out []record
	bytes := 0
	for i := f.index(at); i < f.count && len(out) < limit; i++ {
		r := f.record(i)
		bytes += r.size
		if bytes > maxBytes && len(out) > 0 {
			break
		}
		out = append(out, r)
	}
	return out
}

func (f *flood) record(i int64) record {
	r := record{seq: f.base.add(uint64(i)), at: f.created(i)}
	seq := r.seq.String()
	b := make([]byte, 0, 1024)
	b = f.stream.head(b, seq, "INSERT", r.at)
	b = f.Key(b, f.first+i)
	b = append(b, `,"NewImage":`...)
	from := len(b)
	b = f.Image(b, f.first+i)
	r.size = len(b) - from
	r.json = f.stream.tail(b, seq, r.size, nobody)
	return r
}

func (f *flood) created(i int64) time.Time { return f.begin.Add(time.Duration(f.first+i+1) * f.Step) }

// head writes a record up to its Keys.
func (st *stream) head(b []byte, seq, event string, at time.Time) []byte {
	b = append(b, `{"eventID":"`...)
	sum := xxh3.HashString128Seed(seq, st.seed).Bytes()
	for _, c := range sum {
		b = append(b, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
	}
	b = append(b, `","eventName":"`...)
	b = append(b, event...)
	b = append(b, `","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"`...)
	b = append(b, st.region...)
	b = append(b, `","dynamodb":{"ApproximateCreationDateTime":`...)
	b = append(b, itoa(int(at.Unix()))...) // whole seconds (AWS)
	return append(b, `,"Keys":`...)
}

// tail writes a record from behind its images.
func (st *stream) tail(b []byte, seq string, size int, by identity) []byte {
	b = append(b, `,"SequenceNumber":"`...)
	b = append(b, seq...)
	b = append(b, `","SizeBytes":`...)
	b = append(b, itoa(size)...)
	b = append(b, `,"StreamViewType":"`...)
	b = append(b, st.view...)
	b = append(b, `"}`...)
	if by != nobody {
		b = append(b, `,"userIdentity":{"PrincipalId":"`+by.principal+`","Type":"`+by.kind+`"}`...)
	}
	return append(b, '}')
}
