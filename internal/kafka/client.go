package kafka

import (
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Config says how to reach a cluster.
type Config struct {
	Brokers []string
	TLS     *tls.Config // nil: no TLS
	SASL    *SASL       // nil: no login
	Prefix  string      // put before every topic and group name on a shared cluster
	// Options are added to every client, for telemetry hooks and tests.
	Options []kgo.Opt
}

// SASL is a login.
type SASL struct {
	Mechanism string // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	User      string
	Password  string
}

// Client is a kgo.Client that knows the project's topic names. Names that enter and leave this package's functions are
// plain (tm.claims); only records and requests carry the prefixed form.
type Client struct {
	*kgo.Client
	prefix string
}

// New makes a client. It opens no connection. Topics are never created by a typo, and nothing is produced or consumed
// that opts do not ask for.
func New(cfg Config, opts ...kgo.Opt) (*Client, error) {
	all := []kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.ClientID("tidemill"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		// A broker that has lost what it acknowledged is an error, not something to go on from.
		kgo.StopProducerOnDataLossDetected(),
		kgo.ProducerLinger(2 * time.Millisecond),
		// A record must never silently start elsewhere than asked: a trimmed offset is an error, not a jump.
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxPartitionBytes(4 << 20),
		kgo.MetadataMinAge(50 * time.Millisecond), // topics are made while we run: the cache must not hide them
		kgo.RetryBackoffFn(retryAfter),
	}
	if cfg.TLS != nil {
		all = append(all, kgo.DialTLSConfig(cfg.TLS))
	}
	if cfg.SASL != nil {
		m, err := cfg.SASL.mechanism()
		if err != nil {
			return nil, err
		}
		all = append(all, kgo.SASL(m))
	}
	all = append(all, cfg.Options...)
	cl, err := kgo.NewClient(append(all, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("making a Kafka client for %s: %w", strings.Join(cfg.Brokers, ", "), err)
	}
	return &Client{cl, cfg.Prefix}, nil
}

// Name is the topic's name on the cluster.
func (c *Client) Name(topic string) string { return c.prefix + topic }

// Plain is the reverse of Name.
func (c *Client) Plain(name string) string { return strings.TrimPrefix(name, c.prefix) }

func (c *Client) admin() *kadm.Client { return kadm.NewClient(c.Client) }

func (s *SASL) mechanism() (sasl.Mechanism, error) {
	switch s.Mechanism {
	case "PLAIN":
		return plain.Auth{User: s.User, Pass: s.Password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("making a Kafka client: SASL mechanism %q is unknown; use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", s.Mechanism)
}

// retryAfter is the wait between tries of one request: quick at first, because a broker that restarts is back within a second.
func retryAfter(tries int) time.Duration {
	return min(50*time.Millisecond<<min(tries, 6), 2*time.Second)
}
