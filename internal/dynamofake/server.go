package dynamofake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Options tune a server. The zero value is one table service on a free port with the wall clock, one shard per stream
// and no limits.
type Options struct {
	// Clock is the service's time: creation times, retention, iterator expiry, rotation, TTL. Default: time.Now.
	// Signatures are checked against the wall clock (and Skew), since the SDK signs by it.
	Clock func() time.Time
	// Port on 127.0.0.1. Zero: a free one.
	Port int
	// Region and Account are what ARNs name and signatures must be for. Default: us-east-1, 000000000000.
	Region, Account string
	// Seed of everything that AWS leaves open: hashes, ids, order of sets. The same seed and calls give the same answers.
	Seed uint64
	// Shards is how many open shards a new stream has. Default 1.
	Shards int
	// RotateEvery closes each open shard that is this old and opens one child. Zero: never by itself. AWS: about 4 h.
	RotateEvery time.Duration
	// TTLDelay is how long after its expiry an item is deleted. AWS: up to 48 h.
	TTLDelay time.Duration
	// SettleDelay is how long tables and streams stay CREATING, UPDATING, ENABLING, ... Zero: until the answer is out.
	SettleDelay time.Duration
	// Latency is added to every answer.
	Latency time.Duration
	// Limits of the service; the zero value has none beyond those of the protocol.
	Limits Limits
	// Secrets maps access keys to secrets. When given, signatures are verified; otherwise only their form and time.
	Secrets map[string]string
	// Exports receives the files of table exports; without it exports are refused.
	Exports Destination
	// ExportDelay is how long an export is IN_PROGRESS. Its files appear when it ends.
	ExportDelay time.Duration
	// ExportFuzz blurs the edges of exports by up to this much per item. AWS: about a minute.
	ExportFuzz time.Duration
	// Journal is a file that keeps every write. A server that is started on it again is the one that wrote it: same tables,
	// streams, shards and sequence numbers, with the times of then. Rotation and TTL are not in it: leave them off.
	Journal string
	// Observe is told of every call after its answer is decided, in that order. It must not call the server.
	Observe func(Call)
}

// Limits of the service that throttle when exceeded. Zero means no limit.
type Limits struct {
	ReadersPerShard  int     // GetRecords calls on one shard at the same moment. AWS: 2
	GetRecordsRate   float64 // GetRecords calls per second and shard. AWS: 5
	DescribeRate     float64 // DescribeStream calls per second. AWS: about 10
	RecordsPerPage   int     // at most 1000, the default
	BytesPerPage     int     // of GetRecords and Scan; default 1 MiB
	ShardsPerPage    int     // of DescribeStream; default 100
	WriteUnitsPerSec float64 // items written per second and table
}

// Call is one request as the server saw it.
type Call struct {
	Operation string // "GetRecords"
	Table     string // empty when it names none
	Shard     string
	Iterator  string // ShardIteratorType of GetShardIterator
	Error     string // error code, empty when it succeeded
	Records   int    // of GetRecords
}

// Server is a running fake. Its methods are safe for concurrent use.
type Server struct {
	opts       Options
	http       *http.Server
	listener   net.Listener
	stopped    chan struct{}
	operations map[string]operation

	mu       sync.Mutex
	rng      *rand.Rand // of what a server is; a journal repeats its draws
	answers  *rand.Rand // of what it answers
	journal  *journal   // nil: none
	skew     time.Duration
	tables   map[string]*table
	streams  []*stream // in order of creation, disabled ones included
	exports  []*export
	tokens   map[string]token
	faults   []*armed
	calls    map[string]int
	buckets  map[string]*bucket
	reading  map[*shard]int // GetRecords calls in progress
	serial   uint64
	iterator uint64 // iterators of an older generation have expired
}

// New makes a server that does not listen: use it as an http.Handler, or call Start instead.
func New(o Options) *Server {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.Account == "" {
		o.Account = "000000000000"
	}
	o.Shards = max(o.Shards, 1)
	o.Limits = o.Limits.withDefaults()
	return &Server{
		opts: o, operations: operations(), rng: rand.New(rand.NewPCG(o.Seed, 0x7469646566616b65)), answers: rand.New(rand.NewPCG(o.Seed, 1)),
		tables: map[string]*table{}, tokens: map[string]token{}, calls: map[string]int{}, buckets: map[string]*bucket{}, reading: map[*shard]int{},
	}
}

func (l Limits) withDefaults() Limits {
	if l.RecordsPerPage == 0 || l.RecordsPerPage > 1000 {
		l.RecordsPerPage = 1000
	}
	if l.BytesPerPage == 0 {
		l.BytesPerPage = 1 << 20
	}
	if l.ShardsPerPage == 0 || l.ShardsPerPage > 100 {
		l.ShardsPerPage = 100
	}
	return l
}

// Start makes a server and listens on 127.0.0.1.
func Start(o Options) (*Server, error) {
	s := New(o)
	if err := s.openJournal(); err != nil {
		return nil, fmt.Errorf("starting the DynamoDB fake: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(o.Port)))
	if err != nil {
		return nil, fmt.Errorf("starting the DynamoDB fake: %w", errors.Join(err, s.journal.close()))
	}
	s.listener, s.stopped = l, make(chan struct{})
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	go func() {
		defer close(s.stopped)
		_ = s.http.Serve(l) // ends with ErrServerClosed, and with nothing else that could be acted on
	}()
	return s, nil
}

// Endpoint is what to give the SDK as BaseEndpoint, for tables and for streams.
func (s *Server) Endpoint() string { return "http://" + s.listener.Addr().String() }

// Region is what to give the SDK as region.
func (s *Server) Region() string { return s.opts.Region }

// Close stops the server and drops its connections.
func (s *Server) Close() error {
	if s.http == nil {
		return nil
	}
	err := s.http.Close()
	<-s.stopped
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(err, s.journal.close())
}

func (s *Server) now() time.Time {
	if s.journal != nil && !s.journal.then.IsZero() {
		return s.journal.then
	}
	return s.opts.Clock().UTC()
}

// settle brings everything to the present, in the order of due times. The lock is held.
func (s *Server) settle() time.Time {
	now := s.now()
	for _, name := range slices.Sorted(maps.Keys(s.tables)) {
		s.settleTable(s.tables[name], now)
	}
	for _, st := range s.streams {
		st.settle(now)
	}
	s.settleExports(now)
	return now
}
