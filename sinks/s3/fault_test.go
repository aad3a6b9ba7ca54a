package s3_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/sinks/s3"
	"github.com/tidemill/tidemill/window"
)

func TestAddress(t *testing.T) {
	for _, bad := range []string{
		"s3:bucket", "s3://", "s3:///prefix", "s3://host:9000/bucket", "s3://bucket/a//b", "s3://bucket/../x",
		"s3://bucket?regoin=x", "s3://bucket?path_style=yes", "s3://bucket?endpoint=localhost", "http://bucket",
		"s3://key:" + realtest.Canary + "@bucket/p",
	} {
		_, err := s3.New(bad)
		if err == nil {
			t.Errorf("address %q: no error", bad)
			continue
		}
		realtest.NoCanary(t, "error", err.Error())
	}
}

func localFile(t *testing.T, n int) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(f, make([]byte, n), 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

// proxy stands between the store and the server. before may answer a request itself; after may refuse to pass a reply on.
func proxy(t *testing.T, server string, before func(http.ResponseWriter, *http.Request) bool, after func(*http.Request) bool) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	p := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u); r.Out.Host = r.In.Host }, // the host is signed
		ModifyResponse: func(r *http.Response) error {
			if after != nil && !after(r.Request) {
				return errors.New("cut")
			}
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }, // the connection dies
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if before == nil || !before(w, r) {
			p.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// A create whose reply is lost is sent again by the SDK, refused because the key exists, and must count as done.
func TestLostReply(t *testing.T) {
	b := realtest.S3(t)
	credentials(t, b.AccessKey, b.SecretKey)
	for name, c := range map[string]struct {
		bytes int
		cut   func(*http.Request) bool
	}{
		"single part":             {1000, func(r *http.Request) bool { return r.Method == http.MethodPut }},
		"completion of multipart": {20 << 20, func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploadId") }},
		"one part of multipart": {20 << 20, func(r *http.Request) bool {
			return r.Method == http.MethodPut && r.URL.Query().Get("partNumber") == "2"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var cuts atomic.Int32
			end := proxy(t, b.Endpoint, nil, func(r *http.Request) bool { return !c.cut(r) || cuts.Add(1) > 1 })
			s := open(t, address(t, b, end, "lost/"+name))
			file := localFile(t, c.bytes)
			if err := s.Put(t.Context(), "key", file); err != nil {
				t.Fatalf("put with a lost reply: %v", err)
			}
			if cuts.Load() < 2 {
				t.Fatalf("the reply was cut %d times: the test did not test", cuts.Load())
			}
			if err := s.Put(t.Context(), "key", localFile(t, c.bytes+1)); !errors.Is(err, fs.ErrExist) {
				t.Errorf("put of another file: got %v, want fs.ErrExist", err)
			}
			copied := filepath.Join(t.TempDir(), "copy")
			if err := s.Get(t.Context(), "key", copied); err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(copied); err != nil || info.Size() != int64(c.bytes) {
				t.Errorf("got back %v, %v", info, err)
			}
		})
	}
}

func TestBusyServerIsAskedAgain(t *testing.T) {
	b := realtest.S3(t)
	credentials(t, b.AccessKey, b.SecretKey)
	var busy atomic.Int32
	end := proxy(t, b.Endpoint, func(w http.ResponseWriter, _ *http.Request) bool {
		if busy.Add(1) > 2 {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `<Error><Code>SlowDown</Code><Message>later</Message></Error>`)
		return true
	}, nil)
	if err := open(t, address(t, b, end, "busy")).Put(t.Context(), "key", localFile(t, 10)); err != nil {
		t.Fatal(err)
	}
}

func TestBodyCutHalfWay(t *testing.T) {
	b := realtest.S3(t)
	credentials(t, b.AccessKey, b.SecretKey)
	if err := open(t, address(t, b, b.Endpoint, "half")).Put(t.Context(), "key", localFile(t, 3<<20)); err != nil {
		t.Fatal(err)
	}
	var cuts atomic.Int32
	end := proxy(t, b.Endpoint, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || cuts.Add(1) > 1 {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(3<<20))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", 3<<20-1, 3<<20))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(make([]byte, 1<<20)) // the test's own client reads it or the test fails
		panic(http.ErrAbortHandler)
	}, nil)
	copied := filepath.Join(t.TempDir(), "copy")
	if err := open(t, address(t, b, end, "half")).Get(t.Context(), "key", copied); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(copied); err != nil || info.Size() != 3<<20 || cuts.Load() < 2 {
		t.Errorf("got %v, %v after %d requests", info, err, cuts.Load())
	}
}

func TestRefusals(t *testing.T) {
	b := realtest.S3(t)
	cases := []struct {
		name, key, secret, bucket, word string
	}{
		{"wrong secret", b.AccessKey, realtest.Canary, b.Name, "credentials"},
		{"no bucket", b.AccessKey, b.SecretKey, "elsewhere", "bucket elsewhere does not exist"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			credentials(t, c.key, c.secret)
			other := b
			other.Name = c.bucket
			s := open(t, address(t, other, b.Endpoint, "p"))
			for what, err := range map[string]error{
				"put":  s.Put(t.Context(), "key", localFile(t, 10)),
				"list": s.List(t.Context(), "", func(string, int64, time.Time) error { return nil }),
				"get":  s.Get(t.Context(), "key", filepath.Join(t.TempDir(), "copy")),
			} {
				var r *window.RefusedError
				if !errors.As(err, &r) {
					t.Errorf("%s: got %v, want a RefusedError", what, err)
				}
				if err != nil && c.secret != realtest.Canary && !strings.Contains(err.Error(), c.word) {
					t.Errorf("%s: got %v, want it to say %q", what, err, c.word)
				}
				if err != nil {
					realtest.NoCanary(t, "error", err.Error())
				}
			}
		})
	}
}

