package dynamofake

import (
	"fmt"
	"slices"
	"time"
)

// The script: what a test does to a running server. Every method first brings the server to the present.

// ShardView is a shard as it truly is, whatever DescribeStream says.
type ShardView struct {
	ID, Parent  string
	Open        bool
	Trimmed     bool // wholly
	Records     int  // that can still be read
	First, Last string
	Start, End  string
}

// current is the newest stream of a table. The lock is held.
func (s *Server) current(table string) (*stream, error) {
	s.settle()
	for i := len(s.streams) - 1; i >= 0; i-- {
		if s.streams[i].table == table {
			return s.streams[i], nil
		}
	}
	return nil, fmt.Errorf("table %s has no stream", table)
}

// StreamArn is the ARN of the table's newest stream.
func (s *Server) StreamArn(table string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.current(table)
	if err != nil {
		return "", err
	}
	return st.arn, nil
}

// Shards lists the shards of the table's newest stream in order of creation, trimmed ones included.
func (s *Server) Shards(table string) ([]ShardView, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.current(table)
	if err != nil {
		return nil, err
	}
	var out []ShardView
	for _, sh := range st.shards {
		v := ShardView{ID: sh.id, Parent: sh.parent, Open: sh.closed.IsZero(), Trimmed: sh.dropped, Records: len(sh.records), Start: sh.start.String()}
		if !v.Open {
			v.End = sh.end.String()
		}
		if sh.flood != nil {
			v.Records = int(sh.flood.count)
		}
		if n := len(sh.records); n > 0 {
			v.First, v.Last = sh.records[0].seq.String(), sh.records[n-1].seq.String()
		}
		out = append(out, v)
	}
	return out, nil
}

// onOpen does something to one open shard, or to each when the id is empty.
func (s *Server) onOpen(table, shardID string, do func(st *stream, sh *shard)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.current(table)
	if err != nil {
		return err
	}
	done := 0
	for _, sh := range slices.Clone(st.openShards()) {
		if shardID == "" || sh.id == shardID {
			do(st, sh)
			done++
		}
	}
	if done == 0 {
		return fmt.Errorf("table %s has no open shard %q", table, shardID)
	}
	return nil
}

// Split closes an open shard of the table's stream, or each when the id is empty, and opens two children of each.
func (s *Server) Split(table, shardID string) error {
	return s.onOpen(table, shardID, func(st *stream, sh *shard) { st.split(sh, 2, s.now()) })
}

// Rotate closes an open shard, or each when the id is empty, and opens one child of each. (The API knows one parent per
// shard, so two shards can't become one.)
func (s *Server) Rotate(table, shardID string) error {
	return s.onOpen(table, shardID, func(st *stream, sh *shard) { st.split(sh, 1, s.now()) })
}

// SplitTo splits the widest open shards until so many are open.
func (s *Server) SplitTo(table string, open int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.current(table)
	if err != nil {
		return err
	}
	for len(st.openShards()) < open {
		widest := st.openShards()[0]
		for _, sh := range st.openShards() {
			if sh.hi-sh.lo > widest.hi-widest.lo {
				widest = sh
			}
		}
		st.split(widest, 2, s.now())
	}
	return nil
}

// Trim drops all but the newest keep records of each shard of the table's newest stream, before their time, and closed
// shards that are left empty. Real trimming follows the clock by itself.
func (s *Server) Trim(table string, keep int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.current(table)
	if err != nil {
		return err
	}
	for _, sh := range st.shards {
		sh.drop(max(len(sh.records)-keep, 0))
		sh.dropped = !sh.closed.IsZero() && len(sh.records) == 0
	}
	return nil
}

// ExpireIterators makes every iterator handed out so far expired.
func (s *Server) ExpireIterators() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.iterator++
}

// Inconsistency says how DescribeStream lags behind.
type Inconsistency struct {
	OpenParents  int // full listings that show a closed shard with children as open
	HideChildren int // full listings that don't show shards that have a parent
}

