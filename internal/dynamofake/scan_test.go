package dynamofake_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tidemill/tidemill/internal/dynamofake"
)

// scan reads all pages and returns the ids in order, with the number of pages.
func (r *rig) scan(in dynamodb.ScanInput) (ids []string, pages int) {
	r.t.Helper()
	in.TableName = ptr("sessions")
	for {
		out := must[*dynamodb.ScanOutput](r.t)(r.db.Scan(r.t.Context(), &in))
		for _, it := range out.Items {
			id, _ := it["id"].(*types.AttributeValueMemberS)
			ids = append(ids, id.Value)
		}
		if int(out.Count) != len(out.Items) || out.ScannedCount != out.Count {
			r.t.Errorf("count %d, scanned %d, items %d", out.Count, out.ScannedCount, len(out.Items))
		}
		pages++
		if in.ExclusiveStartKey = out.LastEvaluatedKey; out.LastEvaluatedKey == nil {
			return ids, pages
		}
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	r.table("sessions")
	if ids, pages := r.scan(dynamodb.ScanInput{}); len(ids) != 0 || pages != 1 {
		t.Errorf("an empty table: %v in %d pages", ids, pages)
	}
	for i := range 1000 {
		r.put("sessions", `{"id":{"S":"%d"},"x":{"S":"%s"}}`, i, strings.Repeat("x", 3000))
	}
	whole, pages := r.scan(dynamodb.ScanInput{ConsistentRead: ptr(true)})
	if len(whole) != 1000 || pages != 3 {
		t.Errorf("%d items in %d pages, want 1000 in 3", len(whole), pages)
	}
	limited, pages := r.scan(dynamodb.ScanInput{Limit: ptr(int32(100))})
	if strings.Join(limited, " ") != strings.Join(whole, " ") || pages != 11 { // the last full page can't know that it is
		t.Errorf("by 100: %d items in %d pages", len(limited), pages)
	}
	for _, total := range []int32{1, 2, 3, 7, 64, 300} {
		seen := map[string]int{}
		var inOrder []string
		for i := range total {
			ids, _ := r.scan(dynamodb.ScanInput{Segment: ptr(i), TotalSegments: ptr(total), Limit: ptr(int32(90))})
			inOrder = append(inOrder, ids...)
			for _, id := range ids {
				seen[id]++
			}
		}
		if len(seen) != 1000 || len(inOrder) != 1000 {
			t.Errorf("%d segments hold %d items, %d different", total, len(inOrder), len(seen))
		}
	}
	counted := must[*dynamodb.ScanOutput](t)(r.db.Scan(t.Context(), &dynamodb.ScanInput{TableName: ptr("sessions"), Select: types.SelectCount}))
	if counted.Items != nil || counted.Count == 0 {
		t.Errorf("a counting scan: %+v", counted)
	}
}

func TestScanRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{})
	r.table("sessions")
	r.put("sessions", `{"id":{"S":"a"}}`)
	wrong := 0
	for i := range int32(2) {
		_, err := r.db.Scan(t.Context(), &dynamodb.ScanInput{TableName: ptr("sessions"), Segment: ptr(i), TotalSegments: ptr(int32(2)), ExclusiveStartKey: attrs{"id": str("a")}})
		if code(err) == "ValidationException" {
			wrong++
		}
	}
	if wrong != 1 {
		t.Errorf("a key was refused by %d of 2 segments, want by the one that can't hold it", wrong)
	}
	for name, in := range map[string]dynamodb.ScanInput{
		"ValidationException 1": {Segment: ptr(int32(2)), TotalSegments: ptr(int32(2))},
		"ValidationException 2": {Segment: ptr(int32(0))},
		"ValidationException 3": {TotalSegments: ptr(int32(1))},
		"ValidationException 4": {Limit: ptr(int32(0))},
		"ValidationException 5": {ExclusiveStartKey: attrs{"no": str("a")}},
		"NotImplemented 6":      {FilterExpression: ptr("attribute_exists(id)")},
		"NotImplemented 7":      {IndexName: ptr("by-name")},
	} {
		in.TableName = ptr("sessions")
		_, err := r.db.Scan(t.Context(), &in)
		if want, _, _ := strings.Cut(name, " "); code(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSameSeedSameAnswers(t *testing.T) {
	t.Parallel()
	all := map[string]bool{}
	for _, seed := range []uint64{1, 1, 2} {
		r := newRig(t, dynamofake.Options{Seed: seed, Shards: 2})
		arn := r.table("sessions")
		for i := range 20 {
			r.put("sessions", `{"id":{"S":"%d"},"s":{"SS":["a","b","c","d"]}}`, i)
		}
		var b strings.Builder
		ids, _ := r.scan(dynamodb.ScanInput{})
		fmt.Fprint(&b, ids)
		for _, rec := range r.readAll(arn) {
			fmt.Fprint(&b, *rec.EventID, *rec.Dynamodb.SequenceNumber, fmt.Sprintf("%+v", rec.Dynamodb.NewImage["s"]))
		}
		all[b.String()] = true
	}
	if len(all) != 2 {
		t.Errorf("two seeds gave %d histories", len(all))
	}
}
