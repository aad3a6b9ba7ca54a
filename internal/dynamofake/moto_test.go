package dynamofake_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	st "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/tidemill/tidemill/internal/dynamofake"
	"github.com/tidemill/tidemill/internal/realtest"
)

// The second guard against our own image of AWS: moto, written by others from AWS's behaviour. The same conversation is
// held with both, and every answer, error messages included, must be the same but for what is listed here with its reason.

// difference is a rule: where the path matches, only the types are compared (or nothing, if that is skipped).
type difference struct {
	path string // a regular expression over "03 PutItem.Item.x.N"
	why  string
	skip bool
	used bool
}

func differences() []*difference {
	return []*difference{
		{path: `(Arn|Id|ID|Label|Iterator|SequenceNumber|DateTime)$`, why: "made up by each, or the time"},
		{path: `\.(GlobalSecondaryIndexes|LocalSecondaryIndexes|WarmThroughput)$`, why: "moto lists indexes when there are none; the fake has neither", skip: true},
		{path: `\.TableDescription\.(TableId|BillingModeSummary.LastUpdateToPayPerRequestDateTime)$|DescribeTable\.Table\.(TableId|BillingModeSummary.LastUpdateToPayPerRequestDateTime)$`, why: "moto leaves out what AWS gives", skip: true},
		{path: `TableStatus$`, why: "moto never says CREATING, UPDATING or DELETING"},
		{path: `TableSizeBytes$`, why: "moto does not count"},
		{path: `ConsumedCapacity$|ItemCollectionMetrics$`, why: "moto gives them unasked", skip: true},
		{path: `GetRecords\.Records\[\d+\]\.dynamodb\.SizeBytes$`, why: "moto takes the length of some JSON"},
		{path: `GetRecords\.Records\[\d+\]\.eventVersion$`, why: "1.1 on AWS, 1.0 on moto"},
		{path: `DeleteTable\.message$`, why: "AWS names the table"},
		{path: `emptyKey PutItem\.message$`, why: "AWS's text of today; moto has an older one"},
		{path: `(emptySet PutItem|undefined UpdateItem|unused UpdateItem)\.message$`, why: `moto begins it with "1 validation error detected: "`},
		{path: `segment Scan\.message$`, why: "AWS goes on with the numbers"},
		{path: `enabled UpdateTable\.(__type|message)$`, why: "the API reference says ValidationException"},
	}
}

// recorder keeps what came back, whether answer or error.
type recorder struct {
	smithyhttp.ClientProtocol
	log   *[]recorded
	label *string
}

type recorded struct {
	name   string
	status int
	body   any
}

func (r recorder) DeserializeResponse(ctx context.Context, op *smithy.OperationSchema, reg *smithy.TypeRegistry, resp *smithyhttp.Response, out smithy.Deserializable) error {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var v any
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		v = "no JSON"
	}
	name := fmt.Sprintf("%02d %s", len(*r.log), op.ID().Name)
	if *r.label != "" {
		name, *r.label = fmt.Sprintf("%02d %s %s", len(*r.log), *r.label, op.ID().Name), ""
	}
	*r.log = append(*r.log, recorded{name, resp.StatusCode, v})
	return r.ClientProtocol.DeserializeResponse(ctx, op, reg, resp, out)
}

// talk holds the conversation with one endpoint.
func talk(t *testing.T, endpoint string) []recorded {
	t.Helper()
	var log []recorded
	label := ""
	db, streams := clients(t, endpoint, "key", "secret")
	tap := func(o *dynamodb.Options) { o.Protocol = recorder{unwrap(o.Protocol), &log, &label} }
	tapStreams := func(o *dynamodbstreams.Options) { o.Protocol = recorder{unwrap(o.Protocol), &log, &label} }
	c := conversation{t: t, db: db, streams: streams, tap: tap, tapStreams: tapStreams, label: &label}
	c.tables()
	c.items()
	c.errors()
	c.batches()
	c.scans()
	c.stream()
	c.settings()
	return log
}

func unwrap(p smithyhttp.ClientProtocol) smithyhttp.ClientProtocol {
	if m, ok := p.(modelled); ok {
		return m.ClientProtocol
	}
	return p
}

type conversation struct {
	t          *testing.T
	db         *dynamodb.Client
	streams    *dynamodbstreams.Client
	tap        func(*dynamodb.Options)
	tapStreams func(*dynamodbstreams.Options)
	label      *string
}

// as names the next call, for the rules.
func (c conversation) as(label string) conversation {
	*c.label = label
	return c
}

