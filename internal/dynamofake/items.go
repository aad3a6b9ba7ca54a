package dynamofake

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
)

type putItemInput struct {
	TableName                           string            `aws:"TableName"`
	Item                                item              `aws:"Item"`
	ReturnValues                        string            `aws:"ReturnValues"`
	ConditionExpression                 string            `aws:"ConditionExpression"`
	ExpressionAttributeNames            map[string]string `aws:"ExpressionAttributeNames"`
	ExpressionAttributeValues           map[string]value  `aws:"ExpressionAttributeValues"`
	ReturnValuesOnConditionCheckFailure string            `aws:"ReturnValuesOnConditionCheckFailure"`
	ReturnConsumedCapacity              string            `aws:"ReturnConsumedCapacity"`
	ReturnItemCollectionMetrics         string            `aws:"ReturnItemCollectionMetrics"`
	ConditionalOperator                 any               `aws:"ConditionalOperator,no"`
	Expected                            any               `aws:"Expected,no"`
}

func (s *Server) putItem(c *call, in *putItemInput) (answer, *apiError) {
	t, err := s.readyTable(c, in.TableName)
	if err != nil {
		return nil, err
	}
	if err := s.admitWrite(c, t, 1); err != nil {
		return nil, err
	}
	if err := oneOf("returnValues", in.ReturnValues, "NONE", "ALL_OLD"); err != nil {
		return nil, err
	}
	w := write{table: t, item: in.Item, condition: condition{in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.ReturnValuesOnConditionCheckFailure}}
	if err := s.prepare(&w); err != nil {
		return nil, err
	}
	if err := s.apply(c, w); err != nil {
		return nil, err
	}
	return s.attributes(in.ReturnValues, w.old, in.Item)
}

type keyInput struct {
	TableName                           string            `aws:"TableName"`
	Key                                 item              `aws:"Key"`
	ReturnValues                        string            `aws:"ReturnValues"`
	ConditionExpression                 string            `aws:"ConditionExpression"`
	ExpressionAttributeNames            map[string]string `aws:"ExpressionAttributeNames"`
	ExpressionAttributeValues           map[string]value  `aws:"ExpressionAttributeValues"`
	ReturnValuesOnConditionCheckFailure string            `aws:"ReturnValuesOnConditionCheckFailure"`
	ReturnConsumedCapacity              string            `aws:"ReturnConsumedCapacity"`
	ReturnItemCollectionMetrics         string            `aws:"ReturnItemCollectionMetrics"`
	ConditionalOperator                 any               `aws:"ConditionalOperator,no"`
	Expected                            any               `aws:"Expected,no"`
}

func (s *Server) deleteItem(c *call, in *keyInput) (answer, *apiError) {
	t, err := s.readyTable(c, in.TableName)
	if err != nil {
		return nil, err
	}
	if err := s.admitWrite(c, t, 1); err != nil {
		return nil, err
	}
	if err := oneOf("returnValues", in.ReturnValues, "NONE", "ALL_OLD"); err != nil {
		return nil, err
	}
	w := write{table: t, key: in.Key, condition: condition{in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.ReturnValuesOnConditionCheckFailure}}
	if err := s.prepare(&w); err != nil {
		return nil, err
	}
	if err := s.apply(c, w); err != nil {
		return nil, err
	}
	return s.attributes(in.ReturnValues, w.old, nil)
}

// write is one item's write, checked by prepare and done by apply: a transaction prepares all before it applies any.
type write struct {
	table     *table
	item      item // to put; nil deletes
	key       item // of an item to delete or to update
	update    *update
	condition condition
	onlyCheck bool

	hash    uint64
	keyText string
	old     item // nil when there was none
	new     item
}

func (s *Server) prepare(w *write) *apiError {
	keyed, exact := w.item, false
	if keyed == nil {
		keyed, exact = w.key, true
	}
	if keyed == nil {
		return validation("1 validation error detected: Value null at 'item' or 'key' failed to satisfy constraint: Member must not be null")
	}
	var err *apiError
	if w.hash, w.keyText, err = w.table.key(keyed, exact); err != nil {
		return err
	}
	if _, r := w.table.find(w.hash, w.keyText); r != nil {
		w.old = r.item
	}
	sc := &scope{names: w.condition.names, values: w.condition.values, used: map[string]bool{}}
	w.new = w.item
	if w.update != nil {
		if w.new, err = w.update.apply(w.old, w.key, w.table.keys, sc); err != nil {
			return err
		}
	}
	if w.new != nil && w.new.size() > maxItem {
		if w.update != nil {
			return validation("Item size to update has exceeded the maximum allowed size")
		}
		return validation("Item size has exceeded the maximum allowed size")
	}
	return s.checkCondition(w, sc)
}

