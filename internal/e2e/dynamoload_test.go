package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/internal/dynamofake"
	"github.com/tidemill/tidemill/internal/realtest"
)

// loading is a table of many pages, what it should hold, and a daemon that loads it.
type loading struct {
	*env
	srv  *dynamofake.Server
	log  *logBuffer
	want map[string]int // item by id: its v

	source0 console.SourceStatus // the last one seen
}

const loadItems = 3000

func newLoading(t *testing.T, o dynamofake.Options, source string, vars ...string) *loading {
	t.Helper()
	srv, err := dynamofake.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	if err := srv.CreateTable("sessions", "id"); err != nil {
		t.Fatal(err)
	}
	l := &loading{srv: srv, log: &logBuffer{}, want: map[string]int{}}
	dir := t.TempDir()
	l.env = &env{dir: dir, vars: append(vars, "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")}
	write(t, dir, "tidemill.yaml", fmt.Sprintf("project: clinic\nwindow: 2s\nlog: {embedded: ./data/log, partitions: 2}\nstore: ./data/lake\nwarehouse: duckdb:./data/warehouse.db\nlisten: 127.0.0.1:%d\nmemory: 256MiB\n", freePort(t)))
	write(t, dir, "sources/sessions.yaml", fmt.Sprintf("kind: source\nname: sessions\ntype: dynamodb\ntable: sessions\nregion: %s\nendpoint: %s\ngrace: 1s\n%s", srv.Region(), srv.Endpoint(), source))
	write(t, dir, "pipelines/care.yaml", "kind: pipeline\nname: care\ntables:\n  - replicate: sessions.dynamodb.*\n    into: raw\n")
	return l
}

func (l *loading) put(t *testing.T, i, v int) {
	t.Helper()
	id := fmt.Sprintf("s%05d", i)
	if err := l.srv.Put("sessions", fmt.Sprintf(`{"id":{"S":%q},"v":{"N":"%d"},"note":{"S":%q}}`, id, v, strings.Repeat("n", 150))); err != nil {
		t.Fatal(err)
	}
	l.want[id] = v
}

func (l *loading) delete(t *testing.T, i int) {
	t.Helper()
	id := fmt.Sprintf("s%05d", i)
	if err := l.srv.Delete("sessions", fmt.Sprintf(`{"id":{"S":%q}}`, id)); err != nil {
		t.Fatal(err)
	}
	delete(l.want, id)
}

func (l *loading) start(t *testing.T) *daemon {
	t.Helper()
	return start(t, l.dir, l.log, l.vars...)
}

// equal waits until the warehouse holds what the table should, by id and value.
func (l *loading) equal(t *testing.T) {
	t.Helper()
	var got map[string]int
	eventually(t, 4*time.Minute, "the warehouse is the table", func() bool {
		rows, err := l.queryByCommand(t.Context(), "SELECT id, v FROM raw.sessions")
		if err != nil {
			return false
		}
		got = map[string]int{}
		for _, r := range rows {
			n, err := r["v"].(json.Number).Int64()
			if err != nil {
				t.Fatal(err)
			}
			got[fmt.Sprint(r["id"])] = int(n)
		}
		return len(rows) == len(got) && maps.Equal(got, l.want)
	}, func() string {
		return fmt.Sprintf("%d rows of %d\n%s", len(got), len(l.want), tail(l.log.String(), 4000))
	})
}

// TestKilledInAScan: SIGKILL in the middle of the first load, three times, while items that it has and has not read are written and
// deleted. The load goes on where it was, and what the warehouse shows first is the whole table.
func TestKilledInAScan(t *testing.T) {
	t.Parallel()
	l := newLoading(t, dynamofake.Options{Shards: 2, Seed: 11, Limits: dynamofake.Limits{BytesPerPage: 8 << 10}}, "", "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret")
	for i := range loadItems {
		l.put(t, i, 0)
	}
	const before = 15 // pages of each attempt
	scans := 0
	for round := range 3 {
		scans = l.srv.Calls("Scan")
		l.srv.Fail(dynamofake.Fault{Failure: dynamofake.Hanging, Operation: "Scan", Skip: before})
		d := l.start(t)
		eventually(t, time.Minute, "every segment waits for a page", func() bool { return l.srv.Calls("Scan") >= scans+before+4 }, l.log.String)
		at := l.source(t).Position
		for i := round; i < loadItems; i += 97 {
			l.put(t, i, round+1)
		}
		l.delete(t, 5+round)
		l.delete(t, loadItems-5-round)
		// A round of the stream is emitted behind a checkpoint, which has the pages that were taken before.
		eventually(t, time.Minute, "the stream goes on", func() bool { return l.source(t).Position != at }, l.log.String)
		d.kill()
		l.srv.ClearFaults()
	}
	loaded := l.source0.Tables[0].Rows
	scans = l.srv.Calls("Scan")
	d := l.start(t)
	l.equal(t)
	left := l.srv.Calls("Scan") - scans
	t.Logf("%d items were loaded in %d pages and three attempts, the rest in %d", loaded, 3*before, left)
	if loaded < loadItems/4 || left > before*3*(loadItems-int(loaded))/int(loaded)+12 {
		t.Error("the load has begun again")
	}
	d.stop(t)
}

