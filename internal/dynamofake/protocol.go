package dynamofake

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// operation is one API call. run gets the decoded request under the lock; what it returns is marshalled after the lock
// is dropped.
type operation struct {
	input reflect.Type
	run   func(s *Server, c *call, in any) (answer, *apiError)
}

// answer makes a response body. It runs without the lock.
type answer func() ([]byte, error)

// call is what an operation knows of its surroundings.
type call struct {
	now  time.Time
	info Call
	done func() // called when the answer is out
}

func op[T any](run func(*Server, *call, *T) (answer, *apiError)) operation {
	return operation{input: reflect.TypeFor[T](), run: func(s *Server, c *call, in any) (answer, *apiError) {
		return run(s, c, in.(*T))
	}}
}

// operations are named as in X-Amz-Target.
func operations() map[string]operation {
	return map[string]operation{
		"DynamoDB_20120810.CreateTable":        op((*Server).createTable),
		"DynamoDB_20120810.DescribeTable":      op((*Server).describeTable),
		"DynamoDB_20120810.DeleteTable":        op((*Server).deleteTable),
		"DynamoDB_20120810.UpdateTable":        op((*Server).updateTable),
		"DynamoDB_20120810.ListTables":         op((*Server).listTables),
		"DynamoDB_20120810.PutItem":            op((*Server).putItem),
		"DynamoDB_20120810.GetItem":            op((*Server).getItem),
		"DynamoDB_20120810.DeleteItem":         op((*Server).deleteItem),
		"DynamoDB_20120810.UpdateItem":         op((*Server).updateItem),
		"DynamoDB_20120810.BatchWriteItem":     op((*Server).batchWriteItem),
		"DynamoDB_20120810.TransactWriteItems": op((*Server).transactWriteItems),
		"DynamoDB_20120810.Scan":               op((*Server).scan),

		"DynamoDB_20120810.UpdateTimeToLive":          op((*Server).updateTimeToLive),
		"DynamoDB_20120810.DescribeTimeToLive":        op((*Server).describeTimeToLive),
		"DynamoDB_20120810.UpdateContinuousBackups":   op((*Server).updateContinuousBackups),
		"DynamoDB_20120810.DescribeContinuousBackups": op((*Server).describeContinuousBackups),
		"DynamoDB_20120810.ExportTableToPointInTime":  op((*Server).exportTable),
		"DynamoDB_20120810.DescribeExport":            op((*Server).describeExport),
		"DynamoDB_20120810.ListExports":               op((*Server).listExports),

		"DynamoDBStreams_20120810.ListStreams":      op((*Server).listStreams),
		"DynamoDBStreams_20120810.DescribeStream":   op((*Server).describeStream),
		"DynamoDBStreams_20120810.GetShardIterator": op((*Server).getShardIterator),
		"DynamoDBStreams_20120810.GetRecords":       op((*Server).getRecords),
	}
}

// elsewhere are the operations that AWS has and we don't.
var elsewhere = strings.Fields(`
	BatchExecuteStatement BatchGetItem CancelBulkOperation CreateBackup CreateGlobalTable DeleteBackup DeleteResourcePolicy
	DescribeBackup DescribeBulkOperation DescribeContributorInsights DescribeEndpoints DescribeGlobalTable
	DescribeGlobalTableSettings DescribeImport DescribeKinesisStreamingDestination DescribeLimits
	DescribeTableReplicaAutoScaling DisableKinesisStreamingDestination EnableKinesisStreamingDestination ExecuteStatement
	ExecuteTransaction GetResourcePolicy ImportTable ListBackups ListBulkOperations ListContributorInsights ListGlobalTables
	ListImports ListTagsOfResource PutResourcePolicy Query RestoreTableFromBackup RestoreTableToPointInTime SearchVectors
	StartBulkPutItems TagResource TransactGetItems UntagResource UpdateContributorInsights UpdateGlobalTable
	UpdateGlobalTableSettings UpdateKinesisStreamingDestination UpdateTableReplicaAutoScaling`)

const maxBody = 16 << 20 // BatchWriteItem takes 16 MB

