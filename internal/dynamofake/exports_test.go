package dynamofake_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tidemill/tidemill/internal/dynamofake"
)

// recovery turns point-in-time recovery on.
func (r *rig) recovery(table string) {
	r.t.Helper()
	_, err := r.db.UpdateContinuousBackups(r.t.Context(), &dynamodb.UpdateContinuousBackupsInput{
		TableName: &table, PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: ptr(true)},
	})
	r.ok(err)
}

func (r *rig) tableARN() *string {
	r.t.Helper()
	return must[*dynamodb.DescribeTableOutput](r.t)(r.db.DescribeTable(r.t.Context(), &dynamodb.DescribeTableInput{TableName: ptr("sessions")})).Table.TableArn
}

// export asks for an export and returns its description when it has ended.
func (r *rig) export(in dynamodb.ExportTableToPointInTimeInput) *types.ExportDescription {
	r.t.Helper()
	in.TableArn, in.S3Bucket = r.tableARN(), ptr("lake")
	begun := must[*dynamodb.ExportTableToPointInTimeOutput](r.t)(r.db.ExportTableToPointInTime(r.t.Context(), &in)).ExportDescription
	if begun.ExportStatus != types.ExportStatusInProgress {
		r.t.Errorf("a new export is %s", begun.ExportStatus)
	}
	return r.described(begun.ExportArn)
}

func (r *rig) described(arn *string) *types.ExportDescription {
	r.t.Helper()
	return must[*dynamodb.DescribeExportOutput](r.t)(r.db.DescribeExport(r.t.Context(), &dynamodb.DescribeExportInput{ExportArn: arn})).ExportDescription
}

// exported reads an export as an importer does, by its manifests, and checks every checksum and count.
func exported(t *testing.T, dir string, d *types.ExportDescription) (summary map[string]any, lines []string) {
	t.Helper()
	read := func(key string) []byte {
		t.Helper()
		return must[[]byte](t)(os.ReadFile(filepath.Join(dir, "lake", key)))
	}
	sum := func(b []byte) string {
		s := md5.Sum(b)
		return base64.StdEncoding.EncodeToString(s[:])
	}
	checked := func(key string) []byte {
		t.Helper()
		body := read(key)
		if want := string(read(strings.TrimSuffix(key, ".json") + ".md5")); sum(body) != want {
			t.Errorf("%s has the sum %s, want %s", key, sum(body), want)
		}
		return body
	}
	if err := json.Unmarshal(checked(*d.ExportManifest), &summary); err != nil {
		t.Fatal(err)
	}
	filesKey, _ := summary["manifestFilesS3Key"].(string)
	total := 0.0
	for line := range strings.Lines(string(checked(filesKey))) {
		var f struct {
			ItemCount                        float64
			Md5Checksum, ETag, DataFileS3Key string
		}
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		body := read(f.DataFileS3Key)
		if sum(body) != f.Md5Checksum || !strings.HasSuffix(f.ETag, "-1") {
			t.Errorf("%s: sum %s, etag %s", line, sum(body), f.ETag)
		}
		z := must[*gzip.Reader](t)(gzip.NewReader(bytes.NewReader(body)))
		n := len(lines)
		for s := bufio.NewScanner(z); s.Scan(); {
			lines = append(lines, s.Text())
		}
		if float64(len(lines)-n) != f.ItemCount {
			t.Errorf("%s holds %d items", line, len(lines)-n)
		}
		total += f.ItemCount
	}
	if summary["itemCount"] != total || float64(*d.ItemCount) != total {
		t.Errorf("%v items in the summary, %d in the description, %v in the files", summary["itemCount"], *d.ItemCount, total)
	}
	slices.Sort(lines)
	return summary, lines
}

