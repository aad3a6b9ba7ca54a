package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/metric"
	"go.uber.org/goleak"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/dynamofake"
	"github.com/tidemill/tidemill/internal/grid"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/sources/dynamodb/item"
)

// TestMain gives the SDK's default chain credentials, and nothing of this machine.
func TestMain(m *testing.M) {
	for k, v := range map[string]string{"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true"} {
		if err := os.Setenv(k, v); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// rig is a scripted DynamoDB, a log on the embedded broker, and owners of a source between them, one after the other.
type rig struct {
	t      *testing.T
	srv    *dynamofake.Server
	clock  *dynamofake.Clock // nil: the wall clock
	now    func() time.Time  // a clock that runs by itself; nil: see clock
	db     *client
	log    *kafka.Embedded
	config Config
	window time.Duration
	pace   pace
	meter  metric.Meter
	rows   int // records written to the stream
	logged *strings.Builder
	seals  map[string]ingest.Seal // by slice, as content has found them
}

const table = "sessions"

// newRig makes a rig for a test that runs beside others: most of its time it waits for a window.
func newRig(t *testing.T, o dynamofake.Options) *rig {
	t.Helper()
	t.Parallel()
	return serialRig(t, o)
}

func serialRig(t *testing.T, o dynamofake.Options) *rig {
	t.Helper()
	srv, err := dynamofake.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	broker, err := kafka.OpenEmbedded(kafka.EmbeddedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, srv: srv, log: broker, window: time.Second, logged: &strings.Builder{}}
	t.Cleanup(func() {
		if err := errors.Join(srv.Close(), broker.Close()); err != nil {
			t.Error(err)
		}
	})
	r.config = Default()
	r.config.Table, r.config.Region, r.config.Endpoint, r.config.Grace = table, srv.Region(), srv.Endpoint(), 200*time.Millisecond
	r.pace = pace{empty: 20 * time.Millisecond, busy: 5 * time.Millisecond, list: 100 * time.Millisecond, round: 10 * time.Millisecond, tick: 20 * time.Millisecond,
		patient: 3 * time.Minute, backoff: 200 * time.Millisecond, workers: 8, ahead: 4, held: 64 << 20, rows: 500, bytes: 32 << 20}
	if r.db, err = r.config.client(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// create makes the table: its key is a string id.
func (r *rig) create(view types.StreamViewType) { r.keyed(types.ScalarAttributeTypeS, view) }

// numberKey makes the table with a number for a key.
func (r *rig) numberKey() { r.keyed(types.ScalarAttributeTypeN, images) }

func (r *rig) keyed(key types.ScalarAttributeType, view types.StreamViewType) {
	r.t.Helper()
	r.ok(r.newTable(r.t.Context(), key, view))
}

func (r *rig) keyedTable(ctx context.Context) error {
	return r.newTable(ctx, types.ScalarAttributeTypeS, images)
}

func (r *rig) newTable(ctx context.Context, key types.ScalarAttributeType, view types.StreamViewType) error {
	_, err := r.db.db.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String(table), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: key}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
		StreamSpecification:  &types.StreamSpecification{StreamEnabled: aws.Bool(view != ""), StreamViewType: view},
	})
	return err
}

func (r *rig) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// put writes version v of an item.
func (r *rig) put(id string, v int) {
	r.t.Helper()
	r.ok(r.srv.Put(table, fmt.Sprintf(`{"id":{"S":%q},"v":{"N":"%d"}}`, id, v)))
	r.rows++
}

func (r *rig) item(text string) {
	r.t.Helper()
	r.ok(r.srv.Put(table, text))
	r.rows++
}

func (r *rig) delete(id string) {
	r.t.Helper()
	r.ok(r.srv.Delete(table, fmt.Sprintf(`{"id":{"S":%q}}`, id)))
	r.rows++
}

// spy is a source that counts what it emits, and may be killed at a call.
type spy struct {
	*Source
	kill func(call string, n int) bool // nil: never

	mu      sync.Mutex
	changed chan struct{}
	calls   int
	rows    int
	loads   ingest.Load
	parked  string
	sealed  time.Time // end of the last window that was complete
	done    chan struct{}
	err     error
	stop    context.CancelFunc
}

var errKilled = errors.New("killed by the test")

type spied struct {
	ingest.Emitter
	spy     *spy
	filling map[*ingest.Builder]int
}

func (s *spy) Run(ctx context.Context, resume ingest.Resume, out ingest.Emitter) error {
	return s.Source.Run(ctx, resume, &spied{Emitter: out, spy: s, filling: map[*ingest.Builder]int{}})
}

// call notes a call before and after it. It dies before, or after.
func (e *spied) call(name string, do func() error) error {
	s := e.spy
	s.mu.Lock()
	s.calls++
	n := s.calls
	for b, had := range e.filling {
		s.rows += b.Rows() - had
	}
	clear(e.filling)
	s.mu.Unlock()
	if s.kill != nil && s.kill(name, n) {
		return errKilled
	}
	err := do()
	if err == nil && s.kill != nil && s.kill("after "+name, n) {
		err = errKilled
	}
	s.mu.Lock()
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	return err
}

func (e *spied) Builder(id ingest.TableID, p int) *ingest.Builder {
	b := e.Emitter.Builder(id, p)
	e.spy.mu.Lock()
	if _, ok := e.filling[b]; !ok {
		e.filling[b] = b.Rows()
	}
	e.spy.mu.Unlock()
	return b
}

func (e *spied) Begin(ctx context.Context, t time.Time) error {
	return e.call("Begin", func() error { return e.Emitter.Begin(ctx, t) })
}

func (e *spied) End(ctx context.Context, p ingest.Position) error {
	return e.call("End", func() error { return e.Emitter.End(ctx, p) })
}

func (e *spied) Settle(ctx context.Context, state json.RawMessage) error {
	return e.call("Settle", func() error { return e.Emitter.Settle(ctx, state) })
}

func (e *spied) Tick(ctx context.Context) error {
	return e.call("Tick", func() error { return e.Emitter.Tick(ctx) })
}

func (e *spied) Complete(ctx context.Context, t time.Time) error {
	return e.call("Complete", func() error {
		err := e.Emitter.Complete(ctx, t)
		if err == nil && e.Window().Start.Equal(t) {
			e.spy.mu.Lock()
			e.spy.sealed = t
			e.spy.mu.Unlock()
		}
		return err
	})
}

func (e *spied) Park(ctx context.Context, t ingest.TableName, why string) error {
	return e.call("Park", func() error {
		e.spy.mu.Lock()
		e.spy.parked = why
		e.spy.mu.Unlock()
		return e.Emitter.Park(ctx, t, why)
	})
}

func (e *spied) Load(ctx context.Context, id ingest.TableID, chunk []*ingest.Builder, l ingest.Load) error {
	return e.call("Load", func() error {
		err := e.Emitter.Load(ctx, id, chunk, l)
		e.spy.mu.Lock()
		e.spy.loads = l
		e.spy.mu.Unlock()
		return err
	})
}

// run begins an owner.
func (r *rig) run(kill func(string, int) bool) *spy {
	r.t.Helper()
	src := New("s", r.config, slog.New(slog.NewTextHandler(r.logged, nil)), r.meter)
	src.pace = r.pace
	s := &spy{Source: src, kill: kill, changed: make(chan struct{}), done: make(chan struct{})}
	g, err := grid.New(r.window)
	r.ok(err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	s.stop = cancel
	cfg := ingest.Config{Source: "s", Owner: "test", Grid: g, Kafka: r.log.Config(), Partitions: 3, FlushEvery: 20 * time.Millisecond, CheckpointEvery: 50 * time.Millisecond, FlushBytes: 4 << 10}
	if r.clock != nil {
		cfg.Now, src.now = r.clock.Now, r.clock.Now
	}
	if r.now != nil {
		cfg.Now, src.now = r.now, r.now
	}
	go func() {
		defer close(s.done)
		s.err = ingest.Stream(ctx, cfg, s)
	}()
	r.t.Cleanup(func() { s.stop(); <-s.done })
	return s
}

// await waits until the condition holds; it is looked at after every call of the source.
func (r *rig) await(s *spy, what string, cond func() bool) {
	r.t.Helper()
	limit := time.After(90 * time.Second)
	for {
		s.mu.Lock()
		ok, changed := cond(), s.changed
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-s.done:
			r.t.Fatalf("waited for %s; the source ended: %v", what, s.err)
		case <-limit:
			r.t.Fatalf("waited for %s: %d rows of %d, load %+v, sealed to %s, parked %q\n%s", what, s.rows, r.rows, s.loads, s.sealed, s.parked, r.logged)
		}
	}
}

// caughtUp waits until everything that is in the stream now has been emitted: a window that ends later is complete, and the load
// is done.
func (r *rig) caughtUp(s *spy) {
	r.t.Helper()
	now := time.Now()
	if r.now != nil {
		now = r.now()
	}
	if r.clock != nil {
		now = r.clock.Now()
		r.clock.Advance(2*r.window + 2*r.config.Grace)
	}
	r.await(s, "everything", func() bool { return s.sealed.After(now) && s.loads.Done })
}

// end stops an owner, which must end well.
func (r *rig) end(s *spy) {
	r.t.Helper()
	s.stop()
	<-s.done
	if s.err != nil {
		r.t.Errorf("the source ended with: %v", s.err)
	}
}

// fails waits for the owner's own end.
func (r *rig) fails(s *spy, want string) {
	r.t.Helper()
	select {
	case <-s.done:
	case <-time.After(90 * time.Second):
		r.t.Fatalf("the source has not ended with %q", want)
	}
	if s.err == nil || !strings.Contains(s.err.Error(), want) {
		r.t.Fatalf("the source ended with %v; want %q", s.err, want)
	}
}

// ask asks for a table, or the whole source, to be loaded anew, as tidemill resync does.
func (r *rig) ask(about string) {
	r.t.Helper()
	cl, err := kafka.New(r.log.Config())
	r.ok(err)
	defer cl.Close()
	r.ok(ingest.Ask(r.t.Context(), cl, ingest.Request{ID: fmt.Sprint(time.Now().UnixNano()), Source: "s", Table: about}))
}

// checkpoint is the position of the checkpoint that counts.
func (r *rig) checkpoint() ingest.Position {
	r.t.Helper()
	points, err := ingest.Checkpoints(r.t.Context(), r.log.Config())
	r.ok(err)
	return points["s"].Position
}

// logRow is a row as it lies in the log.
type logRow struct {
	key, text string // text is empty for a delete
	values    map[string]string
	load      bool
	window    time.Time
	end       time.Time
	commit    time.Time
	partition int
	epoch     int64
}

// late is the number of late groups that the seals count.
func (r *rig) late() (n int64) {
	r.t.Helper()
	r.content()
	for _, s := range r.seals {
		n += s.Late
	}
	return n
}

// content reads the whole log as a pipeline does: repeats dropped, void records left out, gaps an error.
func (r *rig) content() (rows []logRow, seals map[time.Time]int64) {
	r.t.Helper()
	r.seals = map[string]ingest.Seal{}
	cl, err := kafka.New(r.log.Config())
	r.ok(err)
	defer cl.Close()
	topic := ingest.Topic("s", ingest.TableName{Schema: tableSchema, Name: table})
	bounds, err := kafka.Offsets(r.t.Context(), cl, topic)
	r.ok(err)
	seals = map[time.Time]int64{}
	for p, b := range bounds[topic] {
		var epoch, seq int64
		r.ok(kafka.ReadPartition(r.t.Context(), r.log.Config(), topic, p, b.Start, b.End, func(rec *kgo.Record) error {
			h, payload, err := ingest.ParseRecord(rec.Value)
			switch {
			case err != nil:
				return err
			case h.Epoch < epoch:
				return nil
			}
			epoch = h.Epoch
			if h.Kind == ingest.SealRecord && h.Flags&ingest.FlagFinal != 0 {
				seals[h.Window] += h.Rows
			}
			if h.Kind == ingest.SealRecord {
				seal, err := ingest.ParseSeal(payload)
				r.ok(err)
				r.seals[fmt.Sprint(h.Window, h.Slice)] = seal
			}
			if h.Kind != ingest.BatchRecord || h.Seq+h.Rows-1 <= seq {
				return nil
			}
			if h.Seq != seq+1 {
				return fmt.Errorf("a gap: seq %d after %d", h.Seq, seq)
			}
			seq = h.Seq + h.Rows - 1
			batch, err := decodeRows(&h, payload, p)
			rows = append(rows, batch...)
			return err
		}))
	}
	return rows, seals
}

func decodeRows(h *ingest.Header, payload []byte, partition int) ([]logRow, error) {
	rec, err := ingest.DecodeBatch(payload)
	if err != nil {
		return nil, err
	}
	defer rec.Release()
	s, err := ingest.SchemaOf(rec.Schema())
	if err != nil {
		return nil, err
	}
	var out []logRow
	for i := range int(rec.NumRows()) {
		row := logRow{values: map[string]string{}, load: h.Flags&ingest.FlagLoad != 0, window: h.Window, end: h.WindowEnd, commit: h.Commit, partition: partition, epoch: h.Epoch}
		var cells []string
		for c, col := range s.Columns {
			v := strings.Clone(rec.Column(c).ValueStr(i))
			row.values[col.Name] = v
			cells = append(cells, v)
		}
		for _, k := range s.KeyColumns() {
			row.key += cells[k] + "|"
		}
		if rec.Column(len(s.Columns)).ValueStr(i) == fmt.Sprint(uint8(ingest.Upsert)) {
			row.text = strings.Join(cells, "|")
		}
		out = append(out, row)
	}
	return out, nil
}

// since are the rows of owners after the epoch, and the last epoch of any.
func since(rows []logRow, epoch int64) (out []logRow, last int64) {
	for _, row := range rows {
		if last = max(last, row.epoch); row.epoch > epoch {
			out = append(out, row)
		}
	}
	return out, last
}

// replica applies the rows in order: what a replica would hold.
func replica(rows []logRow) map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, row := range rows {
		if row.text == "" {
			delete(out, row.key)
		} else {
			out[row.key] = row.values
		}
	}
	return out
}

