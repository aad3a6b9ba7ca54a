package console_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/console"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "0123456789abcdef0123456789abcdef"

// queries answers every query with n batches, then with err.
type queries struct {
	batches int
	err     error
	asked   string
}

func (q *queries) Query(_ context.Context, sql string, fn func(arrow.RecordBatch) error) error {
	q.asked = sql
	for range q.batches {
		rec := sample()
		err := fn(rec)
		rec.Release()
		if err != nil {
			return err
		}
	}
	return q.err
}

// sample is a batch with a row of every kind and a row of NULLs.
func sample() arrow.RecordBatch {
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "b", Type: arrow.FixedWidthTypes.Boolean, Nullable: true},
		{Name: "i", Type: arrow.PrimitiveTypes.Int64, Nullable: true},
		{Name: "f", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "d", Type: &arrow.Decimal128Type{Precision: 10, Scale: 2}, Nullable: true},
		{Name: "t", Type: arrow.BinaryTypes.String, Nullable: true},
		{Name: "x", Type: arrow.BinaryTypes.Binary, Nullable: true},
		{Name: "day", Type: arrow.FixedWidthTypes.Date32, Nullable: true},
		{Name: "wall", Type: &arrow.TimestampType{Unit: arrow.Microsecond}, Nullable: true},
		{Name: "at", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}, Nullable: true},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	at := time.Date(2026, 11, 23, 10, 15, 0, 120000000, time.UTC)
	b.Field(0).(*array.BooleanBuilder).Append(true)
	b.Field(1).(*array.Int64Builder).Append(math.MinInt64)
	b.Field(2).(*array.Float64Builder).Append(math.Inf(1))
	b.Field(3).(*array.Decimal128Builder).Append(decimal128.FromI64(-1250))
	b.Field(4).(*array.StringBuilder).Append("a,\"é\"\n")
	b.Field(5).(*array.BinaryBuilder).Append([]byte{0, 255})
	b.Field(6).(*array.Date32Builder).Append(arrow.Date32FromTime(at))
	b.Field(7).(*array.TimestampBuilder).Append(arrow.Timestamp(at.UnixMicro()))
	b.Field(8).(*array.TimestampBuilder).Append(arrow.Timestamp(at.UnixMicro()))
	for i := range 9 {
		b.Field(i).AppendNull()
	}
	return b.NewRecordBatch()
}

func serve(t *testing.T, s *console.Server) string {
	t.Helper()
	s.Token = token
	h := httptest.NewServer(s.Handler())
	t.Cleanup(h.Close)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return h.URL
}

func request(t *testing.T, method, url, body string, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		} else {
			r.Header.Set(header[i], header[i+1])
		}
	}
	return r
}

func do(t *testing.T, r *http.Request) (code int, body string, trailer string) {
	t.Helper()
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b), res.Trailer.Get(console.ErrorTrailer)
}

// Invariants 1 and 2, route by route.
func TestAccess(t *testing.T) {
	url := serve(t, &console.Server{
		Status:  func() console.Status { return console.Status{Project: "clinic"} },
		Querier: &queries{},
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "m 1\n") }),
		Ready:   func() error { return errors.New("consult is starting") },
	})
	for _, c := range []struct {
		name, method, path string
		header             []string
		want               int
	}{
		{"with the token", "GET", "/v1/status", nil, 200},
		{"no token", "GET", "/v1/status", []string{"Authorization", ""}, 401},
		{"another token", "GET", "/v1/status", []string{"Authorization", "Bearer x" + token[1:]}, 401},
		{"query without token", "POST", "/v1/query", []string{"Authorization", ""}, 401},
		{"verify without token", "POST", "/v1/verify", []string{"Authorization", ""}, 401},
		{"rebound name", "GET", "/v1/status", []string{"Host", "evil.example:7171"}, 421},
		{"localhost", "GET", "/v1/status", []string{"Host", "localhost:7171"}, 200},
		{"IPv6 loopback", "GET", "/v1/status", []string{"Host", "[::1]:7171"}, 200},
		{"foreign page", "GET", "/v1/status", []string{"Origin", "https://evil.example"}, 403},
		{"opaque page", "GET", "/v1/status", []string{"Origin", "null"}, 403},
		{"foreign link", "GET", "/v1/status", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"health", "GET", "/healthz", []string{"Authorization", "", "Host", "10.0.0.7"}, 200},
		{"metrics", "GET", "/metrics", []string{"Authorization", ""}, 200},
		{"not ready", "GET", "/readyz", []string{"Authorization", ""}, 503},
		{"query by GET", "GET", "/v1/query", nil, 405},
		{"nothing there", "GET", "/v1/nothing", nil, 404},
		{"verify is not there", "POST", "/v1/verify", nil, 400},
	} {
		if code, body, _ := do(t, request(t, c.method, url+c.path, "", c.header...)); code != c.want {
			t.Errorf("%s: %d %s, want %d", c.name, code, body, c.want)
		}
	}
}

