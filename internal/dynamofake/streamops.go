package dynamofake

import (
	"encoding/base64"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

type listStreamsInput struct {
	TableName               string `json:"TableName"`
	ExclusiveStartStreamArn string `json:"ExclusiveStartStreamArn"`
	Limit                   *int   `json:"Limit"`
}

func (s *Server) listStreams(c *call, in *listStreamsInput) (answer, *apiError) {
	limit, err := pageLimit(in.Limit, 100)
	if err != nil {
		return nil, err
	}
	streams, last := []map[string]any{}, ""
	started := in.ExclusiveStartStreamArn == ""
	for _, st := range s.streams {
		if !started {
			started = st.arn == in.ExclusiveStartStreamArn
			continue
		}
		if in.TableName != "" && st.table != in.TableName || st.expired(c.now) {
			continue
		}
		if len(streams) == limit {
			last, _ = streams[limit-1]["StreamArn"].(string)
			break
		}
		streams = append(streams, map[string]any{"StreamArn": st.arn, "StreamLabel": st.label, "TableName": st.table})
	}
	out := map[string]any{"Streams": streams}
	if last != "" {
		out["LastEvaluatedStreamArn"] = last
	}
	return reply(out)
}

func pageLimit(asked *int, most int) (int, *apiError) {
	if asked == nil {
		return most, nil
	}
	if *asked < 1 {
		return 0, validation("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1", *asked)
	}
	return min(*asked, most), nil
}

type shardFilter struct {
	ShardId string `json:"ShardId"` //nolint:revive // the member's name
	Type    string `json:"Type"`
}

type describeStreamInput struct {
	StreamArn             string       `json:"StreamArn"`
	ExclusiveStartShardId string       `json:"ExclusiveStartShardId"` //nolint:revive // the member's name
	Limit                 *int         `json:"Limit"`
	ShardFilter           *shardFilter `json:"ShardFilter"`
}

func (s *Server) describeStream(c *call, in *describeStreamInput) (answer, *apiError) {
	st, err := s.streamOf(c, in.StreamArn)
	if err != nil {
		return nil, err
	}
	if err := s.admit(c, "describe", s.opts.Limits.DescribeRate, LimitExceeded); err != nil {
		return nil, err
	}
	limit, err := pageLimit(in.Limit, s.opts.Limits.ShardsPerPage)
	if err != nil {
		return nil, err
	}
	visible, err := st.visible(in.ShardFilter)
	if err != nil {
		return nil, err
	}
	from := sort.Search(len(visible), func(i int) bool { return visible[i].id > in.ExclusiveStartShardId })
	visible = visible[from:]
	d := map[string]any{
		"StreamArn": st.arn, "StreamLabel": st.label, "StreamStatus": st.status(c.now), "StreamViewType": st.view,
		"CreationRequestDateTime": seconds(st.created), "TableName": st.table, "KeySchema": st.schema,
	}
	if len(visible) > limit {
		visible = visible[:limit]
		d["LastEvaluatedShardId"] = visible[limit-1].id
	}
	d["Shards"] = st.describe(visible)
	if _, more := d["LastEvaluatedShardId"]; !more {
		st.openParents, st.hideChildren = max(st.openParents-1, 0), max(st.hideChildren-1, 0)
	}
	return reply(map[string]any{"StreamDescription": d})
}

// visible lists the shards that a description may show.
func (st *stream) visible(f *shardFilter) ([]*shard, *apiError) {
	if f != nil && f.Type != "CHILD_SHARDS" {
		return nil, validation("1 validation error detected: Value '%s' at 'shardFilter.type' failed to satisfy constraint: Member must satisfy enum value set: [CHILD_SHARDS]", f.Type)
	}
	if f != nil && f.ShardId == "" {
		return nil, validation("ShardFilter of type CHILD_SHARDS needs a ShardId")
	}
	var out []*shard
	for _, sh := range st.shards {
		if sh.dropped || f != nil && sh.parent != f.ShardId || sh.parent != "" && st.hideChildren > 0 {
			continue
		}
		out = append(out, sh)
	}
	return out, nil
}

func (st *stream) describe(shards []*shard) []map[string]any {
	out := make([]map[string]any, 0, len(shards))
	for _, sh := range shards {
		span := map[string]string{"StartingSequenceNumber": sh.start.String()}
		if !sh.closed.IsZero() && (st.openParents == 0 || !st.hasChild(sh.id)) {
			span["EndingSequenceNumber"] = sh.end.String()
		}
		d := map[string]any{"ShardId": sh.id, "SequenceNumberRange": span}
		if sh.parent != "" {
			d["ParentShardId"] = sh.parent
		}
		out = append(out, d)
	}
	return out
}

func (st *stream) hasChild(id string) bool {
	return slices.ContainsFunc(st.shards, func(sh *shard) bool { return sh.parent == id })
}

// place is where an iterator stands: before the first record whose number is not below at. It holds everything, the
// server keeps no iterators.
type place struct {
	arn, shard string
	at         sequence
	issued     time.Time
	generation uint64
}

func (p place) String() string {
	inner := fmt.Sprintf("%s %d %d %d %d", p.shard, p.at.hi, p.at.lo, p.issued.UnixNano(), p.generation)
	return p.arn + "|1|" + base64.StdEncoding.EncodeToString([]byte(inner))
}

func parseIterator(text string) (place, bool) {
	parts := strings.Split(text, "|")
	if len(parts) != 3 || parts[1] != "1" {
		return place{}, false
	}
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	f := strings.Fields(string(raw))
	if err != nil || len(f) != 5 {
		return place{}, false
	}
	var n [4]uint64
	for i := range n {
		if n[i], err = strconv.ParseUint(f[i+1], 10, 64); err != nil {
			return place{}, false
		}
	}
	return place{arn: parts[0], shard: f[0], at: sequence{n[0], n[1]}, issued: time.Unix(0, int64(n[2])), generation: n[3]}, true
}

type getShardIteratorInput struct {
	StreamArn         string   `json:"StreamArn"`
	ShardId           string   `json:"ShardId"` //nolint:revive // the member's name
	ShardIteratorType string   `json:"ShardIteratorType"`
	SequenceNumber    string   `json:"SequenceNumber"`
	Timestamp         *float64 `json:"Timestamp"`
}

func (s *Server) getShardIterator(c *call, in *getShardIteratorInput) (answer, *apiError) {
	st, err := s.streamOf(c, in.StreamArn)
	if err != nil {
		return nil, err
	}
	sh := st.shard(in.ShardId)
	if sh == nil || sh.dropped {
		return nil, notFound("Requested resource not found: Shard does not exist")
	}
	at, err := sh.place(c, in)
	if err != nil {
		return nil, err
	}
	return reply(map[string]any{"ShardIterator": s.iteratorAt(c, st, sh, at)})
}

func (s *Server) iteratorAt(c *call, st *stream, sh *shard, at sequence) string {
	return place{arn: st.arn, shard: sh.id, at: at, issued: c.now, generation: s.iterator}.String()
}

func (sh *shard) place(c *call, in *getShardIteratorInput) (sequence, *apiError) {
	byNumber := strings.HasSuffix(in.ShardIteratorType, "_SEQUENCE_NUMBER")
	if byNumber != (in.SequenceNumber != "") || (in.ShardIteratorType == "AT_TIMESTAMP") != (in.Timestamp != nil) {
		return sequence{}, validation("Invalid combination of ShardIteratorType %s with SequenceNumber or Timestamp", in.ShardIteratorType)
	}
	switch in.ShardIteratorType {
	case "TRIM_HORIZON":
		return sh.first(0), nil
	case "LATEST":
		return sh.tip(), nil
	case "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER":
		return sh.placeOf(in.ShardIteratorType, in.SequenceNumber)
	case "AT_TIMESTAMP":
		at := fromSeconds(*in.Timestamp)
		if at.After(c.now) {
			return sequence{}, validation("The timestamp is in the future")
		}
		n, created := len(sh.records), func(i int) time.Time { return sh.records[i].at }
		if sh.flood != nil {
			n, created = int(sh.flood.count), func(i int) time.Time { return sh.flood.created(int64(i)) }
		}
		return sh.first(sort.Search(n, func(i int) bool { return !created(i).Truncate(time.Second).Before(at) })), nil
	}
	return sequence{}, validation("1 validation error detected: Value '%s' at 'shardIteratorType' failed to satisfy constraint: Member must satisfy enum value set: [AT_SEQUENCE_NUMBER, AFTER_SEQUENCE_NUMBER, TRIM_HORIZON, LATEST, AT_TIMESTAMP]", in.ShardIteratorType)
}

// first is the place before the i-th record, or behind all.
func (sh *shard) first(i int) sequence {
	if sh.flood != nil {
		return sh.flood.base.add(uint64(i))
	}
	if i < len(sh.records) {
		return sh.records[i].seq
	}
	return sh.tip()
}

func (sh *shard) placeOf(kind, number string) (sequence, *apiError) {
	seq, ok := parseSequence(number)
	if !ok || seq.less(sh.start) || !sh.closed.IsZero() && sh.end.less(seq) {
		return sequence{}, validation("Invalid SequenceNumber: %s is not a sequence number of this shard", number)
	}
	if sh.trimmed.hi != 0 && !sh.trimmed.less(seq) {
		return sequence{}, TrimmedDataAccess.error()
	}
	if kind == "AFTER_SEQUENCE_NUMBER" {
		seq = seq.add(1)
	}
	return seq, nil
}

// tip is the place behind everything written so far.
func (sh *shard) tip() sequence {
	if sh.flood != nil {
		return sh.flood.base.add(uint64(sh.flood.count))
	}
	if n := len(sh.records); n > 0 {
		return sh.records[n-1].seq.add(1)
	}
	if sh.trimmed.hi != 0 {
		return sh.trimmed.add(1)
	}
	return sh.start
}

type getRecordsInput struct {
	ShardIterator string `json:"ShardIterator"`
	Limit         *int   `json:"Limit"`
}

func (s *Server) getRecords(c *call, in *getRecordsInput) (answer, *apiError) {
	p, ok := parseIterator(in.ShardIterator)
	if !ok {
		return nil, validation("Invalid ShardIterator")
	}
	if p.generation < s.iterator || c.now.Sub(p.issued) >= iteratorLife {
		return nil, ExpiredIterator.error()
	}
	if in.Limit != nil && *in.Limit > 1000 {
		return nil, validation("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 1000", *in.Limit)
	}
	limit, err := pageLimit(in.Limit, s.opts.Limits.RecordsPerPage)
	if err != nil {
		return nil, err
	}
	st, err := s.streamOf(c, p.arn)
	if err != nil {
		return nil, err
	}
	sh := st.shard(p.shard)
	if sh == nil {
		return nil, notFound("Requested resource not found: Shard does not exist")
	}
	if sh.dropped || sh.trimmed.hi != 0 && !sh.trimmed.less(p.at) {
		return nil, TrimmedDataAccess.error()
	}
	if err := s.admitReader(c, sh); err != nil {
		return nil, err
	}
	return s.readPage(c, st, sh, p.at, limit), nil
}

// readPage takes the records under the lock and joins them without it.
func (s *Server) readPage(c *call, st *stream, sh *shard, at sequence, limit int) answer {
	page, next, size := []record(nil), at, 320
	if st.emptyPages > 0 {
		st.emptyPages--
	} else {
		page = slices.Clone(sh.from(at, limit, s.opts.Limits.BytesPerPage))
	}
	if n := len(page); n > 0 {
		next = page[n-1].seq.add(1)
	}
	iterator := ""
	if sh.closed.IsZero() || next.less(sh.tip()) {
		iterator = s.iteratorAt(c, st, sh, next)
	}
	c.info.Records = len(page)
	for _, r := range page {
		size += len(r.json) + 1
	}
	s.reading[sh]++
	c.done = func() { s.doneReading(sh) }
	return func() ([]byte, error) {
		return joinRecords(page, iterator, size), nil
	}
}

// from is a page of records: full at limit records or maxBytes of them, never empty when there is one.
func (sh *shard) from(at sequence, limit, maxBytes int) []record {
	if sh.flood != nil {
		return sh.flood.page(at, limit, maxBytes)
	}
	i := sort.Search(len(sh.records), func(i int) bool { return !sh.records[i].seq.less(at) })
	bytes := 0
	for j := i; j < len(sh.records); j++ {
		bytes += sh.records[j].size
		if j-i == limit || bytes > maxBytes && j > i {
			return sh.records[i:j]
		}
	}
	return sh.records[i:]
}

func joinRecords(page []record, iterator string, size int) []byte {
	b := make([]byte, 0, size)
	b = append(b, `{"Records":[`...)
	for i, r := range page {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, r.json...)
	}
	b = append(b, ']')
	if iterator != "" {
		b = append(b, `,"NextShardIterator":"`+iterator+`"`...)
	}
	return append(b, '}')
}
