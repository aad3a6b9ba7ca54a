package dynamofake

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

type updateItemInput struct {
	TableName                           string            `json:"TableName"`
	Key                                 item              `json:"Key"`
	UpdateExpression                    string            `json:"UpdateExpression"`
	ReturnValues                        string            `json:"ReturnValues"`
	ConditionExpression                 string            `json:"ConditionExpression"`
	ExpressionAttributeNames            map[string]string `json:"ExpressionAttributeNames"`
	ExpressionAttributeValues           map[string]value  `json:"ExpressionAttributeValues"`
	ReturnValuesOnConditionCheckFailure string            `json:"ReturnValuesOnConditionCheckFailure"`
	ReturnConsumedCapacity              string            `json:"ReturnConsumedCapacity"`
	ReturnItemCollectionMetrics         string            `json:"ReturnItemCollectionMetrics"`
	AttributeUpdates                    any               `json:"AttributeUpdates,no"`
	ConditionalOperator                 any               `json:"ConditionalOperator,no"`
	Expected                            any               `json:"Expected,no"`
}

func (s *Server) updateItem(c *call, in *updateItemInput) (answer, *apiError) {
	t, err := s.readyTable(c, in.TableName)
	if err != nil {
		return nil, err
	}
	if err := s.admitWrite(c, t, 1); err != nil {
		return nil, err
	}
	if strings.HasPrefix(in.ReturnValues, "UPDATED_") {
		return nil, notImplemented("ReturnValues %s", in.ReturnValues)
	}
	if err := oneOf("returnValues", in.ReturnValues, "NONE", "ALL_OLD", "ALL_NEW"); err != nil {
		return nil, err
	}
	w := write{table: t, key: in.Key, update: &update{in.UpdateExpression}, condition: condition{in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.ReturnValuesOnConditionCheckFailure}}
	if err := s.prepare(&w); err != nil {
		return nil, err
	}
	if err := s.apply(c, w); err != nil {
		return nil, err
	}
	return s.attributes(in.ReturnValues, w.old, w.new)
}

type itemRequest struct {
	PutRequest *struct {
		Item item `json:"Item"`
	} `json:"PutRequest"`
	DeleteRequest *struct {
		Key item `json:"Key"`
	} `json:"DeleteRequest"`
}

type batchWriteItemInput struct {
	RequestItems                map[string][]itemRequest `json:"RequestItems"`
	ReturnConsumedCapacity      string                   `json:"ReturnConsumedCapacity"`
	ReturnItemCollectionMetrics string                   `json:"ReturnItemCollectionMetrics"`
}

const (
	maxBatch       = 25
	maxTransaction = 100
)

func (s *Server) batchWriteItem(c *call, in *batchWriteItemInput) (answer, *apiError) {
	writes, err := s.batch(c, in)
	if err != nil {
		return nil, err
	}
	done := 0
	half := s.partial(c)
	for ; done < len(writes); done++ {
		if half && 2*done >= len(writes) {
			break
		}
		if err := s.admitWrite(c, writes[done].table, 1); err != nil {
			if done == 0 {
				return nil, err
			}
			break
		}
		if err := s.apply(c, writes[done]); err != nil {
			return nil, err
		}
	}
	return reply(map[string]any{"UnprocessedItems": s.unprocessed(writes[done:])})
}

// batch checks all of a batch before any of it is done.
func (s *Server) batch(c *call, in *batchWriteItemInput) ([]write, *apiError) {
	var writes []write
	names := make([]string, 0, len(in.RequestItems))
	for name := range in.RequestItems {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t, err := s.readyTable(c, name)
		if err != nil {
			return nil, err
		}
		for _, r := range in.RequestItems[name] {
			w := write{table: t}
			switch {
			case r.PutRequest != nil && r.DeleteRequest == nil:
				w.item = r.PutRequest.Item
			case r.DeleteRequest != nil && r.PutRequest == nil:
				w.key = r.DeleteRequest.Key
			default:
				return nil, validation("Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes")
			}
			if err := s.prepare(&w); err != nil {
				return nil, err
			}
			writes = append(writes, w)
		}
	}
	if len(writes) == 0 || len(writes) > maxBatch {
		return nil, validation("1 validation error detected: Value at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 25, Member must have length greater than or equal to 1]")
	}
	if repeated(writes) {
		return nil, validation("Provided list of item keys contains duplicates")
	}
	return writes, nil
}

func repeated(writes []write) bool {
	type id struct{ table, key string }
	seen := map[id]bool{}
	for _, w := range writes {
		at := id{w.table.id, w.keyText}
		if seen[at] {
			return true
		}
		seen[at] = true
	}
	return false
}

func (s *Server) unprocessed(writes []write) map[string][]any {
	out := map[string][]any{}
	e := encoder{s.fork()}
	for _, w := range writes {
		request := map[string]any{"DeleteRequest": map[string]any{"Key": json.RawMessage(e.item(nil, w.key))}}
		if w.item != nil {
			request = map[string]any{"PutRequest": map[string]any{"Item": json.RawMessage(e.item(nil, w.item))}}
		}
		out[w.table.name] = append(out[w.table.name], request)
	}
	return out
}