func TestQueryFormats(t *testing.T) {
	url := serve(t, &console.Server{Querier: &queries{batches: 1}})
	want := map[string]string{
		console.NDJSON: `{"b":true,"i":-9223372036854775808,"f":"+Inf","d":-12.50,"t":"a,\"é\"\n","x":"AP8=","day":"2026-11-23",` +
			`"wall":"2026-11-23T10:15:00.12","at":"2026-11-23T10:15:00.12Z"}` + "\n" +
			`{"b":null,"i":null,"f":null,"d":null,"t":null,"x":null,"day":null,"wall":null,"at":null}` + "\n",
		console.CSV: "b,i,f,d,t,x,day,wall,at\n" +
			`true,-9223372036854775808,+Inf,-12.50,"a,""é""` + "\n" + `",AP8=,2026-11-23,2026-11-23T10:15:00.12,2026-11-23T10:15:00.12Z` + "\n" +
			",,,,,,,,\n",
	}
	for format, want := range want {
		code, body, trailer := do(t, request(t, "POST", url+"/v1/query", `{"sql":"select 1"}`, "Accept", format))
		if code != 200 || trailer != "" || body != want {
			t.Errorf("%s: %d %q\n%s\nwant\n%s", format, code, trailer, body, want)
		}
		for line := range strings.Lines(body) {
			if format == console.NDJSON && !json.Valid([]byte(line)) {
				t.Errorf("not JSON: %s", line)
			}
		}
	}
	res, err := http.DefaultClient.Do(request(t, "POST", url+"/v1/query", `{"sql":"select 1"}`, "Accept", console.Arrow))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	r, err := ipc.NewReader(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	if !r.Next() || r.RecordBatch().NumRows() != 2 || r.RecordBatch().NumCols() != 9 {
		t.Errorf("the Arrow answer is not the batch: %v", r.Err())
	}
}

// An error before the first byte is an error answer; one in the middle is in the trailer (invariant 5).
func TestQueryErrors(t *testing.T) {
	q := &queries{err: errors.New("no table clinic.x\nLINE 1")}
	url := serve(t, &console.Server{Querier: q})
	code, body, _ := do(t, request(t, "POST", url+"/v1/query", `{"sql":"select * from clinic.x"}`))
	if code != 422 || !strings.Contains(body, `no table clinic.x\nLINE 1`) || q.asked != "select * from clinic.x" {
		t.Errorf("%d %s", code, body)
	}
	q.batches = 1000
	code, body, trailer := do(t, request(t, "POST", url+"/v1/query", `{"sql":"select 1"}`))
	if code != 200 || trailer != "no table clinic.x LINE 1" || len(body) == 0 {
		t.Errorf("%d, trailer %q, %d bytes", code, trailer, len(body))
	}
	if code, body, _ := do(t, request(t, "POST", url+"/v1/query", `{"sqll":"x"}`)); code != 400 {
		t.Errorf("an unknown field: %d %s", code, body)
	}
	if code, _, _ := do(t, request(t, "POST", url+"/v1/query", `{"sql":"x"}`, "Accept", "image/png")); code != 406 {
		t.Errorf("an unknown format: %d", code)
	}
}

type verdicts struct{ err error }

func (v verdicts) Verify(_ context.Context, r console.VerifyRequest, emit func(console.TableVerdict) error) error {
	if err := emit(console.TableVerdict{Pipeline: r.Pipeline, Table: "raw.a", Equal: true, Took: console.Duration(time.Second)}); err != nil {
		return err
	}
	return v.err
}

func TestVerifyStreamsVerdicts(t *testing.T) {
	url := serve(t, &console.Server{Verifier: verdicts{errors.New("the source went away")}})
	_, body, trailer := do(t, request(t, "POST", url+"/v1/verify", `{"pipeline":"care","timeout":"90s"}`))
	var v console.TableVerdict
	if err := json.NewDecoder(bufio.NewReader(strings.NewReader(body))).Decode(&v); err != nil {
		t.Fatal(err)
	}
	if v.Pipeline != "care" || !v.Equal || v.Took != console.Duration(time.Second) || trailer != "the source went away" {
		t.Errorf("%+v, trailer %q", v, trailer)
	}
}

func TestToken(t *testing.T) {
	dir := t.TempDir()
	first, err := console.EnsureToken(dir)
	if err != nil || len(first) != 48 {
		t.Fatalf("%q, %v", first, err)
	}
	again, err := console.EnsureToken(dir)
	if err != nil || again != first {
		t.Errorf("the token changed: %v", err)
	}
	name := filepath.Join(dir, console.TokenFile)
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := console.ReadToken(dir); err == nil || strings.Contains(err.Error(), first) {
		t.Errorf("a token that others may read: %v", err)
	}
}

// Run ends with its context though a query hangs.
func TestRunStops(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{})
	s := &console.Server{Token: token, Querier: hang(asked)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, l) }()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		res, err := http.DefaultClient.Do(request(t, "POST", "http://"+l.Addr().String()+"/v1/query", `{"sql":"select 1"}`))
		if err == nil {
			res.Body.Close()
		}
	}()
	<-asked
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("Run does not end")
	}
	<-answered
	http.DefaultClient.CloseIdleConnections()
}

type hang chan struct{}

func (h hang) Query(ctx context.Context, _ string, _ func(arrow.RecordBatch) error) error {
	close(h)
	<-ctx.Done()
	return ctx.Err()
}
