package dynamofake_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	st "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"github.com/tidemill/tidemill/internal/dynamofake"
)

type attrs = map[string]types.AttributeValue

func str(s string) types.AttributeValue    { return &types.AttributeValueMemberS{Value: s} }
func num(s string) types.AttributeValue    { return &types.AttributeValueMemberN{Value: s} }
func set(s ...string) types.AttributeValue { return &types.AttributeValueMemberSS{Value: s} }

func (r *rig) putItem(it attrs) error {
	_, err := r.db.PutItem(r.t.Context(), &dynamodb.PutItemInput{TableName: ptr("sessions"), Item: it})
	return err
}

func (r *rig) get(id string) attrs {
	r.t.Helper()
	return must[*dynamodb.GetItemOutput](r.t)(r.db.GetItem(r.t.Context(), &dynamodb.GetItemInput{TableName: ptr("sessions"), Key: attrs{"id": str(id)}, ConsistentRead: ptr(true)})).Item
}

func TestEveryTypeComesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	arn := r.table("sessions")
	it := attrs{
		"id": str("a"), "s": str("Grüße, \"\\\u2028\x01"), "n": num("-12.5"), "b": &types.AttributeValueMemberB{Value: []byte{0, 255}},
		"yes": &types.AttributeValueMemberBOOL{Value: true}, "no": &types.AttributeValueMemberBOOL{}, "null": &types.AttributeValueMemberNULL{Value: true},
		"l":      &types.AttributeValueMemberL{Value: []types.AttributeValue{num("1"), str(""), &types.AttributeValueMemberL{Value: []types.AttributeValue{}}}},
		"m":      &types.AttributeValueMemberM{Value: attrs{"x": num("1"), "": str("an empty name")}},
		"emptyS": str(""), "emptyB": &types.AttributeValueMemberB{Value: []byte{}}, "emptyM": &types.AttributeValueMemberM{Value: attrs{}},
	}
	r.ok(r.putItem(it))
	if got := r.get("a"); !reflect.DeepEqual(got, it) {
		t.Errorf("got %#v\nwant %#v", got, it)
	}
	image := r.readAll(arn)[0].Dynamodb.NewImage
	if len(image) != len(it) {
		t.Errorf("the image has %d attributes, want %d", len(image), len(it))
	}
	for name, v := range it {
		if got, want := fmt.Sprintf("%#v", image[name]), strings.NewReplacer("types.", "types.").Replace(fmt.Sprintf("%#v", v)); name != "l" && name != "m" && got != want {
			t.Errorf("image of %s is %s, want %s", name, got, want)
		}
	}
}

func TestSetsHaveNoOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{Seed: 7})
	arn := r.table("sessions")
	words := strings.Fields("a b c d e f g h")
	r.ok(r.putItem(attrs{
		"id": str("a"), "ss": set(words...), "ns": &types.AttributeValueMemberNS{Value: []string{"3", "1.0", "2"}},
		"bs": &types.AttributeValueMemberBS{Value: [][]byte{{1}, {2}, {3}}},
	}))
	orders := map[string]bool{}
	for range 10 {
		ss, _ := r.get("a")["ss"].(*types.AttributeValueMemberSS)
		orders[strings.Join(ss.Value, "")] = true
		slices.Sort(ss.Value)
		if !slices.Equal(ss.Value, words) {
			t.Fatalf("the set is %v", ss.Value)
		}
	}
	if len(orders) < 5 {
		t.Errorf("ten reads gave %d orders", len(orders))
	}
	ns, _ := r.get("a")["ns"].(*types.AttributeValueMemberNS)
	slices.Sort(ns.Value)
	if !slices.Equal(ns.Value, []string{"1", "2", "3"}) {
		t.Errorf("numbers %v", ns.Value)
	}
	r.ok(r.putItem(attrs{"id": str("a"), "ss": set(words...)}))
	records := r.readAll(arn)
	fresh, _ := records[0].Dynamodb.NewImage["ss"].(*st.AttributeValueMemberSS)
	old, _ := records[1].Dynamodb.OldImage["ss"].(*st.AttributeValueMemberSS)
	if slices.Equal(fresh.Value, old.Value) {
		t.Error("the same set in two records has the same order")
	}
}

