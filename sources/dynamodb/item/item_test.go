package item

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/ingest"
)

var idKey = []Key{{"id", S}}

// decode runs items through profile, columns and rows, and renders what came out: the schema, then the rows.
func decode(t *testing.T, keys []Key, pins map[string]Pin, items ...string) []string {
	t.Helper()
	p := Profile{}
	for _, i := range items {
		a, err := Parse([]byte(i), nil)
		if err != nil {
			t.Fatalf("%s: %v", i, err)
		}
		p.Note(a)
	}
	return rows(t, Columns(nil, keys, p, pins), pins, items...)
}

func rows(t *testing.T, columns []Column, pins map[string]Pin, items ...string) []string {
	t.Helper()
	s := Schema(ingest.TableName{Schema: "dynamodb", Name: "t"}, columns)
	b, d := ingest.NewBuilder(s), NewTable(columns, pins)
	var names []string
	for _, c := range s.Columns {
		names = append(names, c.Name+" "+TypeText(c.Type))
	}
	for _, i := range items {
		if _, err := d.Item([]byte(i)); err != nil {
			t.Fatalf("%s: %v", i, err)
		}
		if err := d.Row(b); err != nil {
			t.Fatalf("%s: %v", i, err)
		}
	}
	rec := b.Record()
	defer rec.Release()
	out := []string{strings.Join(names, ", ")}
	for r := range int(rec.NumRows()) {
		var cells []string
		for c := range s.Columns {
			cells = append(cells, rec.Column(c).ValueStr(r))
		}
		out = append(out, strings.Join(cells, "|"))
	}
	return out
}