func (c conversation) tables() {
	ctx := c.t.Context()
	in := sessions()
	_, _ = c.db.CreateTable(ctx, in, c.tap)
	_, _ = c.db.CreateTable(ctx, in, c.tap) // there already
	_, _ = c.db.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: ptr("sessions")}, c.tap)
	_, _ = c.db.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: ptr("nowhere")}, c.tap)
	_, _ = c.db.ListTables(ctx, &dynamodb.ListTablesInput{}, c.tap)
	_, _ = c.db.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: ptr("nowhere")}, c.tap)
}

func (c conversation) put(it attrs, edit ...func(*dynamodb.PutItemInput)) {
	in := &dynamodb.PutItemInput{TableName: ptr("sessions"), Item: it}
	for _, e := range edit {
		e(in)
	}
	_, _ = c.db.PutItem(c.t.Context(), in, c.tap)
}

func (c conversation) get(id types.AttributeValue) {
	_, _ = c.db.GetItem(c.t.Context(), &dynamodb.GetItemInput{TableName: ptr("sessions"), Key: attrs{"id": id}}, c.tap)
}

func (c conversation) update(id, expression string, values attrs, returns types.ReturnValue) {
	_, _ = c.db.UpdateItem(c.t.Context(), &dynamodb.UpdateItemInput{
		TableName: ptr("sessions"), Key: attrs{"id": str(id)}, UpdateExpression: &expression, ExpressionAttributeValues: values, ReturnValues: returns,
	}, c.tap)
}

func (c conversation) remove(id string, returns types.ReturnValue) {
	_, _ = c.db.DeleteItem(c.t.Context(), &dynamodb.DeleteItemInput{TableName: ptr("sessions"), Key: attrs{"id": str(id)}, ReturnValues: returns}, c.tap)
}

func allTypes() attrs {
	return attrs{
		"id": str("all"), "s": str("Grüße \"\\"), "n": num("-12.5"), "big": num("12345678901234567890123456789012345678"), "b": &types.AttributeValueMemberB{Value: []byte{0, 255}},
		"yes": &types.AttributeValueMemberBOOL{Value: true}, "null": &types.AttributeValueMemberNULL{Value: true}, "empty": str(""),
		"ss": set("x", "y"), "ns": &types.AttributeValueMemberNS{Value: []string{"1", "2"}}, "bs": &types.AttributeValueMemberBS{Value: [][]byte{{1}, {2}}},
		"l": &types.AttributeValueMemberL{Value: []types.AttributeValue{num("1"), str("a"), &types.AttributeValueMemberL{Value: []types.AttributeValue{}}}},
		"m": &types.AttributeValueMemberM{Value: attrs{"x": num("1"), "y": &types.AttributeValueMemberM{Value: attrs{}}}},
	}
}

func (c conversation) items() {
	c.put(allTypes())
	c.get(str("all"))
	c.get(str("absent"))
	c.put(attrs{"id": str("a"), "n": num("1")})
	c.put(attrs{"id": str("a"), "n": num("2")}, func(in *dynamodb.PutItemInput) { in.ReturnValues = types.ReturnValueAllOld })
	c.update("a", "SET n = :n, m = :n", attrs{":n": num("3")}, types.ReturnValueAllNew)
	c.update("a", "REMOVE m", nil, types.ReturnValueAllOld)
	c.get(str("a"))
	c.put(attrs{"id": str("b")})
	c.remove("b", types.ReturnValueAllOld)
	c.remove("b", types.ReturnValueAllOld)
	c.put(attrs{"id": str("a"), "n": num("9")}, func(in *dynamodb.PutItemInput) { in.ConditionExpression = ptr("attribute_not_exists(id)") })
	c.put(attrs{"id": str("c")}, func(in *dynamodb.PutItemInput) { in.ConditionExpression = ptr("attribute_not_exists(id)") })
}

func (c conversation) errors() {
	c.put(attrs{"n": num("1")})
	c.put(attrs{"id": num("1")})
	c.as("emptyKey").put(attrs{"id": str("")})
	c.put(attrs{"id": str("a"), "n": num("one")})
	c.as("emptySet").put(attrs{"id": str("a"), "s": set()})
	c.put(attrs{"id": str("big"), "s": str(strings.Repeat("x", 400<<10))})
	c.update("a", "SET id = :n", attrs{":n": str("z")}, "")
	c.as("undefined").update("a", "SET n = :n, k = :m", attrs{":n": num("1")}, "")
	c.as("unused").update("a", "SET n = :n", attrs{":n": num("1"), ":m": num("1")}, "")
	_, _ = c.db.PutItem(c.t.Context(), &dynamodb.PutItemInput{TableName: ptr("nowhere"), Item: attrs{"id": str("a")}}, c.tap)
	_, _ = c.db.Scan(c.t.Context(), &dynamodb.ScanInput{TableName: ptr("nowhere")}, c.tap)
}

