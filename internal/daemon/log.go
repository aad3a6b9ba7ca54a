package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/kafka"
)

// KafkaConfig reaches the project's log: its brokers, or the embedded one at the given address.
func KafkaConfig(g config.Log, embedded string) (kafka.Config, error) {
	if len(g.Brokers) == 0 {
		return kafka.Config{Brokers: []string{embedded}}, nil
	}
	c := kafka.Config{Brokers: g.Brokers, Prefix: g.Prefix}
	if s := g.SASL; s != nil {
		c.SASL = &kafka.SASL{Mechanism: s.Mechanism, User: s.User, Password: s.Password.Reveal()}
	}
	if g.TLS == nil {
		return c, nil
	}
	c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if g.TLS.CA != "" {
		pem, err := os.ReadFile(string(g.TLS.CA))
		if err != nil {
			return c, &EnvironmentError{What: "reading log.tls.ca", Err: err, Remedy: "name a PEM file that exists: log.tls.ca in tidemill.yaml"}
		}
		c.TLS.RootCAs = x509.NewCertPool()
		if !c.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return c, &EnvironmentError{What: "reading log.tls.ca: " + string(g.TLS.CA) + " holds no PEM certificate", Remedy: "name the brokers' authority: log.tls.ca in tidemill.yaml"}
		}
	}
	if g.TLS.Cert != "" {
		pair, err := tls.LoadX509KeyPair(string(g.TLS.Cert), string(g.TLS.Key))
		if err != nil {
			return c, &EnvironmentError{What: "reading log.tls.cert and log.tls.key", Err: err, Remedy: "name a PEM certificate and its key: log.tls in tidemill.yaml"}
		}
		c.TLS.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// brokerPatience is how long the brokers may take to answer at the start. A broker that restarts is back by then; longer
// hides a wrong address from the one who typed it.
const brokerPatience = 15 * time.Second

// reach waits until the brokers answer. At the start it is an error of the environment when they do not; later every
// client retries by itself.
func reach(ctx context.Context, cfg kafka.Config, patience time.Duration) error {
	cl, err := kafka.New(cfg, kgo.RequestRetries(0)) // the error itself is told, not that there were many
	if err != nil {
		return err
	}
	defer cl.Close()
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		try, stop := context.WithTimeout(wait, 5*time.Second)
		err := cl.Ping(try)
		stop()
		if last == nil || wait.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			last = err // time that is up tells nothing about why
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case loginRefused(err), errors.As(err, new(*tls.CertificateVerificationError)):
			return unreachable(cfg, err, nil)
		}
		select {
		case <-wait.Done():
			return unreachable(cfg, last, probe(ctx, cfg.Brokers[0]))
		case <-tick.C:
		}
	}
}

// loginRefused reports whether a broker has answered a login, and not with yes.
func loginRefused(err error) bool {
	return errors.Is(err, kerr.SaslAuthenticationFailed) || errors.Is(err, kerr.UnsupportedSaslMechanism) || errors.Is(err, kerr.IllegalSaslState)
}

// probed is what the network itself says of a broker: the client only says that its time was up.
type probed struct {
	err error // of reaching the port
	tls bool  // the port speaks TLS
}

func probe(ctx context.Context, address string) *probed {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return &probed{err: err}
	}
	defer func() { _ = conn.Close() }()                          // nothing was sent
	c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // whose certificate it is does not matter to whether it has one
	return &probed{tls: c.HandshakeContext(ctx) == nil}
}

// unreachable words the last error of reaching the brokers. p is nil when they have answered.
func unreachable(cfg kafka.Config, err error, p *probed) error {
	e := &EnvironmentError{What: "the Kafka brokers " + strings.Join(cfg.Brokers, ", ") + " cannot be used", Err: err,
		Remedy: "check log.brokers in tidemill.yaml and that this machine can reach them"}
	if p != nil && p.err != nil {
		e.Err = p.err
	}
	var dns *net.DNSError
	switch {
	case errors.Is(err, kerr.IllegalSaslState):
		e.Err, e.Remedy = errors.New("they take no login"), "remove log.sasl from tidemill.yaml, or name in log.brokers the port that asks for a login"
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		e.Err, e.Remedy = fmt.Errorf("they do not take a login by %s", cfg.SASL.Mechanism), "set log.sasl.mechanism in tidemill.yaml to one that they do"
	case loginRefused(err):
		e.Remedy = "check log.sasl in tidemill.yaml: mechanism, user and password"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		e.Remedy = "check log.tls.ca in tidemill.yaml: it must be the authority that signed the brokers' certificates"
	case errors.As(e.Err, &dns):
		e.Err = fmt.Errorf("no such host: %s", dns.Name)
	case errors.Is(e.Err, syscall.ECONNREFUSED):
		e.Err = errors.New("connection refused")
	case p != nil && p.tls && cfg.TLS == nil:
		e.Err, e.Remedy = errors.New("they speak TLS"), "add log.tls to tidemill.yaml, like tls: {ca: FILE}; tls: {} trusts the authorities of this machine"
	case errors.As(err, new(*kgo.ErrFirstReadEOF)) && cfg.SASL == nil:
		e.Err, e.Remedy = errors.New("they end the connection at the first request"), "they may want a login: add log.sasl to tidemill.yaml"
	case p != nil && p.err == nil && !p.tls && cfg.TLS != nil:
		e.Err, e.Remedy = errors.New("they do not speak TLS"), "remove log.tls from tidemill.yaml, or name in log.brokers the port that speaks TLS"
	case errors.Is(err, context.DeadlineExceeded):
		e.Err = errors.New("no answer in time")
	}
	return e
}