func TestFullExport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newRig(t, dynamofake.Options{Exports: dynamofake.Folder(dir), Shards: 4})
	r.table("sessions")
	r.recovery("sessions")
	for i := range 20 {
		r.put("sessions", `{"id":{"S":"%02d"},"n":{"N":"1"}}`, i)
	}
	r.clock.Advance(10 * time.Minute)
	at := r.clock.Now()
	r.clock.Advance(time.Minute)
	r.put("sessions", `{"id":{"S":"00"},"n":{"N":"2"}}`)
	r.put("sessions", `{"id":{"S":"00"},"n":{"N":"3"}}`)
	r.put("sessions", `{"id":{"S":"new"},"n":{"N":"1"}}`)
	r.ok(r.srv.Delete("sessions", `{"id":{"S":"01"}}`))
	r.clock.Advance(time.Minute)

	d := r.export(dynamodb.ExportTableToPointInTimeInput{ExportTime: &at, S3Prefix: ptr("in/")})
	summary, lines := exported(t, dir, d)
	if len(lines) != 20 || lines[0] != `{"Item":{"id":{"S":"00"},"n":{"N":"1"}}}` || !strings.Contains(lines[1], `"01"`) {
		t.Errorf("%d lines, the first %s %s", len(lines), lines[0], lines[1])
	}
	if d.ExportStatus != types.ExportStatusCompleted || !strings.HasPrefix(*d.ExportManifest, "in/AWSDynamoDB/0") || summary["exportTime"] != "2026-03-01T00:10:00.000Z" ||
		summary["version"] != "2020-06-30" || summary["outputFormat"] != "DYNAMODB_JSON" || summary["tableArn"] != *r.tableARN() {
		t.Errorf("description %+v\nsummary %v", d, summary)
	}
	if started := filepath.Join(dir, "lake", filepath.Dir(*d.ExportManifest), "_started"); must[os.FileInfo](t)(os.Stat(started)).Size() != 0 {
		t.Error("_started is not empty")
	}
	_, now := exported(t, dir, r.export(dynamodb.ExportTableToPointInTimeInput{}))
	if len(now) != 20 || now[0] != `{"Item":{"id":{"S":"00"},"n":{"N":"3"}}}` || strings.Contains(now[1], `"01"`) {
		t.Errorf("the table as it is: %d lines, the first %s", len(now), now[0])
	}
}

func TestIncrementalExport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newRig(t, dynamofake.Options{Exports: dynamofake.Folder(dir)})
	r.table("sessions")
	r.recovery("sessions")
	r.put("sessions", `{"id":{"S":"changed"},"n":{"N":"1"}}`)
	r.put("sessions", `{"id":{"S":"deleted"},"n":{"N":"1"}}`)
	r.put("sessions", `{"id":{"S":"back"},"n":{"N":"1"}}`)
	r.put("sessions", `{"id":{"S":"still"},"n":{"N":"1"}}`)
	r.clock.Advance(time.Hour)
	from := r.clock.Now()
	r.put("sessions", `{"id":{"S":"changed"},"n":{"N":"2"}}`)
	r.put("sessions", `{"id":{"S":"changed"},"n":{"N":"3"}}`)
	r.put("sessions", `{"id":{"S":"new"},"n":{"N":"1"}}`)
	r.ok(r.srv.Delete("sessions", `{"id":{"S":"deleted"}}`))
	r.put("sessions", `{"id":{"S":"passing"},"n":{"N":"1"}}`)
	r.ok(r.srv.Delete("sessions", `{"id":{"S":"passing"}}`))
	r.put("sessions", `{"id":{"S":"back"},"n":{"N":"2"}}`)
	r.put("sessions", `{"id":{"S":"back"},"n":{"N":"1"}}`)
	r.clock.Advance(time.Hour)
	to := r.clock.Now()
	r.put("sessions", `{"id":{"S":"new"},"n":{"N":"2"}}`) // at the end, which is exclusive
	r.clock.Advance(time.Minute)

	increment := func(view types.ExportViewType) (map[string]any, []string) {
		t.Helper()
		return exported(t, dir, r.export(dynamodb.ExportTableToPointInTimeInput{
			ExportType: types.ExportTypeIncrementalExport, IncrementalExportSpecification: &types.IncrementalExportSpecification{ExportFromTime: &from, ExportToTime: &to, ExportViewType: view},
		}))
	}
	summary, lines := increment("")
	const stamp = `{"Metadata":{"WriteTimestampMicros":{"N":"1772326800000000"}},"Keys":{"id":{"S":"`
	want := []string{
		stamp + `changed"}},"OldImage":{"id":{"S":"changed"},"n":{"N":"1"}},"NewImage":{"id":{"S":"changed"},"n":{"N":"3"}}}`,
		stamp + `deleted"}},"OldImage":{"id":{"S":"deleted"},"n":{"N":"1"}}}`,
		stamp + `new"}},"NewImage":{"id":{"S":"new"},"n":{"N":"1"}}}`,
	}
	if !slices.Equal(lines, want) {
		t.Errorf("lines\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if summary["exportType"] != "INCREMENTAL_EXPORT" || summary["version"] != "2023-08-01" || summary["outputView"] != "NEW_AND_OLD_IMAGES" || summary["exportFromTime"] != "2026-03-01T01:00:00.000Z" || summary["exportTime"] != nil {
		t.Errorf("summary %v", summary)
	}
	_, lines = increment(types.ExportViewTypeNewImage)
	if want := stamp + `deleted"}}}`; len(lines) != 3 || lines[1] != want {
		t.Errorf("new images only: %v, want the delete as %s", lines, want)
	}
	data := must[[]string](t)(filepath.Glob(filepath.Join(dir, "lake/AWSDynamoDB/data/*.json.gz")))
	if len(data) != 2 {
		t.Errorf("data files in the shared folder: %v", data)
	}
}

