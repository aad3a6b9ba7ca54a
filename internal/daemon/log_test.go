package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/internal/servers"
)

// A broker with TLS and a login, reached as tidemill.yaml says; and each way to get that wrong.
func TestSecureLog(t *testing.T) {
	authority, other := realtest.NewAuthority(t), realtest.NewAuthority(t)
	cert, key := authority.Issue(t, "broker")
	broker := realtest.SecureKafka(t, servers.Door{Cert: cert, Key: key, User: "tidemill", Password: realtest.Canary})
	door, plain := broker.DoorAddr(), broker.Addr()
	const scram, login = "{mechanism: SCRAM-SHA-512, user: tidemill, password: " + realtest.Canary + "}", "{mechanism: PLAIN, user: tidemill, password: " + realtest.Canary + "}"

	for _, text := range []string{
		"brokers: ['" + door + "'], replication: 1, tls: {ca: certs/ca.pem}, sasl: " + scram,
		"brokers: ['" + door + "'], replication: 1, prefix: plain., tls: {ca: certs/ca.pem}, sasl: " + login,
	} {
		cfg, err := logConfig(t, authority.Dir, text)
		if err == nil {
			err = reach(t.Context(), cfg, 10*time.Second)
		}
		if err != nil {
			t.Fatal(err)
		}
		roundTrip(t, cfg)
	}

	for _, c := range []struct{ name, text, remedy string }{
		{"wrong password", "brokers: ['" + door + "'], tls: {ca: certs/ca.pem}, sasl: {mechanism: SCRAM-SHA-512, user: tidemill, password: no}", "log.sasl"},
		{"wrong password, PLAIN", "brokers: ['" + door + "'], tls: {ca: certs/ca.pem}, sasl: {mechanism: PLAIN, user: tidemill, password: no}", "log.sasl"},
		{"a mechanism that the broker does not have", "brokers: ['" + door + "'], tls: {ca: certs/ca.pem}, sasl: {mechanism: SCRAM-SHA-256, user: tidemill, password: no}", "log.sasl"},
		{"no login", "brokers: ['" + door + "'], tls: {ca: certs/ca.pem}", "log.sasl"},
		{"unknown authority", "brokers: ['" + door + "'], tls: {}, sasl: " + scram, "log.tls.ca"},
		{"another authority", "brokers: ['" + door + "'], tls: {ca: others/ca.pem}, sasl: " + scram, "log.tls.ca"},
		{"plain text to TLS", "brokers: ['" + door + "'], sasl: " + scram, "log.tls"},
		{"TLS to plain text", "brokers: ['" + plain + "'], tls: {ca: certs/ca.pem}, sasl: " + scram, "log.tls"},
		{"a login where there is none", "brokers: ['" + plain + "'], sasl: " + scram, "log.sasl"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg, err := logConfig(t, authority.Dir, c.text, other.Dir)
			if err == nil {
				err = reach(t.Context(), cfg, 10*time.Second)
			}
			var env *EnvironmentError
			if !errors.As(err, &env) {
				t.Fatalf("got %v", err)
			}
			t.Log(err)
			address := door
			if strings.Contains(c.text, plain) {
				address = plain
			}
			if text := err.Error(); !strings.Contains(text, address) || !strings.Contains(env.Hint(), c.remedy) || strings.Contains(text, "\n") {
				t.Errorf("want one line that names %s and %s", address, c.remedy)
			}
			realtest.NoCanary(t, "the error", err.Error())
		})
	}
}

// logConfig reads a log's configuration from a project beside which the authorities' files lie.
func logConfig(t *testing.T, authority, text string, others ...string) (kafka.Config, error) {
	t.Helper()
	dir := t.TempDir()
	links := map[string]string{"certs": authority}
	for _, o := range others {
		links["others"] = o
	}
	for name, target := range links {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, config.ProjectFile), []byte("project: clinic\nlog: {"+text+"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := config.Load(dir, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return KafkaConfig(p.Log, "")
}

// roundTrip makes a topic, appends to it and reads it, with every kind of client that the daemon has.
func roundTrip(t *testing.T, cfg kafka.Config) {
	t.Helper()
	cl, err := kafka.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := kafka.EnsureClaims(t.Context(), cl, 1); err != nil {
		t.Fatal(err)
	}
	epoch, err := kafka.Claim(t.Context(), cl, "source/consult", "somebody")
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	err = kafka.ReadPartition(t.Context(), cfg, kafka.ClaimsTopic, 0, 0, epoch, func(r *kgo.Record) error {
		got = append(got, r.Offset)
		return nil
	})
	if err != nil || !slices.Equal(got, []int64{0}) {
		t.Errorf("read back %v: %v", got, err)
	}
}
