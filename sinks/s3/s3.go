package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	tmtypes "github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/tidemill/tidemill/sinks"
	"github.com/tidemill/tidemill/window"
)

const (
	partBytes = 16 << 20 // above this an object is sent in parts
	parallel  = 4        // parts in flight per object
	attempts  = 8        // of one request, with exponential backoff and jitter
	maxWait   = 20 * time.Second
	sumKey    = "tidemill-sha256" // user metadata
)

// Store keeps objects under one prefix of a bucket.
type Store struct {
	bucket    string
	prefix    string // empty or ends with a slash
	region    string
	endpoint  string
	pathStyle bool
	kmsKey    string

	mu     sync.Mutex
	client *s3.Client // made at first use: the credential chain reads files and may call services
}

var _ window.Store = (*Store)(nil)

// New returns the store of an address.
func New(address string) (*Store, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "s3" || u.Opaque != "" {
		return nil, errors.New("s3 store: the address is not s3://bucket/prefix?region=...")
	}
	if u.User != nil {
		return nil, errors.New("s3 store: the address holds credentials; give them by the environment or a profile")
	}
	if u.Host == "" || u.Port() != "" {
		return nil, errors.New("s3 store: the address names no bucket; write s3://bucket/prefix and put a service's host into ?endpoint=")
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("s3 store: the options after ? are not name=value&name=value")
	}
	if err := sinks.CheckOptions(q, "region", "endpoint", "path_style", "kms_key"); err != nil {
		return nil, fmt.Errorf("s3 store: %w", err)
	}
	s := &Store{bucket: u.Host, region: q.Get("region"), endpoint: q.Get("endpoint"), kmsKey: q.Get("kms_key")}
	if s.endpoint != "" {
		if e, err := url.Parse(s.endpoint); err != nil || e.Host == "" || e.User != nil {
			return nil, errors.New("s3 store: endpoint is not a URL such as https://minio.internal:9000")
		}
	}
	switch v := q.Get("path_style"); v {
	case "", "false":
	case "true":
		s.pathStyle = true
	default:
		return nil, fmt.Errorf("s3 store: path_style is %q, want true or false", v)
	}
	if p := strings.Trim(u.Path, "/"); p != "" {
		if !fs.ValidPath(p) {
			return nil, fmt.Errorf("s3 store: the prefix %q has empty, . or .. parts", p)
		}
		s.prefix = p + "/"
	}
	return s, nil
}

// String names the place without options, for errors and logs.
func (s *Store) String() string { return "s3://" + s.bucket + "/" + s.prefix }

// URL is the address of a key, as a warehouse that reads it by itself wants it.
func (s *Store) URL(key string) string { return s.String() + key }

func (s *Store) open(ctx context.Context) (*s3.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	opts := []func(*config.LoadOptions) error{
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = attempts, maxWait })
		}),
	}
	if s.region != "" {
		opts = append(opts, config.WithRegion(s.region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("loading AWS settings: %w", err)
	}
	if cfg.Region == "" {
		return nil, &window.RefusedError{What: "no AWS region is set", Hint: "add ?region=... to the store's address or set AWS_REGION"}
	}
	s.client = s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = s.pathStyle
		o.DisableLogOutputChecksumValidationSkipped = true // a listing without checksums is no event
		if s.endpoint != "" {
			o.BaseEndpoint = aws.String(s.endpoint)
		}
	})
	return s.client, nil
}

func (s *Store) transfers(c *s3.Client) *transfermanager.Client {
	return transfermanager.New(c, func(o *transfermanager.Options) {
		o.PartSizeBytes, o.MultipartUploadThreshold, o.Concurrency = partBytes, partBytes, parallel
		o.FailTimeout = 10 * time.Second // to abort the upload of a cancelled Put
		o.GetObjectType = tmtypes.GetObjectRanges
	})
}

// Put uploads the file under key.
func (s *Store) Put(ctx context.Context, key, file string) error {
	if err := checkKey(key); err != nil {
		return fmt.Errorf("storing %q: %w", key, err)
	}
	if err := s.put(ctx, key, file); err != nil {
		return fmt.Errorf("storing %s in %s: %w", key, s, s.classify(err, "s3:PutObject"))
	}
	return nil
}