func TestNumbersAreNormalised(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "0.00": "0", "007": "7", "+1.50": "1.5", "1.50": "1.5", "-1.50": "-1.5", ".5": "0.5", "5.": "5", "1e3": "1000", "1E-3": "0.001", "100": "100",
		"12345678901234567890123456789012345678":  "12345678901234567890123456789012345678",
		"1234567890.1234567890123456789012345678": "1234567890.1234567890123456789012345678",
		"9007199254740993":                        "9007199254740993",
		"123456789012345678901234567890123456780": "123456789012345678901234567890123456780", // 38 digits and a zero
		"1E125": "1" + strings.Repeat("0", 125), "1e-130": "0." + strings.Repeat("0", 129) + "1",
	} {
		if got, err := dynamofake.CanonicalNumber(in); err != nil || got != want {
			t.Errorf("%s becomes %s (%v), want %s", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"123456789012345678901234567890123456789": "more than 38 significant digits", "1E126": "overflow", "-1E126": "overflow", "1E-131": "underflow", "1E99999999999": "overflow",
		"": "cannot be converted", "x": "cannot be converted", "1x": "cannot be converted", "0x10": "cannot be converted", "1e": "cannot be converted", "--1": "cannot be converted",
		"1.2.3": "cannot be converted", " 1": "cannot be converted", "NaN": "cannot be converted", ".": "cannot be converted", "1e1.5": "cannot be converted",
	} {
		if got, err := dynamofake.CanonicalNumber(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q becomes %q, %v; want a refusal of %s", in, got, err, want)
		}
	}
	ascending := strings.Fields("-9.9e125 -100 -99 -12 -11.5 -1.25 -1.2 -1 -0.5 -1e-130 0 1e-130 0.05 0.5 1 1.2 1.25 2 9 10 99.9 100 9.9e125")
	for i := range ascending[1:] {
		if dynamofake.NumberOrder(ascending[i]) >= dynamofake.NumberOrder(ascending[i+1]) {
			t.Errorf("%s does not sort before %s", ascending[i], ascending[i+1])
		}
	}
	r := newRig(t, dynamofake.Options{})
	r.table("sessions")
	r.ok(r.putItem(attrs{"id": str("a"), "n": num("1.50")}))
	if n, _ := r.get("a")["n"].(*types.AttributeValueMemberN); n.Value != "1.5" {
		t.Errorf("1.50 comes back as %s", n.Value)
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	r.table("sessions")
	deep := str("bottom")
	for range 33 {
		deep = &types.AttributeValueMemberL{Value: []types.AttributeValue{deep}}
	}
	for name, it := range map[string]attrs{
		"Missing the key id":                 {"x": str("a")},
		"Type mismatch for key id":           {"id": num("1")},
		"empty string value. Key: id":        {"id": str("")},
		"Size of hashkey":                    {"id": str(strings.Repeat("k", 2049))},
		"An string set  may not be empty":    {"id": str("a"), "x": set()},
		"duplicates":                         {"id": str("a"), "x": set("u", "v", "u")},
		"contains duplicates":                {"id": str("a"), "x": &types.AttributeValueMemberNS{Value: []string{"1", "1.0"}}},
		"38 significant digits":              {"id": str("a"), "x": num(strings.Repeat("7", 39))},
		"numeric value: one":                 {"id": str("a"), "x": num("one")},
		"must have the value of true":        {"id": str("a"), "x": &types.AttributeValueMemberNULL{}},
		"Nesting Levels":                     {"id": str("a"), "x": deep},
		"Item size has exceeded the maximum": {"id": str("a"), "x": str(strings.Repeat("x", 400<<10-3))},
	} {
		err := r.putItem(it)
		if code(err) != "ValidationException" || !strings.Contains(err.Error(), name) {
			t.Errorf("%v; want a ValidationException with %q", err, name)
		}
	}
	r.ok(r.putItem(attrs{"id": str("a"), "x": str(strings.Repeat("x", 400<<10-4))}))
	_, err := r.db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: ptr("sessions"), Key: attrs{"id": str("a")}, UpdateExpression: ptr("SET y = :y"), ExpressionAttributeValues: attrs{":y": str("more")},
	})
	if code(err) != "ValidationException" || !strings.Contains(err.Error(), "Item size to update") {
		t.Errorf("an update past 400 KB: %v", err)
	}
	_, err = r.db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: ptr("sessions"), Key: attrs{"id": str("a"), "x": str("b")}})
	if code(err) != "ValidationException" || !strings.Contains(err.Error(), "does not match the schema") {
		t.Errorf("a key with one attribute too many: %v", err)
	}
	_, err = r.db.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: ptr("nowhere"), Key: attrs{"id": str("a")}})
	r.wantCode(err, "ResourceNotFoundException")
}