// source is the source's status.
func (l *loading) source(t *testing.T) console.SourceStatus {
	t.Helper()
	if s, err := l.status(t); err == nil && len(s.Sources) == 1 && len(s.Sources[0].Tables) == 1 {
		l.source0 = s.Sources[0]
	}
	return l.source0
}

// exportBucket is an S3 server that takes the files of exports.
type exportBucket struct {
	client *s3.Client
	name   string
}

// Put writes one object.
func (b exportBucket) Put(bucket, key string, body []byte) error {
	if bucket != b.name {
		return fmt.Errorf("there is no bucket %s", bucket)
	}
	_, err := b.client.PutObject(context.Background(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(body)})
	return err
}

// gate holds up reads of data files behind the first few, until it is opened.
type gate struct {
	passes atomic.Int32
	held   atomic.Int32
}

func (g *gate) serve(t *testing.T, endpoint string) string {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u); r.Out.Host = r.In.Host }}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".json.gz") && g.passes.Add(-1) < 0 {
			g.held.Add(1)
			<-r.Context().Done()
			return
		}
		p.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestKilledInAnImport: SIGKILL while the files of an export are read from a real S3 server, twice, behind another file each time,
// with writes meanwhile.
func TestKilledInAnImport(t *testing.T) {
	t.Parallel()
	b := realtest.S3(t)
	client := s3.New(s3.Options{BaseEndpoint: &b.Endpoint, Region: b.Region, UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(b.AccessKey, b.SecretKey, "")})
	g := &gate{}
	source := fmt.Sprintf("export: {bucket: %s, prefix: exports, endpoint: %s}\n", b.Name, g.serve(t, b.Endpoint))
	l := newLoading(t, dynamofake.Options{Shards: 4, Seed: 12, Exports: exportBucket{client, b.Name}, ExportDelay: time.Second}, source, "AWS_ACCESS_KEY_ID="+b.AccessKey, "AWS_SECRET_ACCESS_KEY="+b.SecretKey)
	db := dynamodb.New(dynamodb.Options{BaseEndpoint: aws.String(l.srv.Endpoint()), Region: l.srv.Region(), Credentials: credentials.NewStaticCredentialsProvider("key", "secret", "")})
	if _, err := db.UpdateContinuousBackups(t.Context(), &dynamodb.UpdateContinuousBackupsInput{
		TableName: aws.String("sessions"), PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{PointInTimeRecoveryEnabled: aws.Bool(true)},
	}); err != nil {
		t.Fatal(err)
	}
	for i := range loadItems {
		l.put(t, i, 0)
	}
	if err := l.srv.Trim("sessions", 0); err != nil { // they are in no stream any more
		t.Fatal(err)
	}
	for round := range 2 {
		g.passes.Store(1)
		g.held.Store(0)
		d := l.start(t)
		eventually(t, 2*time.Minute, "the import waits for a file", func() bool { return g.held.Load() > 0 }, l.log.String)
		seen := 0 // nothing outside tells of a checkpoint; one is due each second
		eventually(t, 4*time.Minute, "what it has read is in a checkpoint", func() bool {
			if l.source(t).Tables[0].Rows > 0 {
				seen++
			}
			return seen > 20
		}, l.log.String)
		for i := round; i < loadItems; i += 97 {
			l.put(t, i, round+1)
		}
		l.delete(t, 5+round)
		l.delete(t, loadItems-5-round)
		d.kill()
	}
	g.passes.Store(1000)
	d := l.start(t)
	l.equal(t)
	if read := 1000 - g.passes.Load(); read > 2 {
		t.Errorf("%d files were read after two kills behind a file each: the import has begun again", read)
	}
	out, errs, code := tidemill(t.Context(), l.vars, "verify", "--config", l.dir)
	if code != 0 {
		t.Errorf("verify after an import: exit %d\n%s%s", code, out, errs)
	}
	d.stop(t)
}