func (s *Server) checkCondition(w *write, sc *scope) *apiError {
	ok, err := w.condition.holds(w.old, sc)
	if err == nil {
		err = sc.unused()
	}
	if err != nil || ok {
		return err
	}
	e := refuse(modelled+"ConditionalCheckFailedException", "The conditional request failed")
	if w.condition.onFailure == "ALL_OLD" && w.old != nil {
		e.extra = map[string]any{"Item": json.RawMessage(encoder{s.fork()}.item(nil, w.old))}
	}
	return e
}

func (s *Server) apply(c *call, w write) *apiError {
	if w.onlyCheck {
		return nil
	}
	return s.write(w.table, c.now, w.hash, w.keyText, w.new, nobody)
}

// fork makes a source of chance that may be used without the lock.
func (s *Server) fork() *rand.Rand { return rand.New(rand.NewPCG(s.answers.Uint64(), 1)) }

// attributes is the answer to a write.
func (s *Server) attributes(returns string, old, fresh item) (answer, *apiError) {
	it := old
	if returns == "ALL_NEW" {
		it = fresh
	} else if returns != "ALL_OLD" {
		it = nil
	}
	rng := s.fork()
	return func() ([]byte, error) {
		if it == nil {
			return []byte("{}"), nil
		}
		return append(encoder{rng}.item([]byte(`{"Attributes":`), it), '}'), nil
	}, nil
}

func oneOf(member, got string, allowed ...string) *apiError {
	if got == "" || slices.Contains(allowed, got) {
		return nil
	}
	return validation("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must satisfy enum value set: %v", got, member, allowed)
}

type getItemInput struct {
	TableName                string `aws:"TableName"`
	Key                      item   `aws:"Key"`
	ConsistentRead           bool   `aws:"ConsistentRead"`
	ReturnConsumedCapacity   string `aws:"ReturnConsumedCapacity"`
	AttributesToGet          any    `aws:"AttributesToGet,no"`
	ExpressionAttributeNames any    `aws:"ExpressionAttributeNames,no"`
	ProjectionExpression     any    `aws:"ProjectionExpression,no"`
}

func (s *Server) getItem(c *call, in *getItemInput) (answer, *apiError) {
	t, err := s.readyTable(c, in.TableName)
	if err != nil {
		return nil, err
	}
	hash, key, err := t.key(in.Key, true)
	if err != nil {
		return nil, err
	}
	_, r := t.find(hash, key)
	rng := s.fork()
	return func() ([]byte, error) {
		if r == nil {
			return []byte("{}"), nil
		}
		return append(encoder{rng}.item([]byte(`{"Item":`), r.item), '}'), nil
	}, nil
}

type scanInput struct {
	TableName                 string `aws:"TableName"`
	ConsistentRead            bool   `aws:"ConsistentRead"`
	ExclusiveStartKey         item   `aws:"ExclusiveStartKey"`
	Limit                     *int   `aws:"Limit"`
	Segment                   *int   `aws:"Segment"`
	TotalSegments             *int   `aws:"TotalSegments"`
	Select                    string `aws:"Select"`
	ReturnConsumedCapacity    string `aws:"ReturnConsumedCapacity"`
	AttributesToGet           any    `aws:"AttributesToGet,no"`
	ConditionalOperator       any    `aws:"ConditionalOperator,no"`
	ExpressionAttributeNames  any    `aws:"ExpressionAttributeNames,no"`
	ExpressionAttributeValues any    `aws:"ExpressionAttributeValues,no"`
	FilterExpression          any    `aws:"FilterExpression,no"`
	IndexName                 any    `aws:"IndexName,no"`
	ProjectionExpression      any    `aws:"ProjectionExpression,no"`
	ScanFilter                any    `aws:"ScanFilter,no"`
}