// equal compares the replica with the table as a consistent Scan shows it.
func (r *rig) equal() []logRow {
	r.t.Helper()
	rows, _ := r.content()
	got := replica(rows)
	columns := item.Columns(nil, []item.Key{{Attribute: "id", Tag: item.S}}, item.Profile{"v": {Tags: 1 << item.N}}, nil)
	want := map[string]map[string]string{}
	decoder, b := item.NewTable(columns, nil), ingest.NewBuilder(item.Schema(ingest.TableName{Schema: tableSchema, Name: table}, columns))
	var last []byte
	for more := true; more; more = last != nil {
		var items [][]byte
		var err error
		after, err := item.KeyOf(cmpOr(last, []byte("{}")))
		r.ok(err)
		if last == nil {
			after = nil
		}
		items, last, _, err = r.db.scan(r.t.Context(), 0, 1, after, 0)
		r.ok(err)
		for _, i := range items {
			_, err := decoder.Item(i)
			r.ok(err)
			r.ok(decoder.Row(b))
		}
	}
	rec := b.Record()
	defer rec.Release()
	for i := range int(rec.NumRows()) {
		row := map[string]string{}
		for c, col := range columns {
			row[col.Name] = rec.Column(c).ValueStr(i)
		}
		want[row["id"]+"|"] = row
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if got[key]["v"] != want[key]["v"] {
			r.t.Errorf("item %s is version %q in the log, %q in the table", key, got[key]["v"], want[key]["v"])
		}
	}
	for key := range got {
		if want[key] == nil {
			r.t.Errorf("item %s is in the log and not in the table", key)
		}
	}
	return rows
}

func cmpOr(a, b []byte) []byte {
	if a == nil {
		return b
	}
	return a
}

// strict checks that each version of each item came once from the stream, in order, each item in one partition. Versions of an
// item begin at first and have no holes.
func (r *rig) strict(rows []logRow, first int) {
	r.t.Helper()
	next, at := map[string]int{}, map[string]int{}
	for _, row := range rows {
		if row.load || row.text == "" {
			continue
		}
		v := 0
		fmt.Sscan(row.values["v"], &v)
		want, ok := next[row.key]
		if !ok {
			want = first
			at[row.key] = row.partition
		}
		if v != want || at[row.key] != row.partition {
			r.t.Errorf("item %s: version %d in partition %d where %d in %d should follow", row.key, v, row.partition, want, at[row.key])
			return
		}
		if !row.commit.Before(row.end) && row.end.Unix() > 0 {
			r.t.Errorf("item %s version %d of %s is in the window that ends at %s", row.key, v, row.commit, row.end)
			return
		}
		next[row.key] = want + 1
	}
}