func TestExportTakesTimeAndIsIdempotent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newRig(t, dynamofake.Options{Exports: dynamofake.Folder(dir), ExportDelay: 5 * time.Minute})
	r.table("sessions")
	r.recovery("sessions")
	r.put("sessions", `{"id":{"S":"a"}}`)
	in := &dynamodb.ExportTableToPointInTimeInput{TableArn: r.tableARN(), S3Bucket: ptr("lake"), ClientToken: ptr("once")}
	ask := must[*dynamodb.ExportTableToPointInTimeOutput](t)
	arn := ask(r.db.ExportTableToPointInTime(t.Context(), in)).ExportDescription.ExportArn
	r.put("sessions", `{"id":{"S":"b"}}`) // too late
	r.clock.Advance(5*time.Minute - time.Second)
	if d := r.described(arn); d.ExportStatus != types.ExportStatusInProgress || d.ExportManifest != nil {
		t.Errorf("before its time: %+v", d)
	}
	if got := must[[]string](t)(filepath.Glob(filepath.Join(dir, "lake/AWSDynamoDB/*/*"))); len(got) != 1 {
		t.Errorf("files before its time: %v", got)
	}
	if again := ask(r.db.ExportTableToPointInTime(t.Context(), in)).ExportDescription.ExportArn; *again != *arn {
		t.Error("the same token began another export")
	}
	in.S3Prefix = ptr("other")
	_, err := r.db.ExportTableToPointInTime(t.Context(), in)
	r.wantCode(err, "ExportConflictException")
	r.clock.Advance(time.Second)
	if _, lines := exported(t, dir, r.described(arn)); len(lines) != 1 {
		t.Errorf("lines %v", lines)
	}
	list := must[*dynamodb.ListExportsOutput](t)(r.db.ListExports(t.Context(), &dynamodb.ListExportsInput{TableArn: r.tableARN()}))
	if len(list.ExportSummaries) != 1 || list.ExportSummaries[0].ExportStatus != types.ExportStatusCompleted {
		t.Errorf("list %+v", list.ExportSummaries)
	}
	_, err = r.db.DescribeExport(t.Context(), &dynamodb.DescribeExportInput{ExportArn: ptr(*arn + "x")})
	r.wantCode(err, "ExportNotFoundException")
}

