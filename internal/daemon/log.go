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
func reach(ctx context.Context, cfg kafka.Config) error {
	cl, err := kafka.New(cfg)
	if err != nil {
		return err
	}
	defer cl.Close()
	wait, cancel := context.WithTimeout(ctx, brokerPatience)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		try, stop := context.WithTimeout(wait, 5*time.Second)
		err := cl.Ping(try)
		stop()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, kerr.SaslAuthenticationFailed), errors.As(err, new(*tls.CertificateVerificationError)):
			return unreachable(cfg, err)
		}
		select {
		case <-wait.Done():
			return unreachable(cfg, diagnose(ctx, cfg, err))
		case <-tick.C:
		}
	}
}

// diagnose asks the network itself why there was no answer: the client only says that its time was up.
func diagnose(ctx context.Context, cfg kafka.Config, err error) error {
	conn, dialErr := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, "tcp", cfg.Brokers[0])
	if dialErr != nil {
		return dialErr
	}
	_ = conn.Close() // nothing was sent
	return err
}

// unreachable words the last error of reaching the brokers.
func unreachable(cfg kafka.Config, err error) error {
	e := &EnvironmentError{What: "the Kafka brokers " + strings.Join(cfg.Brokers, ", ") + " cannot be used", Err: err,
		Remedy: "check log.brokers in tidemill.yaml and that this machine can reach them"}
	var dns *net.DNSError
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		e.Remedy = "check log.sasl in tidemill.yaml: mechanism, user and password"
	case errors.As(err, new(*tls.CertificateVerificationError)):
		e.Remedy = "check log.tls.ca in tidemill.yaml: it must be the authority that signed the brokers' certificates"
	case errors.As(err, &dns):
		e.Err = fmt.Errorf("no such host: %s", dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Err = errors.New("connection refused")
	case errors.Is(err, context.DeadlineExceeded):
		e.Err = fmt.Errorf("no answer within %s", brokerPatience)
	}
	return e
}
