package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"
)

// s3Door stands between the daemon and the store, and behaves as a store may.
type s3Door struct {
	refuse, lose, slow atomic.Int32 // percent of the requests; slow is for uploads
	faults             atomic.Int64
	slowest            atomic.Int64 // nanoseconds of the longest upload
}

// uploadPace is how many bytes of a slow upload pass in a tenth of a second.
const uploadPace = 200

func (d *s3Door) open(t *testing.T, endpoint string) string {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u); r.Out.Host = r.In.Host }, // the host is signed
		ModifyResponse: func(*http.Response) error {
			if d.drawn(&d.lose) {
				return errors.New("lost")
			}
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }, // the connection dies
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.drawn(&d.refuse) {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `<Error><Code>SlowDown</Code><Message>later</Message></Error>`)
			return
		}
		if r.Method == http.MethodPut && d.drawn(&d.slow) {
			began := time.Now()
			r.Body = &trickle{ReadCloser: r.Body, done: r.Context().Done()}
			defer func() { d.slowest.Store(max(d.slowest.Load(), int64(time.Since(began)))) }()
		}
		p.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func (d *s3Door) drawn(percent *atomic.Int32) bool {
	if rand.Int32N(100) >= percent.Load() {
		return false
	}
	d.faults.Add(1)
	return true
}

// trickle reads slowly.
type trickle struct {
	io.ReadCloser
	done <-chan struct{}
}

func (b *trickle) Read(p []byte) (int, error) {
	select {
	case <-time.After(100 * time.Millisecond):
	case <-b.done:
		return 0, errors.New("the client has gone")
	}
	return b.ReadCloser.Read(p[:min(len(p), uploadPace)])
}