func TestReturnValues(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	r.table("sessions")
	one, two := attrs{"id": str("a"), "n": num("1")}, attrs{"id": str("a"), "n": num("2")}
	put := must[*dynamodb.PutItemOutput](t)
	if out := put(r.db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: ptr("sessions"), Item: one, ReturnValues: types.ReturnValueAllOld})); out.Attributes != nil {
		t.Errorf("the first put returns %v", out.Attributes)
	}
	if out := put(r.db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: ptr("sessions"), Item: two, ReturnValues: types.ReturnValueAllOld})); !reflect.DeepEqual(out.Attributes, one) {
		t.Errorf("the second put returns %v", out.Attributes)
	}
	up := must[*dynamodb.UpdateItemOutput](t)(r.db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: ptr("sessions"), Key: attrs{"id": str("a")}, UpdateExpression: ptr("set #n = :n, m=:n remove gone"), ExpressionAttributeNames: map[string]string{"#n": "n"},
		ExpressionAttributeValues: attrs{":n": num("3")}, ReturnValues: types.ReturnValueAllNew,
	}))
	if want := (attrs{"id": str("a"), "n": num("3"), "m": num("3")}); !reflect.DeepEqual(up.Attributes, want) {
		t.Errorf("the update returns %v", up.Attributes)
	}
	del := must[*dynamodb.DeleteItemOutput](t)(r.db.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: ptr("sessions"), Key: attrs{"id": str("a")}, ReturnValues: types.ReturnValueAllOld}))
	if len(del.Attributes) != 3 || r.get("a") != nil {
		t.Errorf("the delete returns %v and leaves %v", del.Attributes, r.get("a"))
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	r.table("sessions")
	r.ok(r.putItem(attrs{"id": str("a"), "n": num("1")}))
	for _, c := range []struct {
		text   string
		values attrs
		names  map[string]string
		want   string
	}{
		{"attribute_not_exists(id)", nil, nil, "ConditionalCheckFailedException"},
		{"attribute_exists(id) AND attribute_not_exists(x)", nil, nil, ""},
		{"n = :n", attrs{":n": num("1.0")}, nil, ""},
		{"#n <> :n and attribute_exists(id)", attrs{":n": num("1")}, map[string]string{"#n": "n"}, "ConditionalCheckFailedException"},
		{"x = :n", attrs{":n": num("1")}, nil, "ConditionalCheckFailedException"},
		{"n = :m", attrs{":n": num("1")}, nil, "ValidationException"},
		{"#m = :n", attrs{":n": num("1")}, nil, "ValidationException"},
		{"attribute_exists(id)", attrs{":n": num("1")}, nil, "ValidationException"},
		{"attribute_exists(id)", nil, map[string]string{"#n": "n"}, "ValidationException"},
		{"n > :n", attrs{":n": num("1")}, nil, "NotImplemented"},
		{"attribute_exists(a.b)", nil, nil, "NotImplemented"},
	} {
		_, err := r.db.PutItem(t.Context(), &dynamodb.PutItemInput{
			TableName: ptr("sessions"), Item: attrs{"id": str("a"), "n": num("1")}, ConditionExpression: &c.text, ExpressionAttributeValues: c.values, ExpressionAttributeNames: c.names,
		})
		if got := code(err); got != c.want {
			t.Errorf("%s: %v, want %q", c.text, err, c.want)
		}
	}
	_, err := r.db.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
		TableName: ptr("sessions"), Key: attrs{"id": str("a")}, ConditionExpression: ptr("attribute_exists(x)"), ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) || len(failed.Item) != 2 {
		t.Errorf("the failed delete: %v, item %+v", err, failed)
	}
	for _, text := range []string{"ADD n :n", "SET n = n + :n", "SET a.b = :n", "SET n = if_not_exists(n, :n)"} {
		_, err := r.db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{TableName: ptr("sessions"), Key: attrs{"id": str("a")}, UpdateExpression: &text, ExpressionAttributeValues: attrs{":n": num("1")}})
		r.wantCode(err, "NotImplemented")
	}
	for _, text := range []string{"SET id = :n", "n = :n", "SET n = :m"} {
		_, err := r.db.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{TableName: ptr("sessions"), Key: attrs{"id": str("a")}, UpdateExpression: &text, ExpressionAttributeValues: attrs{":n": num("1")}})
		r.wantCode(err, "ValidationException")
	}
}