func (s *Store) put(ctx context.Context, key, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	c, err := s.open(ctx)
	if err != nil {
		return err
	}
	in := &transfermanager.UploadObjectInput{
		Bucket:            aws.String(s.bucket),
		Key:               aws.String(s.prefix + key),
		Body:              f,
		IfNoneMatch:       aws.String("*"),                        // invariant 1
		ChecksumAlgorithm: tmtypes.ChecksumAlgorithmCrc32,         // invariant 2; set, or versitygw refuses the completion
		Metadata:          map[string]string{sumKey: sum},         // invariants 2 and 3
		ContentType:       aws.String("application/octet-stream"), // never a type that a proxy would rewrite
	}
	if s.kmsKey != "" {
		in.ServerSideEncryption = tmtypes.ServerSideEncryptionAwsKms
		in.SSEKMSKeyID, in.BucketKeyEnabled = aws.String(s.kmsKey), aws.Bool(true)
	}
	if n >= partBytes { // before many parts are sent in vain; the condition of the completion is what decides
		head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: in.Bucket, Key: in.Key})
		if err == nil {
			return s.ours(head, n, sum)
		}
	}
	_, err = s.transfers(c).UploadObject(ctx, in)
	if err == nil || !mayBeOurs(err) {
		return err
	}
	head, herr := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: in.Bucket, Key: in.Key})
	if herr != nil {
		return errors.Join(err, fmt.Errorf("asking for the object that is there: %w", herr))
	}
	return s.ours(head, n, sum)
}

// ours decides about a key that exists (invariant 3).
func (s *Store) ours(head *s3.HeadObjectOutput, n int64, sum string) error {
	if aws.ToInt64(head.ContentLength) == n && head.Metadata[sumKey] == sum {
		return nil
	}
	return fmt.Errorf("the key holds other content: %w", fs.ErrExist)
}

// Get downloads key to a new file.
func (s *Store) Get(ctx context.Context, key, file string) error {
	if err := checkKey(key); err != nil {
		return fmt.Errorf("fetching %q: %w", key, err)
	}
	if err := s.get(ctx, key, file); err != nil {
		return fmt.Errorf("fetching %s from %s: %w", key, s, s.classify(err, "s3:GetObject"))
	}
	return nil
}

func (s *Store) get(ctx context.Context, key, file string) error {
	c, err := s.open(ctx)
	if err != nil {
		return err
	}
	dst, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return localError{err}
	}
	in := &s3.HeadObjectInput{Bucket: aws.String(s.bucket), Key: aws.String(s.prefix + key)}
	head, err := c.HeadObject(ctx, in)
	if status(err) == http.StatusNotFound { // a HEAD has no body that says what is not found
		if _, berr := c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: in.Bucket}); status(berr) == http.StatusNotFound {
			err = &smithy.GenericAPIError{Code: "NoSuchBucket", Message: "no such bucket"}
		}
	}
	if err == nil && aws.ToInt64(head.ContentLength) > 0 { // an empty object has no range to ask for
		_, err = s.transfers(c).DownloadObject(ctx, &transfermanager.DownloadObjectInput{
			Bucket: in.Bucket, Key: in.Key, IfMatch: head.ETag, WriterAt: dst, ChecksumMode: tmtypes.ChecksumModeEnabled,
		})
	}
	if err == nil {
		err = wantSize(dst, aws.ToInt64(head.ContentLength))
	}
	if err = errors.Join(err, dst.Close()); err != nil {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

func wantSize(f *os.File, want int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != want {
		return fmt.Errorf("received %d bytes of %d", info.Size(), want)
	}
	return nil
}

// localError keeps what went wrong with the local file apart from what S3 says about the key.
type localError struct{ err error }

func (e localError) Error() string { return "making the local file: " + e.err.Error() }

// Delete removes key. A key that is not there is no error.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return fmt.Errorf("deleting %q: %w", key, err)
	}
	c, err := s.open(ctx)
	if err == nil {
		_, err = c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(s.bucket), Key: aws.String(s.prefix + key)})
	}
	if err = s.classify(err, "s3:DeleteObject"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting %s from %s: %w", key, s, err)
	}
	return nil
}

// List calls fn for the keys that begin with prefix, in byte order.
func (s *Store) List(ctx context.Context, prefix string, fn func(key string, bytes int64, modified time.Time) error) error {
	c, err := s.open(ctx)
	if err != nil {
		return fmt.Errorf("listing %s%s: %w", s, prefix, err)
	}
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: aws.String(s.bucket), Prefix: aws.String(s.prefix + prefix)})
	last := ""
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("listing %s%s: %w", s, prefix, s.classify(err, "s3:ListBucket"))
		}
		for _, o := range page.Contents {
			key := strings.TrimPrefix(aws.ToString(o.Key), s.prefix)
			if key <= last { // S3 promises the order; directory buckets and some servers do not keep it
				return fmt.Errorf("listing %s%s: the service does not list in key order; use a general purpose bucket", s, prefix)
			}
			if last = key; strings.HasSuffix(key, "/") { // a folder marker made by some console
				continue
			}
			if err := fn(key, aws.ToInt64(o.Size), aws.ToTime(o.LastModified)); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkKey(key string) error {
	if !fs.ValidPath(key) || key == "." || strings.ContainsAny(key, "\x00\\") || len(key) > 900 {
		return errors.New("not a key: want names separated by single slashes, without . and .., at most 900 bytes")
	}
	return nil
}
