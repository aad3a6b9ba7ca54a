package redshiftdouble

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// s3Attempts is how often a request is tried. Redshift retries for a quarter of an hour; a test has no time for that.
const s3Attempts = 3

// newS3 is a client whose requests pass through the faults.
func newS3(c S3, f *Faults) *s3.Client {
	return s3.New(s3.Options{
		Region:       c.Region,
		UsePathStyle: true,
		BaseEndpoint: endpointOf(c),
		Credentials:  credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, ""),
		HTTPClient:   &http.Client{Transport: &faultyTransport{faults: f, next: http.DefaultTransport.(*http.Transport).Clone()}},
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = s3Attempts, 50*time.Millisecond
		}),
		DisableLogOutputChecksumValidationSkipped: true,
	})
}

func endpointOf(c S3) *string {
	if c.Endpoint == "" {
		return nil
	}
	return aws.String(c.Endpoint)
}

func closeIdle(c *s3.Client) {
	if h, ok := c.Options().HTTPClient.(*http.Client); ok {
		h.CloseIdleConnections()
	}
}

// faultyTransport answers requests itself when a fault says so.
type faultyTransport struct {
	faults *Faults
	next   *http.Transport
}

func (t *faultyTransport) CloseIdleConnections() { t.next.CloseIdleConnections() }

func (t *faultyTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	status := t.faults.s3Status(r.URL.Path)
	if status == 0 {
		return t.next.RoundTrip(r)
	}
	code := map[int]string{404: "NoSuchKey", 403: "AccessDenied", 503: "SlowDown", 500: "InternalError"}[status]
	body := fmt.Sprintf("<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>injected</Message></Error>", code)
	if r.Body != nil {
		r.Body.Close()
	}
	return &http.Response{
		Status: fmt.Sprint(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/xml"}}, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
	}, nil
}

func (f s3Fault) matches(path string) bool { return f.times > 0 && strings.Contains(path, f.key) }

// location splits s3://bucket/key.
func location(address string) (bucket, key string, err error) {
	rest, ok := strings.CutPrefix(address, "s3://")
	bucket, key, _ = strings.Cut(rest, "/")
	if !ok || bucket == "" {
		return "", "", refuse("XX000", "LOAD source is not supported. (Hint: only S3 or DynamoDB or EMR based load is allowed)")
	}
	return bucket, key, nil
}