func TestBatchWrites(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	arn := r.table("sessions")
	puts := func(n int) map[string][]types.WriteRequest {
		var out []types.WriteRequest
		for i := range n {
			out = append(out, types.WriteRequest{PutRequest: &types.PutRequest{Item: attrs{"id": str(fmt.Sprintf("%02d", i)), "n": num("1")}}})
		}
		return map[string][]types.WriteRequest{"sessions": out}
	}
	write := func(items map[string][]types.WriteRequest) (map[string][]types.WriteRequest, error) {
		out, err := r.db.BatchWriteItem(t.Context(), &dynamodb.BatchWriteItemInput{RequestItems: items})
		if err != nil {
			return nil, err
		}
		return out.UnprocessedItems, nil
	}
	if left, err := write(puts(25)); err != nil || len(left) != 0 {
		t.Errorf("25 puts: %v, left %v", err, left)
	}
	_, err := write(puts(26))
	r.wantCode(err, "ValidationException")
	twice := puts(1)
	twice["sessions"] = append(twice["sessions"], types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: attrs{"id": str("00")}}})
	_, err = write(twice)
	r.wantCode(err, "ValidationException")
	_, err = write(map[string][]types.WriteRequest{"nowhere": puts(1)["sessions"]})
	r.wantCode(err, "ResourceNotFoundException")

	r.srv.Fail(dynamofake.Fault{Failure: dynamofake.Partial, Times: 1})
	deletes := map[string][]types.WriteRequest{"sessions": {
		{DeleteRequest: &types.DeleteRequest{Key: attrs{"id": str("00")}}}, {DeleteRequest: &types.DeleteRequest{Key: attrs{"id": str("01")}}},
		{PutRequest: &types.PutRequest{Item: attrs{"id": str("02"), "n": num("2")}}},
	}}
	left, err := write(deletes)
	r.ok(err)
	if !reflect.DeepEqual(left["sessions"], deletes["sessions"][2:]) {
		t.Errorf("left over: %+v", left)
	}
	if left, err = write(left); err != nil || len(left) != 0 {
		t.Errorf("the rest: %v, left %v", err, left)
	}
	if got := events(r.readAll(arn))[25:]; !slices.Equal(got, []string{"REMOVE 00", "REMOVE 01", "MODIFY 02"}) {
		t.Errorf("records %v", got)
	}
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	arn := r.table("sessions")
	r.put("sessions", `{"id":{"S":"old"}}`)
	write := func(token string, items ...types.TransactWriteItem) error {
		_, err := r.db.TransactWriteItems(t.Context(), &dynamodb.TransactWriteItemsInput{TransactItems: items, ClientRequestToken: &token})
		return err
	}
	put := func(id, n string, condition *string) types.TransactWriteItem {
		return types.TransactWriteItem{Put: &types.Put{TableName: ptr("sessions"), Item: attrs{"id": str(id), "n": num(n)}, ConditionExpression: condition}}
	}
	all := []types.TransactWriteItem{
		put("a", "1", nil),
		{Update: &types.Update{TableName: ptr("sessions"), Key: attrs{"id": str("b")}, UpdateExpression: ptr("SET n = :n"), ExpressionAttributeValues: attrs{":n": num("1")}}},
		{Delete: &types.Delete{TableName: ptr("sessions"), Key: attrs{"id": str("old")}}},
		{ConditionCheck: &types.ConditionCheck{TableName: ptr("sessions"), Key: attrs{"id": str("c")}, ConditionExpression: ptr("attribute_not_exists(id)")}},
	}
	r.ok(write("one", all...))
	r.ok(write("one", all...)) // the same token: done once
	r.wantCode(write("one", all[0]), "IdempotentParameterMismatchException")
	r.wantCode(write("two", all[0], put("a", "2", nil)), "ValidationException")

	err := write("three", put("c", "1", nil), put("a", "3", ptr("attribute_not_exists(id)")))
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) || len(cancelled.CancellationReasons) != 2 || *cancelled.CancellationReasons[0].Code != "None" || *cancelled.CancellationReasons[1].Code != "ConditionalCheckFailed" {
		t.Errorf("a failed condition: %v, %+v", err, cancelled)
	}
	if r.get("c") != nil {
		t.Error("a cancelled transaction wrote something")
	}
	r.clock.Advance(11 * time.Minute)
	r.ok(write("one", put("a", "9", nil))) // the token has lapsed
	r.wantEvents(r.readAll(arn), "INSERT old", "INSERT a", "INSERT b", "REMOVE old", "MODIFY a")
}

