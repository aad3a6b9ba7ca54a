package dynamodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.opentelemetry.io/otel/metric"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources"
	"github.com/tidemill/tidemill/sources/dynamodb/item"
)

// Source reads one DynamoDB table.
type Source struct {
	name   string
	config Config
	pins   map[string]item.Pin
	log    *slog.Logger
	meter  metric.Meter
	pace   pace
	now    func() time.Time // tests: the service's clock

	client *client // known after Prepare
	table  *described
	sample item.Profile
}

// pace is how often the service is asked and how much is held. AWS lets a shard be read about five times a second by at most
// two readers, and lists shards about ten times a second for all of an account.
type pace struct {
	empty   time.Duration // between reads of a shard that had nothing
	busy    time.Duration // and of one that had less than a page
	list    time.Duration // between listings
	round   time.Duration // between rounds, unless much is waiting
	tick    time.Duration
	patient time.Duration // without any answer, before the run ends
	backoff time.Duration // the longest pause after failures
	workers int           // calls at a time
	ahead   int           // pages of a shard that wait
	held    int           // bytes of pages that wait before no more are asked for
	rows    int           // of a round
	bytes   int           // of a round
}

func usualPace() pace {
	return pace{empty: time.Second, busy: 250 * time.Millisecond, list: 8 * time.Second, round: 200 * time.Millisecond, tick: 250 * time.Millisecond,
		patient: 2 * time.Minute, backoff: 30 * time.Second, workers: 16, ahead: 4, held: 64 << 20, rows: 50_000, bytes: 32 << 20}
}

var _ ingest.Source = (*Source)(nil)

// Kind is the entry of this connector in the set of sources.
func Kind() sources.Kind {
	return sources.Kind{
		Name:   "dynamodb",
		Config: func() any { c := Default(); return &c },
		New: func(env sources.Env, config any) (ingest.Source, error) {
			return New(env.Name, *config.(*Config), env.Log, env.Meter), nil
		},
	}
}

// New makes a source. It does no I/O. log and meter may be nil.
func New(name string, config Config, log *slog.Logger, meter metric.Meter) *Source {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Source{name: name, config: config, pins: config.pins(), log: log, meter: meter, pace: usualPace()}
}

// described is a table as Prepare has found it.
type described struct {
	arn  string // of the newest stream
	id   string // of the table: one that was made anew has another
	keys []item.Key
	rows int64 // about
}

// sampleItems is how many items the types of columns are taken from, when the table has no stream's memory yet.
const sampleItems = 500

func (s *Source) tableName() ingest.TableName {
	return ingest.TableName{Schema: tableSchema, Name: s.config.Table}
}

// Prepare connects, refuses a table that cannot be replicated and returns its schema.
func (s *Source) Prepare(ctx context.Context) ([]ingest.Schema, error) {
	c, err := s.config.client(ctx)
	if err != nil {
		return nil, err
	}
	c.now, c.source = s.now, s.name
	t, err := c.describe(ctx)
	if err != nil {
		if causeOf(err) == Gone {
			return nil, &Error{Cause: Refused, Table: s.config.Table, What: "there is no such table in region " + c.db.Options().Region, Remedy: "correct table and region in the source's file"}
		}
		return nil, err
	}
	d, err := s.check(t)
	if err != nil {
		return nil, err
	}
	items, _, _, err := c.scan(ctx, 0, 1, nil, sampleItems)
	if err != nil {
		return nil, err
	}
	profile := item.Profile{}
	var attributes []item.Attribute
	for _, i := range items {
		if attributes, err = item.Parse(i, attributes); err != nil {
			return nil, &Error{Cause: Failed, Table: s.config.Table, What: "reading items of the table", Err: err}
		}
		profile.Note(attributes)
	}
	s.client, s.table, s.sample = c, d, profile
	return []ingest.Schema{*item.Schema(s.tableName(), item.Columns(nil, d.keys, profile, s.pins))}, nil
}

// check refuses a table whose stream does not tell what its items are.
func (s *Source) check(t *types.TableDescription) (*described, error) {
	refused := func(what, remedy string) error {
		return &Error{Cause: Refused, Table: s.config.Table, What: what, Remedy: remedy}
	}
	if t.TableStatus == types.TableStatusDeleting {
		return nil, refused("it is being deleted", "")
	}
	if t.StreamSpecification == nil || !aws.ToBool(t.StreamSpecification.StreamEnabled) || aws.ToString(t.LatestStreamArn) == "" {
		return nil, refused("its stream is off, so changes cannot be read", s.config.streamOn())
	}
	switch view := t.StreamSpecification.StreamViewType; view {
	case types.StreamViewTypeNewAndOldImages, types.StreamViewTypeNewImage:
	default:
		return nil, refused(fmt.Sprintf("its stream holds %s, which does not say what an item is after a change", view),
			"a stream's view cannot be changed, so run: "+s.config.streamOff()+" && "+s.config.streamOn()[len("run: "):])
	}
	d := &described{arn: aws.ToString(t.LatestStreamArn), id: aws.ToString(t.TableId), rows: aws.ToInt64(t.ItemCount)}
	for _, k := range t.KeySchema {
		key := item.Key{Attribute: aws.ToString(k.AttributeName)}
		for _, a := range t.AttributeDefinitions {
			if aws.ToString(a.AttributeName) == key.Attribute {
				key.Tag = map[types.ScalarAttributeType]item.Tag{types.ScalarAttributeTypeS: item.S, types.ScalarAttributeTypeN: item.N, types.ScalarAttributeTypeB: item.B}[a.AttributeType]
			}
		}
		if s.pins[key.Attribute].Drop {
			return nil, refused(fmt.Sprintf("attribute %q is its key and cannot be dropped", key.Attribute), "remove it from columns in the source's file")
		}
		if name := cmp.Or(s.pins[key.Attribute].Name, key.Attribute); !item.Nameable(name) {
			return nil, refused(fmt.Sprintf("attribute %q is its key, and no warehouse column can have that name", name), fmt.Sprintf("set columns: {%q: text as another_name} in the source's file (or another type)", key.Attribute))
		}
		for attribute, p := range s.pins {
			if attribute != key.Attribute && strings.EqualFold(p.Name, cmp.Or(s.pins[key.Attribute].Name, key.Attribute)) {
				return nil, refused(fmt.Sprintf("columns gives attribute %q the name of its key's column", attribute), "give it another in the source's file")
			}
		}
		d.keys = append(d.keys, key)
	}
	return d, nil
}

// Run streams until ctx ends.
func (s *Source) Run(ctx context.Context, resume ingest.Resume, out ingest.Emitter) error {
	if s.client == nil {
		return errors.New("running a source that was not prepared")
	}
	st, err := newStream(s, out)
	if err != nil {
		return err
	}
	err = st.run(ctx, resume)
	if ctx.Err() != nil {
		return nil
	}
	return err
}