func TestExportEdgesAreFuzzy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newRig(t, dynamofake.Options{Exports: dynamofake.Folder(dir), ExportFuzz: time.Minute})
	r.table("sessions")
	r.recovery("sessions")
	for i := range 121 {
		r.put("sessions", `{"id":{"S":"%03d"}}`, i)
		r.clock.Advance(time.Second)
	}
	_, lines := exported(t, dir, r.export(dynamodb.ExportTableToPointInTimeInput{ExportTime: ptr(start.Add(time.Minute))}))
	early, late := 0, 0
	for i := range 121 {
		there := slices.Contains(lines, fmt.Sprintf(`{"Item":{"id":{"S":"%03d"}}}`, i))
		if i < 60 && !there {
			early++
		}
		if i > 60 && there {
			late++
		}
	}
	if early == 0 || late == 0 {
		t.Errorf("%d items of before are missing, %d of after are there; want some of each", early, late)
	}
}

func TestExportRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{Exports: dynamofake.Folder(t.TempDir())})
	r.table("sessions")
	ask := func(edit func(*dynamodb.ExportTableToPointInTimeInput)) error {
		in := &dynamodb.ExportTableToPointInTimeInput{TableArn: r.tableARN(), S3Bucket: ptr("lake")}
		edit(in)
		_, err := r.db.ExportTableToPointInTime(t.Context(), in)
		return err
	}
	none := func(*dynamodb.ExportTableToPointInTimeInput) {}
	r.wantCode(ask(none), "PointInTimeRecoveryUnavailableException")
	b := must[*dynamodb.DescribeContinuousBackupsOutput](t)(r.db.DescribeContinuousBackups(t.Context(), &dynamodb.DescribeContinuousBackupsInput{TableName: ptr("sessions")}))
	if b.ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus != types.PointInTimeRecoveryStatusDisabled {
		t.Error("recovery is on from the start")
	}
	r.recovery("sessions")
	r.clock.Advance(48 * time.Hour)
	b = must[*dynamodb.DescribeContinuousBackupsOutput](t)(r.db.DescribeContinuousBackups(t.Context(), &dynamodb.DescribeContinuousBackupsInput{TableName: ptr("sessions")}))
	if d := b.ContinuousBackupsDescription.PointInTimeRecoveryDescription; !d.EarliestRestorableDateTime.Equal(start) || !d.LatestRestorableDateTime.Equal(start.Add(48*time.Hour-5*time.Minute)) {
		t.Errorf("recovery window %+v", d)
	}
	r.wantCode(ask(func(in *dynamodb.ExportTableToPointInTimeInput) { in.ExportTime = ptr(start.Add(-time.Hour)) }), "InvalidExportTimeException")
	r.wantCode(ask(func(in *dynamodb.ExportTableToPointInTimeInput) { in.ExportTime = ptr(start.Add(49 * time.Hour)) }), "InvalidExportTimeException")
	r.wantCode(ask(func(in *dynamodb.ExportTableToPointInTimeInput) { in.ExportFormat = types.ExportFormatIon }), "NotImplemented")
	r.wantCode(ask(func(in *dynamodb.ExportTableToPointInTimeInput) { in.S3Bucket = ptr("a/b") }), "ValidationException")
	r.wantCode(ask(func(in *dynamodb.ExportTableToPointInTimeInput) { in.TableArn = ptr(*in.TableArn + "s") }), "TableNotFoundException")
	for d, want := range map[time.Duration]string{14 * time.Minute: "ValidationException", 15 * time.Minute: "", 24 * time.Hour: "", 25 * time.Hour: "ValidationException"} {
		r.wantCode(ask(func(in *dynamodb.ExportTableToPointInTimeInput) {
			in.ExportType = types.ExportTypeIncrementalExport
			in.IncrementalExportSpecification = &types.IncrementalExportSpecification{ExportFromTime: ptr(start.Add(time.Hour)), ExportToTime: ptr(start.Add(time.Hour + d))}
		}), want)
	}
}

type broken struct{}

func (broken) Put(_, key string, _ []byte) error {
	if strings.HasSuffix(key, "_started") {
		return nil
	}
	return errors.New("no such bucket")
}

func TestExportThatFailsSaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t, dynamofake.Options{Exports: broken{}})
	r.table("sessions")
	r.recovery("sessions")
	d := r.export(dynamodb.ExportTableToPointInTimeInput{})
	if d.ExportStatus != types.ExportStatusFailed || *d.FailureMessage != "no such bucket" || *d.FailureCode == "" {
		t.Errorf("%+v", d)
	}
}