func TestTimeToLive(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{TTLDelay: time.Hour, RotateEvery: 90 * time.Minute})
	arn := r.table("sessions")
	at := func(d time.Duration) int64 { return start.Add(d).Unix() }
	r.put("sessions", `{"id":{"S":"before"},"ttl":{"N":"%d"}}`, at(time.Minute))
	_, err := r.db.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{TableName: ptr("sessions"), TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: ptr("ttl"), Enabled: ptr(true)}})
	r.ok(err)
	d := must[*dynamodb.DescribeTimeToLiveOutput](t)(r.db.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: ptr("sessions")}))
	if d.TimeToLiveDescription.TimeToLiveStatus != types.TimeToLiveStatusEnabled || *d.TimeToLiveDescription.AttributeName != "ttl" {
		t.Errorf("%+v", d.TimeToLiveDescription)
	}
	r.put("sessions", `{"id":{"S":"expires"},"ttl":{"N":"%d"}}`, at(2*time.Minute))
	r.put("sessions", `{"id":{"S":"prolonged"},"ttl":{"N":"%d"}}`, at(2*time.Minute))
	r.put("sessions", `{"id":{"S":"prolonged"},"ttl":{"N":"%d"}}`, at(100*time.Hour))
	r.put("sessions", `{"id":{"S":"text"},"ttl":{"S":"%d"}}`, at(time.Minute))
	r.put("sessions", `{"id":{"S":"ancient"},"ttl":{"N":"%d"}}`, at(-6*365*24*time.Hour))
	r.put("sessions", `{"id":{"S":"later"},"ttl":{"N":"%d"}}`, at(time.Hour))
	r.clock.Advance(61 * time.Minute)
	if r.get("before") != nil || r.get("expires") == nil {
		t.Error("an hour after its expiry one item is to be gone, the other one not yet")
	}
	r.clock.Advance(2 * time.Hour)
	if r.get("expires") != nil || r.get("later") != nil || r.get("prolonged") == nil || r.get("text") == nil || r.get("ancient") == nil {
		t.Error("the wrong items are gone")
	}
	records := r.readAll(arn)
	r.wantEvents(records[7:], "REMOVE before", "REMOVE expires", "REMOVE later")
	for i, rec := range records {
		byService := rec.UserIdentity != nil && *rec.UserIdentity.PrincipalId == "dynamodb.amazonaws.com" && *rec.UserIdentity.Type == "Service"
		if byService != (i >= 7) {
			t.Errorf("record %d (%s): identity %+v", i, rec.EventName, rec.UserIdentity)
		}
	}
	if got := records[9].Dynamodb.ApproximateCreationDateTime; !got.Equal(start.Add(2 * time.Hour)) {
		t.Errorf("the last one was deleted at %v, want when it was due", got)
	}
	shards, _ := r.describe(arn)
	if in, _ := r.read(r.horizon(arn, *shards[1].ShardId)); len(in) != 1 {
		t.Errorf("the second shard, open from 1:30 to 3:00, holds %d deletes, want the one of 2:00", len(in))
	}
}