func (c conversation) batches() {
	ctx := c.t.Context()
	request := func(ids ...string) *dynamodb.BatchWriteItemInput {
		var w []types.WriteRequest
		for _, id := range ids {
			w = append(w, types.WriteRequest{PutRequest: &types.PutRequest{Item: attrs{"id": str(id), "n": num("1")}}})
		}
		return &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"sessions": w}}
	}
	_, _ = c.db.BatchWriteItem(ctx, request("d", "e"), c.tap)
	transact := func(items ...types.TransactWriteItem) {
		_, _ = c.db.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: items}, c.tap)
	}
	put := func(id, condition string) types.TransactWriteItem {
		p := &types.Put{TableName: ptr("sessions"), Item: attrs{"id": str(id), "n": num("1")}}
		if condition != "" {
			p.ConditionExpression = &condition
		}
		return types.TransactWriteItem{Put: p}
	}
	transact(put("g", ""), types.TransactWriteItem{Delete: &types.Delete{TableName: ptr("sessions"), Key: attrs{"id": str("e")}}})
	transact(put("h", ""), put("g", "attribute_not_exists(id)"))
	transact(put("h", ""), put("h", ""))
	c.get(str("h"))
}

func (c conversation) scans() {
	ctx := c.t.Context()
	_, _ = c.db.Scan(ctx, &dynamodb.ScanInput{TableName: ptr("sessions")}, c.tap)
	_, _ = c.db.Scan(ctx, &dynamodb.ScanInput{TableName: ptr("sessions"), Select: types.SelectCount}, c.tap)
	_, _ = c.as("segment").db.Scan(ctx, &dynamodb.ScanInput{TableName: ptr("sessions"), Segment: ptr(int32(2)), TotalSegments: ptr(int32(2))}, c.tap)
	var ids []string
	in := &dynamodb.ScanInput{TableName: ptr("sessions"), Limit: ptr(int32(2))}
	for range 10 {
		out, err := c.db.Scan(ctx, in)
		if err != nil {
			c.t.Error(err)
			return
		}
		for _, it := range out.Items {
			id, _ := it["id"].(*types.AttributeValueMemberS)
			ids = append(ids, id.Value)
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; in.ExclusiveStartKey == nil {
			break
		}
	}
	slices.Sort(ids)
	if got := strings.Join(ids, " "); got != "a all c d g" {
		c.t.Errorf("by pages of two: %s", got)
	}
}

func (c conversation) stream() {
	ctx := c.t.Context()
	list, err := c.streams.ListStreams(ctx, &dynamodbstreams.ListStreamsInput{TableName: ptr("sessions")}, c.tapStreams)
	if err != nil || len(list.Streams) != 1 {
		c.t.Errorf("streams: %v, %v", list, err)
		return
	}
	arn := list.Streams[0].StreamArn
	d, err := c.streams.DescribeStream(ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: arn}, c.tapStreams)
	if err != nil {
		c.t.Error(err)
		return
	}
	shard := d.StreamDescription.Shards[0].ShardId
	read := func(in dynamodbstreams.GetShardIteratorInput, limit *int32) []st.Record {
		in.StreamArn, in.ShardId = arn, shard
		it, err := c.streams.GetShardIterator(ctx, &in, c.tapStreams)
		if err != nil {
			c.t.Error(err)
			return nil
		}
		out, err := c.streams.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: it.ShardIterator, Limit: limit}, c.tapStreams)
		if err != nil {
			c.t.Error(err)
			return nil
		}
		return out.Records
	}
	all := read(dynamodbstreams.GetShardIteratorInput{ShardIteratorType: st.ShardIteratorTypeTrimHorizon}, nil)
	if len(all) < 5 {
		c.t.Errorf("%d records", len(all))
		return
	}
	third := all[2].Dynamodb.SequenceNumber
	read(dynamodbstreams.GetShardIteratorInput{ShardIteratorType: st.ShardIteratorTypeTrimHorizon}, ptr(int32(2)))
	read(dynamodbstreams.GetShardIteratorInput{ShardIteratorType: st.ShardIteratorTypeAtSequenceNumber, SequenceNumber: third}, ptr(int32(2)))
	read(dynamodbstreams.GetShardIteratorInput{ShardIteratorType: st.ShardIteratorTypeAfterSequenceNumber, SequenceNumber: third}, ptr(int32(2)))
	read(dynamodbstreams.GetShardIteratorInput{ShardIteratorType: st.ShardIteratorTypeLatest}, nil)
}