func same(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEveryKind(t *testing.T) {
	same(t, decode(t, idKey, nil,
		`{"id":{"S":"a"},"b":{"B":"AAH/"},"n":{"N":"42"},"d":{"N":"1.50"},"ok":{"BOOL":true},"m":{"M":{"z":{"N":"1"},"a":{"L":[{"S":"x"},{"NULL":true},{"B":"AA=="},{"BOOL":false}]}}},"l":{"L":[]},"e":{"S":""},"u":{"S":"\u00e9\n\ud83d\ude00\"\\"}}`),
		"id text, b bytes, d decimal(38,9), e text, l json, m json, n int64, ok bool, u text, _extra json",
		"a|AAH/|1.5||[]|{\"a\":[\"x\",null,\"AA==\",false],\"z\":1}|42|true|é\n😀\"\\|(null)")
}

// B7.12: the order of a set is not stable, its bytes are.
func TestB7Row12SetsAreCanonical(t *testing.T) {
	same(t, decode(t, idKey, nil,
		`{"id":{"S":"1"},"s":{"SS":["b","a","\u0063"]},"n":{"NS":["10","9","-1.50","9007199254740993"]},"b":{"BS":["AQ==","AA=="]}}`,
		`{"id":{"S":"2"},"s":{"SS":["c","b","a"]},"n":{"NS":["9007199254740993","-1.5","9.0","1E1"]},"b":{"BS":["AA==","AQ=="]}}`),
		"id text, b json, n json, s json, _extra json",
		`1|["AA==","AQ=="]|[-1.5,9,10,"9007199254740993"]|["a","b","c"]|(null)`,
		`2|["AA==","AQ=="]|[-1.5,9,10,"9007199254740993"]|["a","b","c"]|(null)`)
}

// B7.13: NULL and missing are both NULL in the column, and told apart in _extra.
func TestB7Row13NullIsNotMissing(t *testing.T) {
	same(t, decode(t, idKey, nil, `{"id":{"S":"1"},"x":{"S":"v"}}`, `{"id":{"S":"2"},"x":{"NULL":true}}`, `{"id":{"S":"3"}}`, `{"id":{"S":"4"},"never":{"NULL":true}}`),
		"id text, x text, _extra json", `1|v|(null)`, `2|(null)|{"x":null}`, `3|(null)|(null)`, `4|(null)|{"never":null}`)
}

// B7.14: an attribute that is a number, then a string, then a map: no failure, nothing lost, and the column stays what it is.
func TestB7Row14AClashKeepsTheValue(t *testing.T) {
	p := Profile{}
	a, _ := Parse([]byte(`{"id":{"S":"1"},"x":{"N":"1"}}`), nil)
	p.Note(a)
	columns := Columns(nil, idKey, p, nil)
	items := []string{`{"id":{"S":"1"},"x":{"N":"1"}}`, `{"id":{"S":"2"},"x":{"S":"one"}}`, `{"id":{"S":"3"},"x":{"M":{"v":{"N":"1"}}}}`, `{"id":{"S":"4"},"x":{"N":"1.5"}}`, `{"id":{"S":"5"},"x":{"N":"9223372036854775808"}}`}
	same(t, rows(t, columns, nil, items...), "id text, x int64, _extra json",
		`1|1|(null)`, `2|(null)|{"x":"one"}`, `3|(null)|{"x":{"v":1}}`, `4|(null)|{"x":1.5}`, `5|(null)|{"x":"9223372036854775808"}`)
	for _, i := range items {
		a, _ := Parse([]byte(i), nil)
		p.Note(a)
	}
	if now := Columns(columns, idKey, p, nil); fmt.Sprint(now) != fmt.Sprint(columns) {
		t.Errorf("columns that are there have changed: %v", now)
	}
	if anew := Columns(nil, idKey, p, nil); anew[1].Type.Kind != ingest.JSON {
		t.Errorf("a new generation has %v", anew)
	}
}

func TestTheLatticeOnlyGrows(t *testing.T) {
	for _, c := range []struct {
		items []string
		want  string
	}{
		{[]string{`{"N":"1"}`}, "int64"},
		{[]string{`{"N":"1"}`, `{"NULL":true}`}, "int64"},
		{[]string{`{"N":"1"}`, `{"N":"1.5"}`}, "decimal(38,9)"},
		{[]string{`{"N":"1E+20"}`}, "decimal(38,9)"},
		{[]string{`{"N":"1E+30"}`, `{"N":"0.001"}`}, "decimal(38,7)"},
		{[]string{`{"N":"0.000000000001"}`}, "decimal(38,12)"},
		{[]string{`{"N":"1E+125"}`}, "text"},
		{[]string{`{"N":"1E+30"}`, `{"N":"1E-30"}`}, "text"},
		{[]string{`{"S":"x"}`}, "text"},
		{[]string{`{"S":"x"}`, `{"N":"1"}`}, "json"},
		{[]string{`{"BOOL":true}`, `{"S":"x"}`}, "json"},
		{[]string{`{"M":{}}`}, "json"},
		{[]string{`{"XX":{}}`}, "json"},
	} {
		p, back := Profile{}, Profile{}
		for i := range c.items {
			for q, item := range map[*Profile]string{&p: c.items[i], &back: c.items[len(c.items)-1-i]} {
				a, err := Parse([]byte(`{"x":`+item+`}`), nil)
				if err != nil {
					t.Fatal(err)
				}
				q.Note(a)
			}
		}
		if p["x"] != back["x"] {
			t.Errorf("%v: the order counts: %+v, %+v", c.items, p["x"], back["x"])
		}
		if p.Join(back) {
			t.Errorf("%v: joining what is known grows", c.items)
		}
		if col, ok := p["x"].column(); !ok || TypeText(col.Type) != c.want {
			t.Errorf("%v is %s, want %s", c.items, TypeText(col.Type), c.want)
		}
	}
	p := Profile{"x": {Tags: 1 << S}}
	if grown := p.Join(Profile{"x": {Tags: 1 << N, Whole: 3}}); !grown || p["x"] != (Seen{Tags: 1<<S | 1<<N, Whole: 3}) {
		t.Errorf("a text and a number together are %+v", p["x"])
	}
	if _, ok := (Seen{Tags: 1 << NULL}).column(); ok {
		t.Error("an attribute that is NULL everywhere has a column")
	}
}

func TestKeys(t *testing.T) {
	keys := []Key{{"n", N}, {"b", B}}
	same(t, decode(t, keys, nil, `{"b":{"B":"AA=="},"n":{"N":"1.0"}}`), "n int64, b bytes, _extra json", "1|AA==|(null)")
	d := NewTable(Columns(nil, keys, Profile{}, nil), nil)
	one, err := d.Item([]byte(`{"n":{"N":"1.0"},"b":{"B":"AA=="}}`))
	two, err2 := d.Item([]byte(`{"b":{"B":"AA=="},"x":{"S":"y"},"n":{"N":"1"}}`))
	if one != two || err != nil || err2 != nil {
		t.Errorf("one key has two hashes: %v, %v", err, err2)
	}
	b := ingest.NewBuilder(Schema(ingest.TableName{}, d.ColumnsOf()))
	if _, err := d.Item([]byte(`{"n":{"N":"1.5"},"b":{"B":"AA=="}}`)); err != nil {
		t.Fatal(err)
	}
	if err := d.Row(b); err == nil || !strings.Contains(err.Error(), `key attribute "n" does not fit its column, which is int64`) || strings.Contains(err.Error(), "1.5") {
		t.Errorf("a key that does not fit: %v", err)
	}
	if _, err := d.Item([]byte(`{"n":{"N":"1"}}`)); err == nil || !strings.Contains(err.Error(), `no key attribute "b"`) {
		t.Errorf("a key that is missing: %v", err)
	}
	if _, err := d.Item([]byte(`{"n":{"N":"7"},"b":{"B":"AQ=="}}`)); err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(b); err != nil || b.Rows() != 1 {
		t.Errorf("deleting: %v, %d rows", err, b.Rows())
	}
}

func TestPins(t *testing.T) {
	pins := map[string]Pin{"secret": {Drop: true}, "amount": {Name: "amount_idr", Type: ingest.Type{Kind: ingest.Decimal, Precision: 18, Scale: 2}}, "v": {Type: ingest.Type{Kind: ingest.Text}}}
	same(t, decode(t, idKey, pins, `{"id":{"S":"1"},"secret":{"S":"x"},"amount":{"N":"10.5"},"v":{"S":"a"}}`, `{"id":{"S":"2"},"secret":{"N":"1"},"amount":{"N":"0.001"},"v":{"N":"1.0"}}`),
		"id text, amount_idr decimal(18,2), v text, _extra json", "1|10.5|a|(null)", `2|(null)|1|{"amount":0.001}`)
}

// Names that a warehouse cannot tell apart, or not have, stay in _extra.
func TestNames(t *testing.T) {
	long := strings.Repeat("x", 64)
	same(t, decode(t, idKey, nil, `{"id":{"S":"1"},"Name":{"S":"a"},"name":{"S":"b"},"_op":{"S":"c"},"_extra":{"S":"d"},"`+long+`":{"S":"e"},"q\"":{"S":"f"}}`),
		"id text, Name text, _extra json", `1|a|{"_extra":"d","_op":"c","name":"b","q\"":"f","`+long+`":"e"}`)
}

// Names that are data do not make the state of a source grow without an end; their values are in _extra.
func TestNamesThatAreData(t *testing.T) {
	p := Profile{}
	for i := range 3 * maxProfile {
		a, err := Parse(fmt.Appendf(nil, `{"id":{"S":"1"},"score-of-%d":{"N":"1"}}`, i), nil)
		if err != nil {
			t.Fatal(err)
		}
		p.Note(a)
	}
	columns := Columns(nil, idKey, p, nil)
	if len(p) != maxProfile || len(columns) != maxColumns {
		t.Errorf("%d names, %d columns", len(p), len(columns))
	}
	got := rows(t, columns, nil, `{"id":{"S":"1"},"score-of-999999":{"N":"5"}}`)
	if !strings.HasSuffix(got[1], `|{"score-of-999999":5}`) {
		t.Errorf("got %s", got[1][len(got[1])-80:])
	}
}

func TestUnknownKindsAreCarried(t *testing.T) {
	same(t, decode(t, idKey, nil, `{"id":{"S":"1"},"v":{ "VEC" : [ 1, "a b\"" ] }}`), "id text, v json, _extra json", `1|(null)|{"v":{"VEC":[1,"a b\""]}}`)
}

// What a warehouse keeps for itself is no column, whatever its letters; nothing is lost.
func TestNamesThatWarehousesKeep(t *testing.T) {
	same(t, decode(t, idKey, nil, `{"id":{"S":"1"},"rowid":{"S":"r"},"XMIN":{"N":"2"},"_op":{"N":"1"},"ok":{"S":"x"}}`), "id text, ok text, _extra json", `1|x|{"XMIN":2,"_op":1,"rowid":"r"}`)
	same(t, decode(t, idKey, map[string]Pin{"oid": {Name: "object_id"}}, `{"id":{"S":"1"},"oid":{"S":"r"}}`), "id text, object_id text, _extra json", `1|r|(null)`)
}

// A pinned integer that is too small for a value keeps it exact beside it.
func TestIntegersThatAreTooSmall(t *testing.T) {
	pins := map[string]Pin{"a": {Type: ingest.Type{Kind: ingest.Int16}}, "b": {Type: ingest.Type{Kind: ingest.Int32}}}
	same(t, decode(t, idKey, pins, `{"id":{"S":"1"},"a":{"N":"-32768"},"b":{"N":"2147483647"}}`, `{"id":{"S":"2"},"a":{"N":"32768"},"b":{"N":"-2147483649"}}`), "id text, a int16, b int32, _extra json",
		`1|-32768|2147483647|(null)`, `2|(null)|(null)|{"a":32768,"b":-2147483649}`)
}

// A value that is not what its tag says is carried with it, at any depth, and the rest of its item is as ever.
func TestValuesThatAreNoneAreCarried(t *testing.T) {
	same(t, decode(t, idKey, nil, `{"id":{"S":"1"},"n":{"N":"NaN"},"b":{"B":"?"},"m":{"M":{"x":{"N":"1"},"y":{"NS":["1","x"]}}}}`), "id text, b bytes, m json, n json, _extra json",
		`1|(null)|{"x":1,"y":{"NS":["1","x"]}}|(null)|{"b":{"B":"?"},"n":{"N":"NaN"}}`)
}

func TestRecords(t *testing.T) {
	records, next, err := Records([]byte(`{"NextShardIterator":"it\/1","Records":[
	 {"eventID":"1","eventName":"INSERT","dynamodb":{"ApproximateCreationDateTime":1.7e9,"Keys":{"id":{"S":"a"}},"NewImage":{"id":{"S":"a"},"x":{"N":"1"}},"SequenceNumber":"100","SizeBytes":9,"StreamViewType":"NEW_IMAGE"}},
	 {"eventName":"REMOVE","userIdentity":{"PrincipalId":"dynamodb.amazonaws.com","Type":"Service"},"dynamodb":{"ApproximateCreationDateTime":1700000001.9,"Keys":{"id":{"S":"a"}},"SequenceNumber":"101"}}]}`))
	if err != nil || next != "it/1" || len(records) != 2 {
		t.Fatalf("%v, %q, %d records", err, next, len(records))
	}
	if r := records[0]; r.At != 1700000000 || r.Remove || r.Sequence != "100" || string(r.Image) != `{"id":{"S":"a"},"x":{"N":"1"}}` {
		t.Errorf("%+v", r)
	}
	if r := records[1]; r.At != 1700000001 || !r.Remove || !r.TTL {
		t.Errorf("%+v", r)
	}
	if _, next, err := Records([]byte(`{"Records":[]}`)); err != nil || next != "" {
		t.Errorf("the end of a shard: %q, %v", next, err)
	}
	if _, _, err := Items([]byte(`{}`)); err == nil {
		t.Error("an answer without items is the end of a table")
	}
	for _, bad := range []string{``, `{`, `{}`, `{"NextShardIterator":"x"}`, `{"Records":[{"eventName":"INSERT"}]}`, `{"Records":[]}x`, `{"Records":[{"eventName":"OTHER","dynamodb":{"Keys":{},"SequenceNumber":"1"}}]}`} {
		if _, _, err := Records([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

// What comes out is valid JSON, the same for the same item with its members turned round, and decoding never panics.
func FuzzItem(f *testing.F) {
	f.Add(`{"id":{"S":"a"},"m":{"M":{"z":{"N":"1"},"a":{"L":[{"S":"x"}]}}}}`)
	f.Add(`{"id":{"S":"\ud800"},"s":{"NS":["1","2"]},"b":{"BS":["AA=="]},"v":{"Q":[null]}}`)
	f.Fuzz(func(t *testing.T, in string) {
		attributes, err := Parse([]byte(in), nil)
		if err != nil {
			return
		}
		if !json.Valid([]byte(in)) {
			return // we read a little more than JSON
		}
		text, ok := appendMembers(nil, attributes, 0)
		if ok && !json.Valid(text) {
			t.Fatalf("%q became %q", in, text)
		}
		p := Profile{}
		p.Note(attributes)
		columns := Columns(nil, idKey, p, nil)
		d := NewTable(columns, nil)
		if _, err := d.Item([]byte(in)); err != nil {
			return
		}
		b := ingest.NewBuilder(Schema(ingest.TableName{}, columns))
		if err := d.Row(b); err == nil && b.Rows() != 1 {
			t.Fatalf("%d rows", b.Rows())
		}
		b.Record().Release()
	})
}
