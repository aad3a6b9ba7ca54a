package dynamofake_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	tables "github.com/aws/aws-sdk-go-v2/service/dynamodb/schemas"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streams "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/schemas"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/tidemill/tidemill/internal/dynamofake"
)

// The SDK is generated from AWS's model of the API and carries it along. These tests hold the fake against that model,
// requests by the types they are decoded to and answers one by one, so that it can't drift into our own image of AWS.

// modelled is the SDK's protocol; on the way it fails the test for any member, type or enum value of an answer that is
// not the model's. (The SDK itself passes over what it doesn't know.)
type modelled struct {
	smithyhttp.ClientProtocol
	t testing.TB
}

func (m modelled) DeserializeResponse(ctx context.Context, op *smithy.OperationSchema, types *smithy.TypeRegistry, resp *smithyhttp.Response, out smithy.Deserializable) error {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		m.t.Errorf("%s: an answer that is no JSON: %v", op.ID().Name, err)
	}
	schema := op.Output
	if resp.StatusCode != 200 {
		kind, _ := v["__type"].(string)
		_, name, _ := strings.Cut(kind, "#")
		delete(v, "__type")
		schema = nil
		for id, e := range types.Entries {
			if _, short, _ := strings.Cut(id, "#"); short == name {
				schema = e.Schema
			}
		}
		if schema == nil && strings.HasPrefix(kind, "com.amazonaws.dynamodb.") {
			m.t.Errorf("%s: error %s is not in the model", op.ID().Name, kind)
		}
	}
	if schema != nil {
		for _, fault := range misfits(op.ID().Name, schema, v, resp.StatusCode != 200) {
			m.t.Errorf("an answer that is not the model's: %s", fault)
		}
	}
	return m.ClientProtocol.DeserializeResponse(ctx, op, types, resp, out)
}

// misfits lists where JSON is not what the schema says.
func misfits(path string, s *smithy.Schema, v any, isError bool) []string {
	var out []string
	bad := func() []string { return []string{fmt.Sprintf("%s is %T, want type %d", path, v, s.Type())} }
	switch s.Type() {
	case smithy.ShapeTypeStructure, smithy.ShapeTypeUnion:
		m, ok := v.(map[string]any)
		if !ok {
			return bad()
		}
		for name, x := range m {
			member := s.Members()[name]
			if member == nil && isError && strings.EqualFold(name, "message") {
				continue // the model spells it in both ways
			}
			if member == nil {
				out = append(out, path+"."+name+" does not exist")
				continue
			}
			out = append(out, misfits(path+"."+name, member, x, false)...)
		}
	case smithy.ShapeTypeMap:
		m, ok := v.(map[string]any)
		if !ok {
			return bad()
		}
		for name, x := range m {
			out = append(out, misfits(path+"."+name, s.MapValue(), x, false)...)
		}
	case smithy.ShapeTypeList, smithy.ShapeTypeSet:
		l, ok := v.([]any)
		if !ok {
			return bad()
		}
		for i, x := range l {
			out = append(out, misfits(fmt.Sprintf("%s[%d]", path, i), s.ListMember(), x, false)...)
		}
	case smithy.ShapeTypeEnum:
		text, ok := v.(string)
		if !ok || !slices.ContainsFunc(enumValues(s), func(x string) bool { return x == text }) {
			return []string{fmt.Sprintf("%s is %v, want one of %v", path, v, enumValues(s))}
		}
	case smithy.ShapeTypeString, smithy.ShapeTypeBlob:
		if _, ok := v.(string); !ok {
			return bad()
		}
	case smithy.ShapeTypeBoolean:
		if _, ok := v.(bool); !ok {
			return bad()
		}
	default:
		n, ok := v.(json.Number)
		if !ok || s.Type() != smithy.ShapeTypeTimestamp && s.Type() != smithy.ShapeTypeDouble && strings.ContainsAny(n.String(), ".eE") {
			return bad()
		}
	}
	return out
}

