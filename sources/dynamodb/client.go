package dynamodb

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/tidemill/tidemill/sources/dynamodb/item"
	"github.com/tidemill/tidemill/sources/dynamodb/shard"
)

// client asks AWS. The SDK signs, finds endpoints and credentials and retries; answers that hold items are decoded by package
// item, since the SDK's own structures are an allocation for each value.
type client struct {
	config  *Config
	source  string // its name
	objects *s3.Client
	// tableARN is known after describe.
	tableARN string
	now      func() time.Time // tests: the service's clock
	db       *dynamodb.Client
	streams  *dynamodbstreams.Client
}

// callTimeout bounds one call with its retries.
const callTimeout = 30 * time.Second

func (c *Config) client(ctx context.Context) (*client, error) {
	opts := []func(*awsconfig.LoadOptions) error{awsconfig.WithRetryMaxAttempts(2), awsconfig.WithLogger(logging.Nop{})} // the readers have a patience of their own
	if c.Region != "" {
		opts = append(opts, awsconfig.WithRegion(c.Region))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, &Error{Cause: Credentials, Table: c.Table, What: "reading the AWS configuration of this machine", Err: err}
	}
	if cfg.Region == "" {
		return nil, &Error{Cause: Refused, Table: c.Table, What: "no region is set", Remedy: "set region in the source's file, or AWS_REGION"}
	}
	if c.RoleARN != "" {
		role := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), c.RoleARN, func(o *stscreds.AssumeRoleOptions) {
			o.RoleSessionName = "tidemill"
			if c.ExternalID != "" {
				o.ExternalID = &c.ExternalID
			}
		})
		cfg.Credentials = aws.NewCredentialsCache(role)
	}
	out := &client{config: c}
	out.db = dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) { o.BaseEndpoint = c.endpoint() })
	out.objects = s3.NewFromConfig(cfg, func(o *s3.Options) {
		if e := c.Export.Endpoint; e != "" {
			o.BaseEndpoint, o.UsePathStyle = &e, true
		}
	})
	out.streams = dynamodbstreams.NewFromConfig(cfg, func(o *dynamodbstreams.Options) {
		if o.BaseEndpoint = c.endpoint(); c.StreamsEndpoint != "" {
			o.BaseEndpoint = &c.StreamsEndpoint
		}
	})
	return out, nil
}

func (c *Config) endpoint() *string {
	if c.Endpoint == "" {
		return nil
	}
	return &c.Endpoint
}

// body is an answer as it came.
type body struct{ text []byte }

// nothing is what the SDK gets in place of an answer.
var nothing = []byte("{}")

// ID implements middleware.DeserializeMiddleware.
func (*body) ID() string { return "tidemill.body" }

// HandleDeserialize takes the answer's body and leaves an empty object for the SDK. It is the innermost of its step.
func (b *body) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (out middleware.DeserializeOutput, md middleware.Metadata, err error) {
	out, md, err = next.HandleDeserialize(ctx, in)
	resp, ok := out.RawResponse.(*smithyhttp.Response)
	if err != nil || !ok || resp.StatusCode != http.StatusOK {
		return out, md, err // the SDK knows errors better
	}
	b.text, err = io.ReadAll(resp.Body)
	if closing := resp.Body.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return out, md, fmt.Errorf("reading the answer: %w", err)
	}
	if sum := resp.Header.Get("X-Amz-Crc32"); sum != "" {
		if want, err := strconv.ParseUint(sum, 10, 32); err != nil || uint32(want) != crc32.ChecksumIEEE(b.text) {
			return out, md, fmt.Errorf("reading the answer: its checksum is wrong")
		}
		resp.Header.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(nothing)), 10))
	}
	resp.Body = io.NopCloser(bytes.NewReader(nothing))
	return out, md, nil
}

func (b *body) add(stack *middleware.Stack) error { return stack.Deserialize.Add(b, middleware.After) }

// describe returns the table.
func (c *client) describe(ctx context.Context) (*types.TableDescription, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := c.db.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &c.config.Table})
	if err != nil {
		return nil, c.config.failure("dynamodb:DescribeTable", "describing the table", err)
	}
	if out.Table == nil {
		return nil, c.stranger("describing the table")
	}
	c.tableARN = aws.ToString(out.Table.TableArn)
	return out.Table, nil
}

// stranger is the error of an answer that says yes and nothing else.
func (c *client) stranger(what string) error {
	return &Error{Cause: Refused, Table: c.config.Table, What: what + ": the answer holds nothing of what was asked for", Remedy: noDynamoDB}
}

// listing is the list of a stream's shards, and when it was true.
type listing struct {
	shards   []shard.Listing
	disabled bool // the stream is off: no shard will come any more
	at       time.Time
}