func (c conversation) settings() {
	ctx := c.t.Context()
	name := ptr("sessions")
	_, _ = c.db.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: name}, c.tap)
	on := &dynamodb.UpdateTimeToLiveInput{TableName: name, TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: ptr("ttl"), Enabled: ptr(true)}}
	_, _ = c.db.UpdateTimeToLive(ctx, on, c.tap)
	_, _ = c.db.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: name}, c.tap)
	_, _ = c.db.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: name}, c.tap)
	_, _ = c.db.ExportTableToPointInTime(ctx, &dynamodb.ExportTableToPointInTimeInput{TableArn: ptr("arn:aws:dynamodb:us-east-1:123456789012:table/nowhere"), S3Bucket: ptr("lake"), S3Prefix: ptr("x")}, c.tap)
	_, _ = c.db.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{TableName: name, PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: ptr(true)}}, c.tap)
	_, _ = c.as("enabled").db.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: name, StreamSpecification: &types.StreamSpecification{StreamEnabled: ptr(true), StreamViewType: types.StreamViewTypeNewImage}}, c.tap)
	_, _ = c.db.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: name, StreamSpecification: &types.StreamSpecification{StreamEnabled: ptr(false)}}, c.tap)
	_, _ = c.db.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: name}, c.tap)
}

func TestAgainstMoto(t *testing.T) {
	t.Parallel()
	moto := realtest.Moto(t)
	r := newRig(t, dynamofake.Options{Account: "123456789012", Exports: dynamofake.Folder(t.TempDir())})
	ours, theirs := talk(t, r.srv.Endpoint()), talk(t, moto.DSN(""))
	if len(ours) != len(theirs) {
		t.Fatalf("%d answers, moto gave %d", len(ours), len(theirs))
	}
	rules := differences()
	for i := range ours {
		if ours[i].status != theirs[i].status {
			contrast(t, rules, ours[i].name+".status", json.Number(fmt.Sprint(ours[i].status)), json.Number(fmt.Sprint(theirs[i].status)))
		}
		contrast(t, rules, ours[i].name, ours[i].body, theirs[i].body)
	}
	for _, rule := range rules {
		if !rule.used {
			t.Errorf("the listed difference %q (%s) is none", rule.path, rule.why)
		}
	}
}

// contrast reports where two answers differ and no rule says why.
func contrast(t *testing.T, rules []*difference, path string, ours, theirs any) {
	t.Helper()
	a, b := fmt.Sprintf("%T", ours), fmt.Sprintf("%T", theirs)
	differ := a != b
	switch x := ours.(type) {
	case map[string]any:
		if y, ok := theirs.(map[string]any); ok {
			contrastMaps(t, rules, path, x, y)
			return
		}
	case []any:
		if y, ok := theirs.([]any); ok && len(x) == len(y) {
			unordered(path, x)
			unordered(path, y)
			for i := range x {
				contrast(t, rules, fmt.Sprintf("%s[%d]", path, i), x[i], y[i])
			}
			return
		}
		differ = true
	default:
		if s, ok := ours.(string); ok && strings.HasSuffix(path, ".__type") {
			o, _ := theirs.(string)
			ours, theirs = s[strings.LastIndexByte(s, '#')+1:], o[strings.LastIndexByte(o, '#')+1:]
		}
		differ = differ || ours != theirs
	}
	if !differ {
		return
	}
	for _, rule := range rules {
		if regexp.MustCompile(rule.path).MatchString(path) && (rule.skip || a == b) {
			rule.used = true
			return
		}
	}
	t.Errorf("%s\n\tours %v\n\tmoto %v", path, ours, theirs)
}

func contrastMaps(t *testing.T, rules []*difference, path string, x, y map[string]any) {
	t.Helper()
	names := map[string]bool{}
	for n := range x {
		names[n] = true
	}
	for n := range y {
		names[n] = true
	}
	for n := range names {
		ours, here := x[n]
		theirs, there := y[n]
		switch {
		case strings.EqualFold(n, "message") && (!here || !there):
			continue // spelt in two ways; compared as "message" below
		case !here:
			ours = absent{}
		case !there:
			theirs = absent{}
		}
		contrast(t, rules, path+"."+n, ours, theirs)
	}
	if text, other := messageOf(x), messageOf(y); text != other && (x["message"] == nil) != (y["message"] == nil) {
		contrast(t, rules, path+".message", text, other)
	}
}

type absent struct{}

func messageOf(m map[string]any) any {
	if v, ok := m["message"]; ok {
		return v
	}
	return m["Message"]
}

// unordered sorts what has no order: sets and the items of a scan.
func unordered(path string, list []any) {
	if regexp.MustCompile(`\.(SS|NS|BS|Items)$`).MatchString(path) {
		sort.Slice(list, func(i, j int) bool { return fmt.Sprint(list[i]) < fmt.Sprint(list[j]) })
	}
}