// enumValues are the values of an enum by their names in the model, which are the values with _ for other characters.
func enumValues(s *smithy.Schema) []string {
	var out []string
	for name := range s.Members() {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func inputs() map[string]*smithy.Schema {
	return map[string]*smithy.Schema{
		"DynamoDB_20120810.CreateTable": tables.CreateTableInput, "DynamoDB_20120810.DescribeTable": tables.DescribeTableInput,
		"DynamoDB_20120810.DeleteTable": tables.DeleteTableInput, "DynamoDB_20120810.UpdateTable": tables.UpdateTableInput,
		"DynamoDB_20120810.ListTables": tables.ListTablesInput, "DynamoDB_20120810.PutItem": tables.PutItemInput,
		"DynamoDB_20120810.GetItem": tables.GetItemInput, "DynamoDB_20120810.DeleteItem": tables.DeleteItemInput,
		"DynamoDB_20120810.UpdateItem": tables.UpdateItemInput, "DynamoDB_20120810.BatchWriteItem": tables.BatchWriteItemInput,
		"DynamoDB_20120810.TransactWriteItems": tables.TransactWriteItemsInput, "DynamoDB_20120810.Scan": tables.ScanInput,
		"DynamoDB_20120810.UpdateTimeToLive": tables.UpdateTimeToLiveInput, "DynamoDB_20120810.DescribeTimeToLive": tables.DescribeTimeToLiveInput,
		"DynamoDB_20120810.UpdateContinuousBackups":   tables.UpdateContinuousBackupsInput,
		"DynamoDB_20120810.DescribeContinuousBackups": tables.DescribeContinuousBackupsInput,
		"DynamoDB_20120810.ExportTableToPointInTime":  tables.ExportTableToPointInTimeInput,
		"DynamoDB_20120810.DescribeExport":            tables.DescribeExportInput, "DynamoDB_20120810.ListExports": tables.ListExportsInput,

		"DynamoDBStreams_20120810.ListStreams": streams.ListStreamsInput, "DynamoDBStreams_20120810.DescribeStream": streams.DescribeStreamInput,
		"DynamoDBStreams_20120810.GetShardIterator": streams.GetShardIteratorInput, "DynamoDBStreams_20120810.GetRecords": streams.GetRecordsInput,
	}
}

func TestRequestsAreTheModels(t *testing.T) {
	t.Parallel()
	want := inputs()
	for target, request := range dynamofake.Requests() {
		schema := want[target]
		if schema == nil {
			t.Errorf("%s has no schema in this test", target)
			continue
		}
		compare(t, target, schema, request)
	}
	if len(want) != len(dynamofake.Requests()) {
		t.Errorf("%d operations, want %d", len(dynamofake.Requests()), len(want))
	}
}

// compare wants the members of a Go type and those of the model to be the same.
func compare(t *testing.T, path string, s *smithy.Schema, g reflect.Type) {
	t.Helper()
	for g.Kind() == reflect.Pointer {
		g = g.Elem()
	}
	switch {
	case dynamofake.IsItem(g):
	case g.Kind() == reflect.Slice:
		if s.Type() != smithy.ShapeTypeList {
			t.Errorf("%s is no list", path)
			return
		}
		compare(t, path+"[]", s.ListMember(), g.Elem())
	case g.Kind() == reflect.Map:
		if s.Type() == smithy.ShapeTypeMap {
			compare(t, path+"{}", s.MapValue(), g.Elem())
		}
	case g.Kind() == reflect.Struct:
		compareStruct(t, path, s, g)
	default:
		kinds := map[reflect.Kind][]smithy.ShapeType{
			reflect.String: {smithy.ShapeTypeString, smithy.ShapeTypeEnum}, reflect.Bool: {smithy.ShapeTypeBoolean},
			reflect.Int: {smithy.ShapeTypeInteger, smithy.ShapeTypeLong}, reflect.Float64: {smithy.ShapeTypeTimestamp, smithy.ShapeTypeDouble},
		}
		if !slices.Contains(kinds[g.Kind()], s.Type()) {
			t.Errorf("%s is %v here and type %d in the model", path, g, s.Type())
		}
	}
}

func compareStruct(t *testing.T, path string, s *smithy.Schema, g reflect.Type) {
	t.Helper()
	known := map[string]bool{}
	for i := range g.NumField() {
		name, options, _ := strings.Cut(g.Field(i).Tag.Get("json"), ",")
		known[name] = true
		member := s.Members()[name]
		switch {
		case member == nil && !union(path):
			t.Errorf("%s.%s is not in the model", path, name)
		case member != nil && options != "no":
			compare(t, path+"."+name, member, g.Field(i).Type)
		}
	}
	for name := range s.Members() {
		if !known[name] {
			t.Errorf("%s.%s is not known here", path, name)
		}
	}
}

// union says that a type here is that of several in the model: the four writes of a transaction.
func union(path string) bool { return strings.Contains(path, ".TransactItems[].") }

func TestEveryOperationOfAWSIsKnown(t *testing.T) {
	t.Parallel()
	known := dynamofake.Requests()
	for prefix, client := range map[string]reflect.Type{
		"DynamoDB_20120810.": reflect.TypeFor[*dynamodb.Client](), "DynamoDBStreams_20120810.": reflect.TypeFor[*dynamodbstreams.Client](),
	} {
		for i := range client.NumMethod() {
			name := client.Method(i).Name
			_, here := known[prefix+name]
			if refused := slices.Contains(dynamofake.Elsewhere(), name); name != "Options" && here == refused {
				t.Errorf("%s%s: done here %v, refused by name %v; want one of them", prefix, name, here, refused)
			}
		}
	}
}