// More keys than one page of a listing holds.
func TestListPages(t *testing.T) {
	b := realtest.S3(t)
	credentials(t, b.AccessKey, b.SecretKey)
	s := open(t, address(t, b, b.Endpoint, "many"))
	file := localFile(t, 0)
	const n = 1030
	for i := range n {
		if err := s.Put(t.Context(), fmt.Sprintf("k/%04d", i), file); err != nil {
			t.Fatal(err)
		}
	}
	got := 0
	err := s.List(t.Context(), "k/", func(key string, _ int64, _ time.Time) error {
		if want := fmt.Sprintf("k/%04d", got); key != want {
			t.Errorf("got %s, want %s", key, want)
		}
		got++
		return nil
	})
	if err != nil || got != n {
		t.Errorf("listed %d keys, %v; want %d", got, err, n)
	}
}

// What AWS says and the test server has no words for.
func TestRefusalsOfAWS(t *testing.T) {
	credentials(t, "key", realtest.Canary)
	for _, c := range []struct {
		status     int
		code, word string
	}{
		{403, "InvalidAccessKeyId", "credentials"},
		{403, "AccessDenied", "s3:PutObject on arn:aws:s3:::lake/p/*"},
		{400, "ExpiredToken", "credentials"},
		{301, "PermanentRedirect", "another region"},
	} {
		end := proxy(t, "http://127.0.0.1:1", func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(c.status)
			fmt.Fprintf(w, `<Error><Code>%s</Code><Message>no</Message></Error>`, c.code)
			return true
		}, nil)
		err := open(t, address(t, realtest.Bucket{Name: "lake", Region: "us-east-1"}, end, "p")).Put(t.Context(), "key", localFile(t, 1))
		var r *window.RefusedError
		if !errors.As(err, &r) || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%s: got %v, want a RefusedError that says %q", c.code, err, c.word)
		}
		realtest.NoCanary(t, "error", fmt.Sprint(err))
	}
}
