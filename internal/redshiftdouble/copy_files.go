package redshiftdouble

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
)

// manifest is the JSON that COPY reads and UNLOAD writes.
type manifest struct {
	Entries []manifestEntry `json:"entries"`
	Schema  any             `json:"schema,omitempty"`
	Meta    any             `json:"meta,omitempty"`
	Author  any             `json:"author,omitempty"`
}

type manifestEntry struct {
	URL       string        `json:"url"`
	Mandatory bool          `json:"mandatory,omitempty"`
	Meta      *manifestMeta `json:"meta,omitempty"`
}

type manifestMeta struct {
	ContentLength *int64 `json:"content_length,omitempty"`
	RecordCount   *int64 `json:"record_count,omitempty"`
}

// object is a file to load.
type object struct {
	bucket, key string
	size        int64
}

func (o object) url() string { return "s3://" + o.bucket + "/" + o.key }

// files are the objects of a COPY: those of the manifest, in its order and as often as it names them, or all below a prefix.
func (s *session) files(ctx context.Context, c *copyCommand) ([]object, error) {
	bucket, key, err := location(c.from)
	if err != nil {
		return nil, err
	}
	if !c.manifest {
		return s.prefix(ctx, bucket, key)
	}
	b, err := s.read(ctx, bucket, key)
	if err != nil {
		return nil, manifestError(c.from, err)
	}
	var m manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, &loadError{code: 8001, message: "Manifest file is not in correct json format", file: c.from}
	}
	if len(m.Entries) == 0 {
		return nil, &loadError{code: 8001, message: "Manifest file has no entries", file: c.from}
	}
	var out []object
	for _, e := range m.Entries {
		o, there, err := s.entry(ctx, e)
		if err != nil {
			return nil, err
		}
		if there {
			out = append(out, o)
		}
	}
	return out, nil
}

func manifestError(from string, err error) error {
	status := statusOf(err)
	if status == 404 {
		return &loadError{code: 8001, message: fmt.Sprintf("The specified S3 prefix '%s' does not exist", strings.TrimPrefix(from, "s3://")), file: from}
	}
	return s3Error(from, err)
}

// entry checks what the manifest says about a file against the object.
func (s *session) entry(ctx context.Context, e manifestEntry) (object, bool, error) {
	bucket, key, err := location(e.URL)
	if err != nil || key == "" {
		return object{}, false, &loadError{code: 8001, message: "Invalid S3 url in manifest: " + e.URL, file: e.URL}
	}
	switch {
	case e.Meta == nil:
		return object{}, false, named(scanError(15003, "File entry does not have 'meta' key."), e.URL)
	case e.Meta.ContentLength == nil:
		return object{}, false, named(scanError(15003, "File entry does not have 'content_length' key."), e.URL)
	}
	head, err := s.server.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		if statusOf(err) == 404 && !e.Mandatory {
			return object{}, false, nil // silently: the trap that mandatory is there for
		}
		return object{}, false, s3Error(e.URL, err)
	}
	size := aws.ToInt64(head.ContentLength)
	if size != *e.Meta.ContentLength {
		return object{}, false, named(scanError(15001, "File size does not match the manifest. Manifest: %d, S3: %d, File name: %s", *e.Meta.ContentLength, size, e.URL), e.URL)
	}
	return object{bucket: bucket, key: key, size: size}, true, nil
}

func named(e *loadError, file string) *loadError {
	e.file = file
	return e
}

// prefix lists what begins with a key: part-1 also means part-10. Names that Spectrum hides are left out.
func (s *session) prefix(ctx context.Context, bucket, key string) ([]object, error) {
	var out []object
	pages := s3.NewListObjectsV2Paginator(s.server.s3, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: &key})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, s3Error("s3://"+bucket+"/"+key, err)
		}
		for _, o := range page.Contents {
			name := path.Base(aws.ToString(o.Key))
			if strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "#") || strings.HasSuffix(name, "~") || strings.HasSuffix(*o.Key, "/") {
				continue
			}
			out = append(out, object{bucket: bucket, key: *o.Key, size: aws.ToInt64(o.Size)})
		}
	}
	if len(out) == 0 {
		return nil, &loadError{code: 8001, message: fmt.Sprintf("The specified S3 prefix '%s' does not exist", key), file: "s3://" + bucket + "/" + key}
	}
	return out, nil
}

// statusOf is the HTTP status of an error of S3.
func statusOf(err error) int {
	var r interface{ HTTPStatusCode() int }
	if errors.As(err, &r) {
		return r.HTTPStatusCode()
	}
	return 0
}

// s3Error is an error of S3 as the Parquet reader reports it.
func s3Error(file string, err error) error {
	status := statusOf(err)
	if status == 0 {
		return err // cancelled, or no connection
	}
	code, message := "Unknown", "Request failed."
	var api smithy.APIError
	if errors.As(err, &api) {
		code, message = api.ErrorCode(), api.ErrorMessage()
	}
	if status == 404 {
		code, message = "NoSuchKey", "The specified key does not exist."
	}
	return named(scanError(15001, "S3ServiceException:%s,Status %d,Error %s, File name: %s", message, status, code, file), file)
}

func (s *session) read(ctx context.Context, bucket, key string) ([]byte, error) {
	got, err := s.server.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, err
	}
	defer got.Body.Close()
	return io.ReadAll(io.LimitReader(got.Body, 64<<20))
}

// fetch copies an object into a file that nobody else can name.
func (s *session) fetch(ctx context.Context, o object) (*os.File, error) {
	got, err := s.server.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &o.bucket, Key: &o.key})
	if err != nil {
		return nil, s3Error(o.url(), err)
	}
	defer got.Body.Close()
	f, err := os.CreateTemp("", "redshiftdouble-*.parquet")
	if err != nil {
		return nil, err
	}
	err = os.Remove(f.Name())
	if err == nil {
		_, err = io.Copy(f, got.Body)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reading %s: %w", o.url(), err), f.Close())
	}
	return f, nil
}
