package dynamofake

import (
	"bytes"
	"compress/gzip"
	"crypto/md5" //nolint:gosec // the export format's checksum
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Destination takes the objects of exports, as a bucket does. Put must be quick: it is called under the server's lock.
type Destination interface {
	Put(bucket, key string, body []byte) error
}

// Folder is a Destination that writes each object to a file below the folder: folder/bucket/key.
type Folder string

// Put writes one object.
func (f Folder) Put(bucket, key string, body []byte) error {
	path := filepath.Join(string(f), bucket, filepath.FromSlash(key))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, body, 0o600)
}

// export is one export task. What it will write is fixed when it is asked for, and appears when it ends.
type export struct {
	arn, id, token  string
	table           *table
	in              *exportInput
	started, due    time.Time
	at, from, to    time.Time
	lines           [][][]byte // by file
	items           int
	bytes           int
	status, failure string
}

type incrementalSpecification struct {
	ExportFromTime *float64 `aws:"ExportFromTime"`
	ExportToTime   *float64 `aws:"ExportToTime"`
	ExportViewType string   `aws:"ExportViewType"`
}

type exportInput struct {
	TableArn                       string                    `aws:"TableArn"`
	S3Bucket                       string                    `aws:"S3Bucket"`
	S3BucketOwner                  string                    `aws:"S3BucketOwner"`
	S3Prefix                       string                    `aws:"S3Prefix"`
	S3SseAlgorithm                 string                    `aws:"S3SseAlgorithm"`
	S3SseKmsKeyId                  string                    `aws:"S3SseKmsKeyId"`
	ClientToken                    string                    `aws:"ClientToken"`
	ExportFormat                   string                    `aws:"ExportFormat"`
	ExportTime                     *float64                  `aws:"ExportTime"`
	ExportType                     string                    `aws:"ExportType"`
	IncrementalExportSpecification *incrementalSpecification `aws:"IncrementalExportSpecification"`
	FilterSpecification            any                       `aws:"FilterSpecification,no"`
}

func (x *export) incremental() bool { return x.in.ExportType == "INCREMENTAL_EXPORT" }

// full collects the table's items as they were at the export's time. Each item's time may be off by the fuzz.
func (x *export) full(e encoder, fuzz time.Duration) {
	t := x.table
	undone := map[string]*row{}
	for _, ch := range t.journal {
		if _, known := undone[ch.key]; !known && ch.at.After(x.at.Add(blur(t, ch.key, fuzz))) {
			undone[ch.key] = ch.old
		}
	}
	var rows []*row
	for _, part := range t.rows {
		for _, r := range part {
			if _, changed := undone[r.key]; !changed {
				rows = append(rows, r)
			}
		}
	}
	for _, r := range undone {
		if r != nil {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, compareRow)
	e.rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] }) // no two exports have an item in the same place
	for _, r := range rows {
		x.add(e.rng.Uint64(), append(e.item([]byte(`{"Item":`), r.item), '}'))
		x.bytes += r.size
	}
}

// changes collects, for each item that changed in [from, to), what it was before and what it is after.
func (x *export) changes(e encoder, fuzz time.Duration) {
	first, last := map[string]change{}, map[string]change{}
	var order []string
	for _, ch := range x.table.journal {
		off := blur(x.table, ch.key, fuzz)
		if ch.at.Before(x.from.Add(off)) || !ch.at.Before(x.to.Add(off)) {
			continue
		}
		if _, known := first[ch.key]; !known {
			first[ch.key] = ch
			order = append(order, ch.key)
		}
		last[ch.key] = ch
	}
	for _, key := range order {
		old, fresh := first[key].old, last[key].new
		if old == nil && fresh == nil || old != nil && fresh != nil && old.item.equal(fresh.item) {
			continue
		}
		x.addChange(e, last[key].at, old, fresh)
	}
}

func (x *export) addChange(e encoder, at time.Time, old, fresh *row) {
	shown := fresh
	if fresh == nil {
		shown = old
	}
	line := fmt.Appendf(nil, `{"Metadata":{"WriteTimestampMicros":{"N":"%d"}},"Keys":`, at.UnixMicro())
	line = e.item(line, x.table.keyOf(shown.item))
	if old != nil && x.view() == "NEW_AND_OLD_IMAGES" {
		line = e.item(append(line, `,"OldImage":`...), old.item)
	}
	if fresh != nil {
		line = e.item(append(line, `,"NewImage":`...), fresh.item)
	}
	x.add(shown.hash, append(line, '}'))
	x.bytes += shown.size
}