// Inconsistent lets DescribeStream of the table's newest stream lag behind for some listings.
func (s *Server) Inconsistent(table string, i Inconsistency) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.current(table)
	if err != nil {
		return err
	}
	st.openParents, st.hideChildren = i.OpenParents, i.HideChildren
	return nil
}

// EmptyPages lets the next n GetRecords calls on the table's newest stream answer without records, as AWS may at any time.
func (s *Server) EmptyPages(table string, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.current(table)
	if err != nil {
		return err
	}
	st.emptyPages = n
	return nil
}

// Stale lets every eventually consistent Scan show the table as it is now, whatever is written later, or no more.
func (s *Server) Stale(table string, stale bool) error {
	return s.direct(table, func(*call) *apiError {
		t := s.tables[table]
		if t == nil {
			return notFound("Requested resource not found: Table: %s not found", table)
		}
		t.stale = nil
		if stale {
			t.stale = new([partitions][]*row)
			for p, rows := range t.rows {
				t.stale[p] = slices.Clone(rows)
			}
		}
		return nil
	})
}

// Calls counts the calls of an operation so far ("" counts all), failed ones included.
func (s *Server) Calls(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if operation != "" {
		return s.calls[operation]
	}
	n := 0
	for _, c := range s.calls {
		n += c
	}
	return n
}

// CreateTable makes a table with a stream of new and old images, as by CreateTable. Its key is one attribute, a string.
func (s *Server) CreateTable(table, key string) error {
	body := fmt.Appendf(nil, `{"TableName":%q,"BillingMode":"PAY_PER_REQUEST","AttributeDefinitions":[{"AttributeName":%q,"AttributeType":"S"}],
		"KeySchema":[{"AttributeName":%q,"KeyType":"HASH"}],"StreamSpecification":{"StreamEnabled":true,"StreamViewType":"NEW_AND_OLD_IMAGES"}}`, table, key, key)
	raw, failure := parseJSON(body)
	if failure != nil {
		return failure
	}
	if _, failure := s.run(&call{info: subject("CreateTable", raw)}, s.operations["DynamoDB_20120810.CreateTable"], raw, body); failure != nil {
		return failure
	}
	return nil
}

// Has reports whether there is a table.
func (s *Server) Has(table string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tables[table] != nil
}

// Put writes an item, given as DynamoDB JSON ({"id":{"S":"a"}}), without a request: tests and the demo fill tables with
// it. Everything else is as by PutItem.
func (s *Server) Put(table, itemJSON string) error {
	it, err := itemOf(itemJSON)
	if err != nil {
		return err
	}
	return s.direct(table, func(c *call) *apiError {
		if _, failure := s.putItem(c, &putItemInput{TableName: table, Item: it}); failure != nil {
			return failure
		}
		return s.journal.note(c.now, "PutItem", fmt.Appendf(nil, `{"TableName":%q,"Item":%s}`, table, itemJSON))
	})
}

// Delete deletes the item of a key, given as DynamoDB JSON, without a request.
func (s *Server) Delete(table, keyJSON string) error {
	it, err := itemOf(keyJSON)
	if err != nil {
		return err
	}
	return s.direct(table, func(c *call) *apiError {
		if _, failure := s.deleteItem(c, &keyInput{TableName: table, Key: it}); failure != nil {
			return failure
		}
		return s.journal.note(c.now, "DeleteItem", fmt.Appendf(nil, `{"TableName":%q,"Key":%s}`, table, keyJSON))
	})
}

func itemOf(text string) (item, error) {
	m, failure := parseJSON([]byte(text))
	if failure != nil {
		return nil, failure
	}
	it, failure := parseItem(m, 1)
	if failure != nil {
		return nil, failure
	}
	return it, nil
}

// direct does a write under the lock. A nil *apiError must not become a non-nil error.
func (s *Server) direct(table string, do func(*call) *apiError) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if failure := do(&call{now: s.settle(), info: Call{Table: table}}); failure != nil {
		return failure
	}
	return nil
}

// SkewClock sets how far the server's signing clock is ahead of the wall clock.
func (s *Server) SkewClock(ahead time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew = ahead
}
