package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"

	"github.com/tidemill/tidemill/internal/clinic"
	"github.com/tidemill/tidemill/internal/dynamofake"
	"github.com/tidemill/tidemill/internal/oracle"
	"github.com/tidemill/tidemill/internal/realtest"
)

// chatVisits joins three stores: a DynamoDB table and both servers.
const chatVisits = `
SELECT s.session_id, s.channel, s.messages, s.rating, s.note, a.appointment_id, a.status, p.patient_id, p.city,
  COUNT(o.order_id) AS orders, CAST(COALESCE(SUM(o.amount), 0) AS DECIMAL(18, 2)) AS ordered
FROM sessions.sessions s
JOIN consult.appointments a ON a.appointment_id = s.appointment_id
JOIN consult.patients p ON p.patient_id = a.patient_id
LEFT JOIN pharmacy.orders o ON o.appointment_id = a.appointment_id
WHERE s.messages > 0
GROUP BY s.session_id, s.channel, s.messages, s.rating, s.note, a.appointment_id, a.status, p.patient_id, p.city
`

// withChats adds the sessions of the chat rooms to a line: a DynamoDB table as a third source, and a view over all three.
func withChats(t *testing.T) func(*env) {
	return func(e *env) {
		var err error
		if e.chats, err = dynamofake.Start(dynamofake.Options{Shards: 2, Seed: 9}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.chats.Close() })
		if err := e.chats.CreateTable(clinic.ChatTable, clinic.ChatKey); err != nil {
			t.Fatal(err)
		}
		e.outputs = append(e.outputs, oracle.Output{Name: "raw_sessions.sessions", Source: "sessions", Table: clinic.ChatTable}, oracle.Output{Name: "mart.sessions", SQL: chatVisits})
	}
}

// writeChats writes the third source and what is made of it.
func (e *env) writeChats(t *testing.T) {
	t.Helper()
	var columns []string
	for name, typ := range clinic.ChatColumns {
		columns = append(columns, fmt.Sprintf("  %s: %s\n", name, typ))
	}
	slices.Sort(columns)
	write(t, e.dir, "sources/sessions.yaml", fmt.Sprintf("kind: source\nname: sessions\ntype: dynamodb\ntable: %s\nregion: %s\nendpoint: %s\ngrace: 1s\ncolumns:\n%s",
		clinic.ChatTable, e.chats.Region(), e.chats.Endpoint(), strings.Join(columns, "")))
	e.append(t, "pipelines/care.yaml", "  - replicate: sessions.dynamodb.sessions\n    into: raw_sessions\n  - name: mart.sessions\n    sql: sessions.sql\n    key: [session_id]\n")
	write(t, e.dir, "pipelines/sessions.sql", chatVisits)
	if e.store != "s3" {
		e.vars = append(e.vars, "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret")
	}
	e.vars = append(e.vars, "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
}

// replayChats follows the table's stream with AWS's own client.
func (e *env) replayChats(t *testing.T) *oracle.Stream {
	t.Helper()
	arn, err := e.chats.StreamArn(clinic.ChatTable)
	if err != nil {
		t.Fatal(err)
	}
	pg := map[string]string{"int32": "integer", "json": "text"}
	columns := []oracle.Column{{Name: clinic.ChatKey, PG: "text"}, {Name: "_extra", PG: "text"}}
	for name, typ := range clinic.ChatColumns {
		if to, ok := pg[typ]; ok {
			typ = to
		}
		columns = append(columns, oracle.Column{Name: name, PG: strings.Replace(typ, "decimal", "numeric", 1)})
	}
	client := dynamodbstreams.New(dynamodbstreams.Options{BaseEndpoint: aws.String(e.chats.Endpoint()), Region: e.chats.Region(), Credentials: credentials.NewStaticCredentialsProvider("key", "secret", "")})
	return oracle.NewStream(client, arn, clinic.ChatTable, columns)
}

// TestChats is the joined line: two servers and a DynamoDB table whose shards split and rotate, the daemon killed in between. Every
// window is the three of them at its cut.
func TestChats(t *testing.T) {
	for _, c := range []combo{
		{"embedded", "duckdb", "folder", "mariadb", "mariadb", ""},
		{"kafka", "postgres", "s3", "mariadb", "mysql", ""},
	} {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, c, withChats(t))
			e.steps(t, 200)
			d := e.run(t)
			e.underLoad(t, 4)
			if err := e.chats.Split(clinic.ChatTable, ""); err != nil {
				t.Fatal(err)
			}
			stop := e.busy(t, 100)
			e.verifies(t, "")
			stop()
			e.underLoad(t, 3)
			d.kill()
			e.steps(t, 100)
			d = e.run(t)
			e.underLoad(t, 3)
			if err := e.chats.Rotate(clinic.ChatTable, ""); err != nil {
				t.Fatal(err)
			}
			e.underLoad(t, 3)
			e.settled(t, 3*time.Minute)
			e.warehouseEquals(t)
			_, _, rows := e.checker.Content("mart.sessions")
			if _, _, all := e.checker.Content("raw_sessions.sessions"); len(rows) < 20 || len(all) < len(rows) {
				t.Errorf("%d rows of %d sessions are joined", len(rows), len(all))
			}
			if c.warehouse == "postgres" {
				realtest.Exec(t, realtest.Open(t, e.pg, "warehouse"), "update raw_sessions.sessions set messages = messages + 1 where session_id = (select min(session_id) from raw_sessions.sessions)")
				e.verifies(t, `{"session_id":`)
			}
			d.stop(t)
			t.Logf("%s: %d windows, %d rows compared, %d sessions joined", c, e.checker.Windows, e.checker.Rows, len(rows))
		})
	}
}

// verifies compares the sessions by the command: all equal, or a difference in the key.
func (e *env) verifies(t *testing.T, differs string) {
	t.Helper()
	out, errs, code := tidemill(t.Context(), e.vars, "verify", "--config", e.dir, "--table", "raw_sessions.sessions")
	t.Logf("exit %d\n%s%s", code, out, errs)
	if differs == "" && (code != 0 || !strings.Contains(out, "equal    raw_sessions.sessions")) || differs != "" && (code != 1 || !strings.Contains(out, differs)) {
		t.Errorf("verify of the sessions: exit %d, want a difference in %q", code, differs)
	}
}
