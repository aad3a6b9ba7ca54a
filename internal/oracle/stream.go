package oracle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
)

// Stream is the change log of a DynamoDB table, read shard by shard from its birth and applied second by second. A cut's
// position is not read: at the end of a window the table is what was written before that end, and that is what is asked for.
type Stream struct {
	client *dynamodbstreams.Client
	arn    string
	name   string
	table  *Table
	shards []*shardLog // parents before their children
	// touched are the keys changed since the last Touched call.
	touched map[string]bool
}

// shardLog is what was read of a shard and is not applied yet.
type shardLog struct {
	id      string
	last    string // sequence number
	ended   bool   // closed, and read to its end
	records []types.Record
}

// NewStream follows a table's stream. The first column is its key, a string. A column that no attribute has is NULL.
func NewStream(client *dynamodbstreams.Client, arn, table string, columns []Column) *Stream {
	return &Stream{client: client, arn: arn, name: table, table: &Table{Columns: columns, Key: []int{0}, Rows: map[string][]Val{}}, touched: map[string]bool{}}
}

// At applies what was written before the end of a window.
func (s *Stream) At(ctx context.Context, _ string, end time.Time) error {
	if err := s.list(ctx); err != nil {
		return err
	}
	for _, sh := range s.shards {
		if err := s.read(ctx, sh); err != nil {
			return fmt.Errorf("reading shard %s: %w", sh.id, err)
		}
	}
	for _, sh := range s.shards {
		for len(sh.records) > 0 && sh.records[0].Dynamodb.ApproximateCreationDateTime.Before(end) {
			if err := s.apply(sh.records[0]); err != nil {
				return fmt.Errorf("replaying record %s of shard %s: %w", aws.ToString(sh.records[0].Dynamodb.SequenceNumber), sh.id, err)
			}
			sh.records = sh.records[1:]
		}
	}
	return nil
}

// Content is part of Log, as is Touched.
func (s *Stream) Content() map[string]*Table { return map[string]*Table{s.name: s.table} }

func (s *Stream) Touched() map[string]map[string]bool {
	t := s.touched
	s.touched = map[string]bool{}
	return map[string]map[string]bool{s.name: t}
}

// list adds shards that are new, behind their parents.
func (s *Stream) list(ctx context.Context) error {
	var from *string
	var found []types.Shard
	for {
		out, err := s.client.DescribeStream(ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: &s.arn, ExclusiveStartShardId: from})
		if err != nil {
			return fmt.Errorf("listing shards: %w", err)
		}
		found = append(found, out.StreamDescription.Shards...)
		if from = out.StreamDescription.LastEvaluatedShardId; from == nil {
			break
		}
	}
	known := func(id string) bool {
		return slices.ContainsFunc(s.shards, func(sh *shardLog) bool { return sh.id == id })
	}
	for added := true; added; {
		added = false
		for _, f := range found {
			id, parent := aws.ToString(f.ShardId), aws.ToString(f.ParentShardId)
			listed := slices.ContainsFunc(found, func(o types.Shard) bool { return aws.ToString(o.ShardId) == parent })
			if !known(id) && (!listed || known(parent)) {
				s.shards, added = append(s.shards, &shardLog{id: id}), true
			}
		}
	}
	return nil
}

// read reads a shard to its present end.
func (s *Stream) read(ctx context.Context, sh *shardLog) error {
	if sh.ended {
		return nil
	}
	in := &dynamodbstreams.GetShardIteratorInput{StreamArn: &s.arn, ShardId: &sh.id, ShardIteratorType: types.ShardIteratorTypeTrimHorizon}
	if sh.last != "" {
		in.ShardIteratorType, in.SequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, &sh.last
	}
	it, err := s.client.GetShardIterator(ctx, in)
	if err != nil {
		return err
	}
	for next := it.ShardIterator; ; {
		page, err := s.client.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: next})
		if err != nil {
			return err
		}
		sh.records = append(sh.records, page.Records...)
		if n := len(page.Records); n > 0 {
			sh.last = aws.ToString(page.Records[n-1].Dynamodb.SequenceNumber)
		}
		if next = page.NextShardIterator; next == nil {
			sh.ended = true
			return nil
		}
		if len(page.Records) == 0 {
			return nil
		}
	}
}

func (s *Stream) apply(r types.Record) error {
	image := r.Dynamodb.NewImage
	if r.EventName == types.OperationTypeRemove {
		image = r.Dynamodb.Keys
	}
	row := make([]Val, len(s.table.Columns))
	for i, c := range s.table.Columns {
		var err error
		if row[i], err = attributeVal(image[c.Name], c.PG); err != nil {
			return fmt.Errorf("attribute %s: %w", c.Name, err)
		}
	}
	k := s.table.keyOf(row)
	s.touched[k] = true
	if r.EventName == types.OperationTypeRemove {
		delete(s.table.Rows, k)
	} else {
		s.table.Rows[k] = row
	}
	return nil
}

// attributeVal is a value as canonical text of a PostgreSQL type.
func attributeVal(a types.AttributeValue, pg string) (Val, error) {
	switch a := a.(type) {
	case nil, *types.AttributeValueMemberNULL:
		return null, nil
	case *types.AttributeValueMemberS:
		return Val{Text: a.Value}, nil
	case *types.AttributeValueMemberN:
		n, ok := new(big.Rat).SetString(a.Value)
		if !ok {
			return null, errors.New("it is no number")
		}
		return Val{Text: n.FloatString(scaleOf(pg))}, nil
	case *types.AttributeValueMemberSS:
		members := slices.Sorted(slices.Values(a.Value))
		b, err := json.Marshal(members)
		return Val{Text: string(b)}, err
	}
	return null, fmt.Errorf("a %T is not replayed", a)
}

// scaleOf is the scale of numeric(p,s); other types have none.
func scaleOf(pg string) int {
	_, rest, ok := strings.Cut(pg, ",")
	if !ok {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSuffix(rest, ")"))
	if err != nil {
		return 0
	}
	return n
}