// transactWrite is one of the four things that a transaction's item may be; the members are those of all four.
type transactWrite struct {
	TableName                           string            `json:"TableName"`
	Item                                item              `json:"Item"`
	Key                                 item              `json:"Key"`
	UpdateExpression                    string            `json:"UpdateExpression"`
	ConditionExpression                 string            `json:"ConditionExpression"`
	ExpressionAttributeNames            map[string]string `json:"ExpressionAttributeNames"`
	ExpressionAttributeValues           map[string]value  `json:"ExpressionAttributeValues"`
	ReturnValuesOnConditionCheckFailure string            `json:"ReturnValuesOnConditionCheckFailure"`
}

type transactItem struct {
	ConditionCheck *transactWrite `json:"ConditionCheck"`
	Delete         *transactWrite `json:"Delete"`
	Put            *transactWrite `json:"Put"`
	Update         *transactWrite `json:"Update"`
}

type transactWriteItemsInput struct {
	TransactItems               []transactItem `json:"TransactItems"`
	ClientRequestToken          string         `json:"ClientRequestToken"`
	ReturnConsumedCapacity      string         `json:"ReturnConsumedCapacity"`
	ReturnItemCollectionMetrics string         `json:"ReturnItemCollectionMetrics"`
}

// token remembers what a client's idempotency token stood for.
type token struct {
	until   time.Time
	request string
	answer  any
}

const tokenLife = 10 * time.Minute

func (s *Server) transactWriteItems(c *call, in *transactWriteItemsInput) (answer, *apiError) {
	if len(in.TransactItems) == 0 || len(in.TransactItems) > maxTransaction {
		return nil, validation("1 validation error detected: Value at 'transactItems' failed to satisfy constraint: Member must have length less than or equal to 100 and greater than or equal to 1")
	}
	id := "transaction " + in.ClientRequestToken
	request := fmt.Sprintf("%+v", flat(in.TransactItems))
	if known, ok := s.tokens[id]; ok && in.ClientRequestToken != "" && c.now.Before(known.until) {
		if known.request != request {
			return nil, refuse(modelled+"IdempotentParameterMismatchException", "Request parameters do not match those of the earlier request with this token")
		}
		return reply(map[string]any{})
	}
	writes, err := s.transaction(c, in.TransactItems)
	if err != nil {
		return nil, err
	}
	for _, w := range writes {
		if err := s.apply(c, w); err != nil {
			return nil, err
		}
	}
	s.tokens[id] = token{until: c.now.Add(tokenLife), request: request}
	return reply(map[string]any{})
}

// flat replaces the pointers by what they point to, so that two requests can be compared as text.
func flat(items []transactItem) []any {
	var out []any
	for _, i := range items {
		for n, w := range []*transactWrite{i.ConditionCheck, i.Delete, i.Put, i.Update} {
			if w != nil {
				out = append(out, n, *w)
			}
		}
	}
	return out
}

// transaction checks all items; a failure of any cancels all, with a reason for each.
func (s *Server) transaction(c *call, items []transactItem) ([]write, *apiError) {
	writes := make([]write, 0, len(items))
	reasons, codes, failed := make([]map[string]any, 0, len(items)), make([]string, 0, len(items)), false
	for _, i := range items {
		w, err := s.transactWrite(c, i)
		if err != nil {
			return nil, err
		}
		err = s.prepare(&w)
		reason := map[string]any{"Code": "None"}
		if err != nil {
			if strings.HasPrefix(err.kind, ours) {
				return nil, err
			}
			failed, reason = true, cancellation(err)
		}
		writes, reasons, codes = append(writes, w), append(reasons, reason), append(codes, fmt.Sprint(reason["Code"]))
	}
	if failed {
		e := refuse(modelled+"TransactionCanceledException", "Transaction cancelled, please refer cancellation reasons for specific reasons [%s]", strings.Join(codes, ", "))
		e.extra = map[string]any{"CancellationReasons": reasons}
		return nil, e
	}
	if repeated(writes) {
		return nil, validation("Transaction request cannot include multiple operations on one item")
	}
	return writes, nil
}

func (s *Server) transactWrite(c *call, i transactItem) (write, *apiError) {
	var w write
	var in *transactWrite
	for n, each := range []*transactWrite{i.ConditionCheck, i.Delete, i.Put, i.Update} {
		if each == nil {
			continue
		}
		if in != nil {
			return w, validation("TransactItems can only contain one of Check, Put, Update or Delete")
		}
		in = each
		w.onlyCheck = n == 0
		if n == 3 {
			w.update = &update{each.UpdateExpression}
		}
	}
	if in == nil || i.Put != nil && (in.Key != nil || in.UpdateExpression != "") || i.Put == nil && in.Item != nil {
		return w, validation("Invalid Request: TransactWriteRequest should contain Delete or Put or Update request")
	}
	t, err := s.readyTable(c, in.TableName)
	w.table, w.item, w.key = t, in.Item, in.Key
	w.condition = condition{in.ConditionExpression, in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.ReturnValuesOnConditionCheckFailure}
	return w, err
}

func cancellation(e *apiError) map[string]any {
	_, name, _ := strings.Cut(e.kind, "#")
	reason := map[string]any{"Code": "ValidationError", "Message": e.message}
	if name == "ConditionalCheckFailedException" {
		reason["Code"] = "ConditionalCheckFailed"
	}
	if it, ok := e.extra["Item"]; ok {
		reason["Item"] = it
	}
	return reason
}
