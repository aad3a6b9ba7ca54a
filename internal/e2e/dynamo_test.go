package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tidemill/tidemill/internal/dynamofake"
	"github.com/tidemill/tidemill/internal/realtest"
)

// A DynamoDB table, from the scripted service through the real SDK, the log and windows into DuckDB, while shards split and the
// daemon is killed. In the end the warehouse is the table.
func TestDynamoDB(t *testing.T) {
	srv, err := dynamofake.Start(dynamofake.Options{Shards: 2, Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	client := dynamodb.New(dynamodb.Options{BaseEndpoint: aws.String(srv.Endpoint()), Region: srv.Region(), Credentials: credentials.NewStaticCredentialsProvider("key", "secret", "")})
	if _, err := client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName: aws.String("sessions"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
		StreamSpecification:  &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages},
	}); err != nil {
		t.Fatal(err)
	}
	put := func(id string, v int) {
		t.Helper()
		if err := srv.Put("sessions", fmt.Sprintf(`{"id":{"S":%q},"v":{"N":"%d"},"amount":{"N":"%d.5"},"note":{"S":%q},"tags":{"SS":["b","a"]}}`, id, v, v, realtest.Canary)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 200 {
		put(fmt.Sprint("s", i), 0)
	}
	dir, log := t.TempDir(), &logBuffer{}
	vars := []string{"AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null"}
	write(t, dir, "tidemill.yaml", fmt.Sprintf("project: clinic\nwindow: 2s\nlog: {embedded: ./data/log, partitions: 2}\nstore: ./data/lake\nwarehouse: duckdb:./data/warehouse.db\nlisten: 127.0.0.1:%d\nmemory: 512MiB\n", freePort(t)))
	write(t, dir, "sources/sessions.yaml", fmt.Sprintf("kind: source\nname: sessions\ntype: dynamodb\ntable: sessions\nregion: %s\nendpoint: %s\ngrace: 1s\n", srv.Region(), srv.Endpoint()))
	write(t, dir, "pipelines/care.yaml", "kind: pipeline\nname: care\ntables:\n  - replicate: sessions.dynamodb.*\n    into: raw\n")
	e := &env{dir: dir, vars: vars}
	d := start(t, dir, log, vars...)
	for round := range 4 {
		for i := range 100 {
			put(fmt.Sprint("s", i), round+1)
		}
		if round == 1 {
			if err := srv.Split("sessions", ""); err != nil {
				t.Fatal(err)
			}
		}
		if err := srv.Delete("sessions", fmt.Sprintf(`{"id":{"S":"s%d"}}`, 150+round)); err != nil {
			t.Fatal(err)
		}
		answers(t, e, log, fmt.Sprintf("SELECT 1 AS ok FROM raw.sessions WHERE id = 's99' AND v >= %d", round), 1)
		d.kill()
		d = start(t, dir, log, vars...)
	}
	answers(t, e, log, "SELECT 1 AS ok FROM raw.sessions WHERE id = 's99' AND v = 4", 1)
	rows, err := e.queryByCommand(t.Context(), "SELECT count(*) AS n, sum(v) AS v, sum(amount) AS amount, min(tags) AS tags FROM raw.sessions")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(rows[0]["n"], rows[0]["v"], rows[0]["amount"], rows[0]["tags"]); got != fmt.Sprint(json.Number("196"), json.Number("400"), "498.000000000", `["a","b"]`) && !strings.HasPrefix(got, "196 400 498") {
		t.Errorf("the warehouse holds %s", got)
	}
	d.stop(t)
	realtest.NoCanary(t, "what the daemon printed", log.String())
}

// answers asks the warehouse until the query has so many rows.
func answers(t *testing.T, e *env, log *logBuffer, sql string, n int) {
	t.Helper()
	ticker := time.NewTicker(300 * time.Millisecond)
	defer ticker.Stop()
	for began := time.Now(); ; <-ticker.C {
		if rows, err := e.queryByCommand(t.Context(), sql); err == nil && len(rows) == n {
			return
		}
		if time.Since(began) > 3*time.Minute {
			t.Fatalf("waited for %s\n%s", sql, tail(log.String(), 4000))
		}
	}
}