// ServeHTTP answers one call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		s.send(w, http.StatusBadRequest, serialization("the body could not be read").body())
		return
	}
	c := &call{done: func() {}}
	out, failure := s.answer(r, c, body)
	defer c.done()
	if !wait(r, s.opts.Latency) {
		return
	}
	if failure == nil {
		s.send(w, http.StatusOK, out)
		return
	}
	if failure.status == statusHang {
		<-r.Context().Done()
		return
	}
	if failure.status == statusDrop {
		panic(http.ErrAbortHandler) // net/http cuts the connection
	}
	s.send(w, failure.status, failure.body())
}

// wait lets time pass unless the client leaves first.
func wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

func (s *Server) send(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/x-amz-json-1.0")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	s.mu.Lock()
	s.serial++
	h.Set("X-Amzn-RequestId", fmt.Sprintf("%016X%016XVV4KQNSO5AEMVJF66Q9ASUAAJG", s.opts.Seed, s.serial))
	h.Set("Date", s.signingTime().Format(http.TimeFormat))
	s.mu.Unlock()
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that left is its own business
}

func (s *Server) answer(r *http.Request, c *call, body []byte) ([]byte, *apiError) {
	target := r.Header.Get("X-Amz-Target")
	_, name, _ := strings.Cut(target, ".")
	known, ok := s.operations[target]
	if r.Method != http.MethodPost || !ok && !(slices.Contains(elsewhere, name) && strings.HasPrefix(target, "DynamoDB_20120810.")) {
		return nil, refuse(coral+"UnknownOperationException", "")
	}
	if err := s.authenticate(r, body); err != nil {
		return nil, err
	}
	if !ok {
		return nil, notImplemented("the operation %s", name)
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-amz-json-1.0") {
		return nil, serialization("the content type is not application/x-amz-json-1.0")
	}
	raw, failure := parseJSON(body)
	if failure != nil {
		return nil, failure
	}
	c.info = subject(name, raw)
	out, failure := s.run(c, known, raw, body)
	if failure != nil {
		return nil, failure
	}
	encoded, err := out()
	if err != nil {
		return nil, &apiError{status: http.StatusInternalServerError, kind: modelled + "InternalServerError", message: err.Error()}
	}
	return encoded, nil
}

// run decodes and executes a call; the lock is held from the first fault to the last effect, so a call is atomic.
func (s *Server) run(c *call, o operation, raw map[string]any, body []byte) (out answer, failure *apiError) {
	in := reflect.New(o.input)
	malformed := decode(raw, in.Elem())
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.observe(c, failure) }()
	c.now = s.settle()
	if fault := s.fault(c); fault != nil {
		return nil, fault
	}
	if malformed != nil {
		return nil, malformed
	}
	if out, failure = o.run(s, c, in.Interface()); failure == nil {
		failure = s.journal.note(c.now, c.info.Operation, body)
	}
	return out, failure
}

func (s *Server) observe(c *call, failure *apiError) {
	s.calls[c.info.Operation]++
	if failure != nil {
		_, c.info.Error, _ = strings.Cut(failure.kind, "#")
	}
	if s.opts.Observe != nil {
		s.opts.Observe(c.info)
	}
}

// subject finds out what a request is about before it is checked, so that a fault can be aimed at it.
func subject(operation string, raw map[string]any) Call {
	text := func(name string) string { s, _ := raw[name].(string); return s }
	c := Call{Operation: operation, Table: text("TableName"), Shard: text("ShardId"), Iterator: text("ShardIteratorType")}
	arn := text("StreamArn")
	if it, ok := parseIterator(text("ShardIterator")); ok {
		arn, c.Shard = it.arn, it.shard
	}
	if arn == "" {
		arn = text("TableArn")
	}
	if arn != "" {
		c.Table = tableOfARN(arn)
	}
	if _, name, ok := strings.Cut(c.Table, ":table/"); ok {
		c.Table = name
	}
	if batch, _ := raw["RequestItems"].(map[string]any); len(batch) == 1 {
		for name := range batch {
			c.Table = name
		}
	}
	return c
}

// tableOfARN is the table's name in the ARN of a table, a stream or an export.
func tableOfARN(arn string) string {
	_, rest, _ := strings.Cut(arn, ":table/")
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// reply answers with a structure or map as JSON.
func reply(v any) (answer, *apiError) {
	return func() ([]byte, error) { return json.Marshal(v) }, nil
}

// seconds is a time as the protocol writes it.
func seconds(t time.Time) json.Number {
	return json.Number(strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', -1, 64))
}