// shards lists a stream's shards, all pages; of a parent only its children when one is given. A cursor that repeats would
// turn for ever, or hide what is behind it.
func (c *client) shards(ctx context.Context, arn, parent string) (listing, error) {
	ctx, cancel := context.WithTimeout(ctx, 4*callTimeout)
	defer cancel()
	in := &dynamodbstreams.DescribeStreamInput{StreamArn: &arn}
	if parent != "" {
		in.ShardFilter = &streamtypes.ShardFilter{Type: streamtypes.ShardFilterTypeChildShards, ShardId: &parent}
	}
	var out listing
	seen := map[string]bool{}
	for {
		began := c.start()
		page, err := c.streams.DescribeStream(ctx, in)
		if err != nil {
			return out, c.config.failure("dynamodb:DescribeStream", "listing the shards of its stream", err)
		}
		if page.StreamDescription == nil {
			return out, c.stranger("listing the shards of its stream")
		}
		if out.at.IsZero() {
			out.at = serverTime(page.ResultMetadata, began)
		}
		for _, s := range page.StreamDescription.Shards {
			l := shard.Listing{ID: aws.ToString(s.ShardId), Parent: aws.ToString(s.ParentShardId)}
			l.Closed = s.SequenceNumberRange != nil && aws.ToString(s.SequenceNumberRange.EndingSequenceNumber) != ""
			out.shards = append(out.shards, l)
		}
		status := page.StreamDescription.StreamStatus
		out.disabled = status == streamtypes.StreamStatusDisabled || status == streamtypes.StreamStatusDisabling
		next := aws.ToString(page.StreamDescription.LastEvaluatedShardId)
		if next == "" {
			return out, nil
		}
		if seen[next] {
			return out, &Error{Cause: Failed, Table: c.config.Table, What: "listing the shards of its stream: the service turns in a circle"}
		}
		seen[next] = true
		in.ExclusiveStartShardId = &next
	}
}

// Kinds of places in a shard.
const (
	latest        = streamtypes.ShardIteratorTypeLatest
	trimHorizon   = streamtypes.ShardIteratorTypeTrimHorizon
	atSequence    = streamtypes.ShardIteratorTypeAtSequenceNumber
	afterSequence = streamtypes.ShardIteratorTypeAfterSequenceNumber
)

// iterator makes an iterator.
func (c *client) iterator(ctx context.Context, arn, id string, kind streamtypes.ShardIteratorType, seq string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	in := &dynamodbstreams.GetShardIteratorInput{StreamArn: &arn, ShardId: &id, ShardIteratorType: kind}
	if seq != "" {
		in.SequenceNumber = &seq
	}
	out, err := c.streams.GetShardIterator(ctx, in)
	if err != nil {
		return "", c.config.failure("dynamodb:GetShardIterator", "opening shard "+id, err)
	}
	return aws.ToString(out.ShardIterator), nil
}

// records reads one page. next is empty when the shard has ended; at is a time of the service that the page is not older than.
func (c *client) records(ctx context.Context, id, iterator string) (records []item.Record, size int, next string, at time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var b body
	began := c.start()
	out, err := c.streams.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: &iterator},
		func(o *dynamodbstreams.Options) {
			o.APIOptions = append(o.APIOptions[:len(o.APIOptions):len(o.APIOptions)], b.add)
		})
	if err != nil {
		return nil, 0, "", at, c.config.failure("dynamodb:GetRecords", "reading shard "+id, err)
	}
	records, next, err = item.Records(b.text)
	if err != nil {
		return nil, 0, "", at, &Error{Cause: Failed, Table: c.config.Table, What: "reading shard " + id, Err: err}
	}
	return records, len(b.text), next, serverTime(out.ResultMetadata, began), nil
}

// scan reads one page of a segment.
func (c *client) scan(ctx context.Context, segment, total int, after map[string]types.AttributeValue, limit int32) (items [][]byte, last []byte, at time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var b body
	in := &dynamodb.ScanInput{TableName: &c.config.Table, ConsistentRead: &c.config.ConsistentReads, ExclusiveStartKey: after}
	if total > 1 {
		in.Segment, in.TotalSegments = aws.Int32(int32(segment)), aws.Int32(int32(total))
	}
	if limit > 0 {
		in.Limit = &limit
	}
	began := c.start()
	out, err := c.db.Scan(ctx, in, func(o *dynamodb.Options) {
		o.APIOptions = append(o.APIOptions[:len(o.APIOptions):len(o.APIOptions)], b.add)
	})
	if err != nil {
		return nil, nil, at, c.config.failure("dynamodb:Scan", "reading items of the table", err)
	}
	if items, last, err = item.Items(b.text); err != nil {
		return nil, nil, at, &Error{Cause: Failed, Table: c.config.Table, What: "reading items of the table", Err: err}
	}
	took := time.Since(began.wall)
	return items, last, serverTime(out.ResultMetadata, began).Add(took + 2*time.Second), nil
}

// began is when a call began.
type began struct{ wall, test time.Time }

func (c *client) start() began {
	if c.now != nil {
		return began{time.Now(), c.now()}
	}
	return began{wall: time.Now()}
}

// serverTime is a time that the answer to a call is not older than, by the service's clock: its Date, in whole seconds, less
// the time that the call took. Without one it is ours.
func serverTime(md middleware.Metadata, began began) time.Time {
	t, ok := awsmiddleware.GetServerTime(md)
	switch {
	case !began.test.IsZero():
		return began.test
	case !ok || t.IsZero():
		return began.wall
	}
	return t.Add(-time.Since(began.wall)).UTC()
}