func TestViewTypes(t *testing.T) {
	t.Parallel()
	for view, want := range map[types.StreamViewType][2]string{
		types.StreamViewTypeKeysOnly: {"", ""}, types.StreamViewTypeNewImage: {"new", ""}, types.StreamViewTypeOldImage: {"", "old"}, types.StreamViewTypeNewAndOldImages: {"new", "old"},
	} {
		r := newRig(t, dynamofake.Options{})
		out := must[*dynamodb.CreateTableOutput](t)(r.db.CreateTable(t.Context(), &dynamodb.CreateTableInput{
			TableName: ptr("sessions"), KeySchema: []types.KeySchemaElement{{AttributeName: ptr("id"), KeyType: types.KeyTypeHash}, {AttributeName: ptr("at"), KeyType: types.KeyTypeRange}},
			AttributeDefinitions:  []types.AttributeDefinition{{AttributeName: ptr("id"), AttributeType: types.ScalarAttributeTypeS}, {AttributeName: ptr("at"), AttributeType: types.ScalarAttributeTypeN}},
			ProvisionedThroughput: &types.ProvisionedThroughput{ReadCapacityUnits: ptr(int64(5)), WriteCapacityUnits: ptr(int64(5))},
			StreamSpecification:   &types.StreamSpecification{StreamEnabled: ptr(true), StreamViewType: view},
		}))
		r.put("sessions", `{"id":{"S":"a"},"at":{"N":"1.0"},"x":{"S":"old"}}`)
		r.put("sessions", `{"id":{"S":"a"},"at":{"N":"01"},"x":{"S":"new"}}`)
		rec := r.readAll(*out.TableDescription.LatestStreamArn)[1]
		text := func(image map[string]st.AttributeValue) string {
			v, ok := image["x"].(*st.AttributeValueMemberS)
			if !ok {
				return ""
			}
			return v.Value
		}
		if got := [2]string{text(rec.Dynamodb.NewImage), text(rec.Dynamodb.OldImage)}; got != want || len(rec.Dynamodb.Keys) != 2 || string(rec.Dynamodb.StreamViewType) != string(view) {
			t.Errorf("%s: images %v, keys %v", view, got, rec.Dynamodb.Keys)
		}
	}
}