func (x *export) view() string {
	if s := x.in.IncrementalExportSpecification; s != nil && s.ExportViewType != "" {
		return s.ExportViewType
	}
	return "NEW_AND_OLD_IMAGES"
}

// add puts a line into the file of its part of the hash space.
func (x *export) add(hash uint64, line []byte) {
	i := 0
	if n := uint64(len(x.lines)); n > 1 {
		i = int(hash / (^uint64(0)/n + 1))
	}
	x.lines[i] = append(x.lines[i], line)
	x.items++
}

// blur is how far an item's own time is off the export's: fixed by key.
func blur(t *table, key string, fuzz time.Duration) time.Duration {
	if fuzz <= 0 {
		return 0
	}
	var n uint64
	for _, c := range []byte(key) {
		n = n*1099511628211 + uint64(c) + t.seed
	}
	return time.Duration(rand.New(rand.NewPCG(n, t.seed)).Int64N(int64(2*fuzz))) - fuzz
}

func (x *export) folder() string {
	prefix := strings.Trim(x.in.S3Prefix, "/")
	if prefix != "" {
		prefix += "/"
	}
	return prefix + "AWSDynamoDB/"
}

// write puts the export's objects: data, then the list of files, then the summary, each manifest with its checksum.
func (x *export) write(d Destination, end time.Time, rng *rand.Rand) error {
	data := x.folder() + x.id + "/data/"
	if x.incremental() {
		data = x.folder() + "data/"
	}
	var files []byte
	for _, lines := range x.lines {
		body, err := compress(lines)
		if err != nil {
			return err
		}
		key := data + fmt.Sprintf("%026x.json.gz", rng.Uint64())
		if err := d.Put(x.in.S3Bucket, key, body); err != nil {
			return err
		}
		sum := md5.Sum(body) //nolint:gosec // as above
		entry, err := json.Marshal(struct {
			Items int    `json:"itemCount"`
			MD5   string `json:"md5Checksum"`
			ETag  string `json:"etag"`
			Key   string `json:"dataFileS3Key"`
		}{len(lines), base64.StdEncoding.EncodeToString(sum[:]), hex.EncodeToString(sum[:]) + "-1", key})
		if err != nil {
			return err
		}
		files = append(append(files, entry...), '\n')
	}
	if err := x.manifest(d, "manifest-files", files); err != nil {
		return err
	}
	summary, err := json.Marshal(x.summary(end))
	if err != nil {
		return err
	}
	return x.manifest(d, "manifest-summary", summary)
}

func compress(lines [][]byte) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	for _, line := range lines {
		if _, err := z.Write(append(line, '\n')); err != nil {
			return nil, err
		}
	}
	err := z.Close()
	return b.Bytes(), err
}

func (x *export) manifest(d Destination, name string, body []byte) error {
	at := x.folder() + x.id + "/" + name
	if err := d.Put(x.in.S3Bucket, at+".json", body); err != nil {
		return err
	}
	sum := md5.Sum(body) //nolint:gosec // as above
	return d.Put(x.in.S3Bucket, at+".md5", []byte(base64.StdEncoding.EncodeToString(sum[:])))
}

const stamp = "2006-01-02T15:04:05.000Z"

func (x *export) summary(end time.Time) map[string]any {
	m := map[string]any{
		"version": "2020-06-30", "exportArn": x.arn, "startTime": x.started.Format(stamp), "endTime": end.Format(stamp),
		"tableArn": x.table.arn, "tableId": x.table.id, "s3Bucket": x.in.S3Bucket, "s3Prefix": orNull(x.in.S3Prefix),
		"s3SseAlgorithm": "AES256", "s3SseKmsKeyId": nil, "manifestFilesS3Key": x.folder() + x.id + "/manifest-files.json",
		"billedSizeBytes": x.bytes, "itemCount": x.items, "outputFormat": "DYNAMODB_JSON", "exportType": "FULL_EXPORT",
	}
	if !x.incremental() {
		m["exportTime"] = x.at.Format(stamp)
		return m
	}
	m["version"], m["exportType"], m["outputView"] = "2023-08-01", "INCREMENTAL_EXPORT", x.view()
	m["exportFromTime"], m["exportToTime"] = x.from.Format(stamp), x.to.Format(stamp)
	return m
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
