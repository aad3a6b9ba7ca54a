package realtest

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(Wrap(m)) }

func TestSourcesHaveTheBinlogWeAskFor(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]string{
		"mariadb": "select concat_ws(' ', @@binlog_format, @@binlog_row_image, @@binlog_row_metadata, if(@@gtid_strict_mode, 1, 0), @@gtid_binlog_pos = ''), @@tmpdir",
		"mysql":   "select concat_ws(' ', @@binlog_format, @@binlog_row_image, @@binlog_row_metadata, @@gtid_mode = 'ON', @@gtid_executed = ''), @@tmpdir",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := MariaDB
			if name == "mysql" {
				start = MySQL
			}
			s := start(t)
			var got, temporary string
			if err := Open(t, s, "").QueryRowContext(t.Context(), query).Scan(&got, &temporary); err != nil {
				t.Fatal(err)
			}
			if temporary != filepath.Join(s.Dir, "tmp") {
				t.Errorf("temporary files lie in %s, where servers delete each other's", temporary)
			}
			// The last 1: a new server has an empty history, so a test's positions start at the test.
			if got != "ROW FULL FULL 1 1" {
				t.Errorf("binlog settings: %s", got)
			}
		})
	}
}

func TestPostgresIsPrivate(t *testing.T) {
	t.Parallel()
	a, b := Postgres(t), Postgres(t)
	Exec(t, Open(t, a, ""), "create table only_here (n int)")
	var there bool
	q := "select to_regclass('only_here') is not null"
	if err := Open(t, b, "").QueryRowContext(t.Context(), q).Scan(&there); err != nil || there {
		t.Errorf("a table of one server is seen in the other: %v, error %v", there, err)
	}
}

func TestS3TakesConditionalWrites(t *testing.T) {
	t.Parallel()
	b := S3(t)
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(b.Endpoint), Region: b.Region, UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(b.AccessKey, b.SecretKey, ""),
	})
	put := func() error {
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String(b.Name), Key: aws.String("a/b"), Body: strings.NewReader("x"), IfNoneMatch: aws.String("*"),
		})
		return err
	}
	if err := put(); err != nil {
		t.Fatal(err)
	}
	if err := put(); err == nil || !strings.Contains(err.Error(), "PreconditionFailed") {
		t.Errorf("a second put with If-None-Match: %v", err)
	}
}

func TestSharedKafkaIsShared(t *testing.T) {
	if a, b := SharedKafka(t), SharedKafka(t); a.Pid() != b.Pid() {
		t.Errorf("two brokers: %d and %d", a.Pid(), b.Pid())
	}
}

func TestKafkaClusterSurvivesOneBroker(t *testing.T) {
	if testing.Short() {
		t.Skip("three JVMs")
	}
	c := KafkaCluster(t, 3)
	c.Brokers[2].Kill()
	if err := c.Brokers[2].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// fake records what a test would have reported.
type fake struct {
	testing.TB
	errors []string
}

func (f *fake) Helper() {}
func (f *fake) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

func TestNoCanary(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"all quiet\nnothing here":                            0,
		"line\npassword=" + Canary + "\n" + Canary:           2,
		"bytes " + hex.EncodeToString([]byte(Canary+"tail")): 1,
		strings.ToUpper(Canary):                              1,
	} {
		f := &fake{TB: t}
		NoCanary(f, "a log", text)
		if len(f.errors) != want {
			t.Errorf("%q: %d findings, want %d", text, len(f.errors), want)
		}
	}
}