func (s *Server) scan(c *call, in *scanInput) (answer, *apiError) {
	t, err := s.readyTable(c, in.TableName)
	if err != nil {
		return nil, err
	}
	if in.Limit != nil && *in.Limit < 1 {
		return nil, validation("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1", *in.Limit)
	}
	if err := oneOf("select", in.Select, "ALL_ATTRIBUTES", "COUNT"); err != nil {
		return nil, err
	}
	lo, hi, err := segment(in.Segment, in.TotalSegments)
	if err != nil {
		return nil, err
	}
	from, err := t.scanStart(in.ExclusiveStartKey, lo, hi)
	if err != nil {
		return nil, err
	}
	of := &t.rows
	if t.stale != nil && !in.ConsistentRead {
		of = t.stale
	}
	rows, more := page(of, from, hi, s.opts.Limits.BytesPerPage, in.Limit)
	e := encoder{s.fork()}
	return func() ([]byte, error) { return e.page(t, rows, more, in.Select == "COUNT"), nil }, nil
}

// segment is the range of hashes [lo, hi] that a parallel scan's worker reads.
func segment(segment, total *int) (lo, hi uint64, err *apiError) {
	if segment == nil && total == nil {
		return 0, ^uint64(0), nil
	}
	if segment == nil {
		return 0, 0, validation("The Segment parameter is required but was not present in the request when parameter TotalSegments is present")
	}
	if total == nil {
		return 0, 0, validation("The TotalSegments parameter is required but was not present in the request when Segment parameter is present")
	}
	if *total < 1 || *total > 1_000_000 {
		return 0, 0, validation("1 validation error detected: Value '%d' at 'totalSegments' failed to satisfy constraint: Member must have value between 1 and 1000000", *total)
	}
	if *segment < 0 || *segment >= *total {
		return 0, 0, validation("The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: %d is not less than TotalSegments: %d", *segment, *total)
	}
	lo, hi = slice(*segment, *total)
	return lo, hi, nil
}

// slice is the i-th of n equal parts of the hash space.
func slice(i, n int) (lo, hi uint64) {
	width := ^uint64(0)/uint64(n) + 1
	if n == 1 {
		return 0, ^uint64(0)
	}
	lo = uint64(i) * width
	if i == n-1 {
		return lo, ^uint64(0)
	}
	return lo, lo + width - 1
}

// scanStart is the place that a page begins behind; the zero row with hash lo is the place before everything.
func (t *table) scanStart(after item, lo, hi uint64) (*row, *apiError) {
	if after == nil {
		return &row{hash: lo}, nil
	}
	hash, key, err := t.key(after, true)
	if err != nil {
		return nil, validation("The provided starting key is invalid: %s", err.message)
	}
	if hash < lo || hash > hi {
		return nil, validation("The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. TotalSegments: Segment:")
	}
	return &row{hash: hash, key: key}, nil
}

// page collects rows behind from up to the hash hi; the page is full once it holds limit rows or maxBytes.
func page(of *[partitions][]*row, from *row, hi uint64, maxBytes int, limit *int) (rows []*row, more bool) {
	bytes := 0
	for p := partitionOf(from.hash); p <= partitionOf(hi); p++ {
		for _, r := range of[p][startIn(of[p], from):] {
			if r.hash > hi {
				return rows, false
			}
			rows = append(rows, r)
			bytes += r.size
			if bytes >= maxBytes || limit != nil && len(rows) >= *limit {
				return rows, true // even if nothing follows, as on AWS
			}
		}
	}
	return rows, false
}

// startIn is the index of the first row behind from. A key is never empty, so a from without one is before its hash.
func startIn(rows []*row, from *row) int {
	i, found := slices.BinarySearchFunc(rows, from, compareRow)
	if found {
		i++
	}
	return i
}

func (e encoder) page(t *table, rows []*row, more, onlyCount bool) []byte {
	var b []byte
	b = append(b, '{')
	if !onlyCount {
		b = append(b, `"Items":[`...)
		for i, r := range rows {
			if i > 0 {
				b = append(b, ',')
			}
			b = e.item(b, r.item)
		}
		b = append(b, `],`...)
	}
	b = append(b, `"Count":`+itoa(len(rows))+`,"ScannedCount":`+itoa(len(rows))...)
	if more {
		b = append(b, `,"LastEvaluatedKey":`...)
		b = e.item(b, t.keyOf(rows[len(rows)-1].item))
	}
	return append(b, '}')
}
