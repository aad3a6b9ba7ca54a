package e2e_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/jackc/pgx/v5"

	"github.com/tidemill/tidemill/internal/clinic"
	"github.com/tidemill/tidemill/internal/dynamofake"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/internal/oracle"
	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/internal/redshiftdouble"
	"github.com/tidemill/tidemill/internal/servers"
)

// The line's parts, each named as in the matrix.
type combo struct {
	broker    string // embedded | kafka
	warehouse string // duckdb | postgres | redshift
	store     string // folder | s3
	consult   string // mariadb | mysql
	pharmacy  string // mariadb | mysql
	memory    string // what windows may hold before they spill; empty: plenty
}

func (c combo) String() string {
	return strings.Join([]string{c.broker, c.warehouse, c.store, c.consult + "+" + c.pharmacy}, ",")
}

// length is that of a window.
const length = 2 * time.Second

// visits is the joined view of the tests. It is plain enough for DuckDB, which runs it, and PostgreSQL, which judges it.
const visits = `
SELECT a.appointment_id, a.scheduled_at, a.status, p.patient_id, p.city, p.notes, d.doctor_id, d.full_name AS doctor,
  COUNT(o.order_id) AS orders, CAST(COALESCE(SUM(o.amount), 0) AS DECIMAL(18, 2)) AS ordered
FROM consult.appointments a
JOIN consult.patients p ON p.patient_id = a.patient_id
JOIN consult.doctors d ON d.doctor_id = a.doctor_id
LEFT JOIN pharmacy.orders o ON o.appointment_id = a.appointment_id
WHERE a.status <> 'no_show'
GROUP BY a.appointment_id, a.scheduled_at, a.status, p.patient_id, p.city, p.notes, d.doctor_id, d.full_name
`

// env is one line: two sources, a broker, a store, a warehouse, a project folder, an oracle.
type env struct {
	combo
	dir               string // project folder
	consult, pharmacy *servers.Server
	kafka             *servers.Server
	cluster           *servers.Cluster // of several brokers, in place of kafka
	pg                *servers.Server  // warehouse (postgres, or what is behind redshift) and oracle's engine, in two databases
	redshift          *redshiftdouble.Server
	bucket            realtest.Bucket
	vars              []string
	log               *logBuffer
	program           string // the daemon's
	clinic            *clinic.Clinic
	chats             *dynamofake.Server // a third source: see withChats
	db                [2]*sql.DB         // consult, pharmacy as administrator
	checker           *oracle.Checker
	checked           int
	port              int
	toll              toll
	follower          *kafka.Client    // of the embedded broker, once it was asked for
	each              func(receiptRow) // called after each window that was judged; may be nil

	// What a test may change before the line is built: see newEnv.
	session      time.Duration       // of the consumer group: how long a dead daemon's units stand still
	brokers      int                 // of the cluster
	data         string              // folder of the daemon
	embedded     string              // folder of the embedded broker
	lake         string              // folder of the store
	extra        []string            // statements for consult, before anything reads it
	outputs      []oracle.Output     // and what comes of them
	viaStore     func(string) string // stands between the daemon and the S3 endpoint
	isolation    redshiftdouble.Isolation
	viaWarehouse func(string) string // stands between the daemon and PostgreSQL
}

// newEnv builds a line: servers, project, oracle. The daemon is not started.
func newEnv(t *testing.T, c combo, changes ...func(*env)) *env {
	t.Helper()
	if c.memory == "" {
		c.memory = "512MiB"
	}
	e := &env{combo: c, dir: t.TempDir(), log: &logBuffer{}, program: binary, session: 2 * time.Second, brokers: 1}
	e.data, e.embedded, e.lake = "./data", "./data/log", "./data/lake"
	for _, change := range changes {
		change(e)
	}
	e.consult, e.pharmacy = sourceServer(t, c.consult), sourceServer(t, c.pharmacy)
	e.pg = realtest.Postgres(t)
	switch {
	case c.broker != "kafka":
	case e.brokers > 1:
		e.cluster = realtest.KafkaCluster(t, e.brokers)
	default:
		e.kafka = realtest.Kafka(t)
	}
	if c.store == "s3" {
		e.bucket = realtest.S3(t)
	}
	e.db = [2]*sql.DB{realtest.Open(t, e.consult, ""), realtest.Open(t, e.pharmacy, "")}
	e.fillSources(t)
	e.writeProject(t)
	e.openOracle(t)
	t.Cleanup(func() {
		realtest.NoCanary(t, "what the daemon printed and traced", e.log.String())
		if t.Failed() {
			said := withoutSpans(e.log.String())
			t.Logf("the daemon's output, without spans and publishes, ends:\n%s\nand with publishes:\n%s", tail(withoutPublishes(said), 8000), tail(said, 1000))
		}
	})
	return e
}

// withoutSpans drops the console exporter's lines: they are for the canary, not for people.
func withoutSpans(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if !strings.HasPrefix(line, `{"Name":`) {
			b.WriteString(line)
		}
	}
	return b.String()
}

func tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}

func sourceServer(t *testing.T, kind string) *servers.Server {
	t.Helper()
	if kind == "mysql" {
		return realtest.MySQL(t)
	}
	return realtest.MariaDB(t)
}

const password = "pw-" + realtest.Canary

func (e *env) fillSources(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	if err := clinic.Create(ctx, e.db[0], e.db[1]); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"clinic", "pharmacy"} {
		if err := clinic.GrantReader(ctx, e.db[i], "tidemill", password, name); err != nil {
			t.Fatal(err)
		}
	}
	realtest.Exec(t, e.db[0], e.extra...)
	if _, err := clinic.Seed(ctx, e.db[0], e.db[1], clinic.Size{Patients: 300, Seed: 7}); err != nil {
		t.Fatal(err)
	}
	// The canary travels as row values: it must arrive in the warehouse and nowhere else.
	realtest.Exec(t, e.db[0], "update clinic.patients set notes = 'seen "+realtest.Canary+"' where patient_id % 3 = 0")
	var err error
	o := clinic.Options{Seed: 11, PayWithin: 300}
	if e.chats != nil {
		o.Chats = e.chats
	}
	if e.clinic, err = clinic.Open(ctx, e.db[0], e.db[1], o); err != nil {
		t.Fatal(err)
	}
}

func (e *env) writeProject(t *testing.T) {
	t.Helper()
	e.port = freePort(t)
	log, store, warehouse := fmt.Sprintf("{embedded: %s, partitions: 2}", e.embedded), e.lake, "duckdb:./data/warehouse.db"
	if addrs := e.brokerAddrs(); len(addrs) > 0 {
		log = fmt.Sprintf("{brokers: [%s], replication: %d, partitions: 2, session: %s}", strings.Join(addrs, ", "), e.brokers, e.session)
	}
	if e.store == "s3" {
		endpoint := e.bucket.Endpoint
		if e.viaStore != nil {
			endpoint = e.viaStore(endpoint)
		}
		store = fmt.Sprintf("s3://%s/e2e?region=%s&endpoint=%s&path_style=true", e.bucket.Name, e.bucket.Region, endpoint)
		e.vars = append(e.vars, "AWS_ACCESS_KEY_ID="+e.bucket.AccessKey, "AWS_SECRET_ACCESS_KEY="+e.bucket.SecretKey)
	}
	if e.warehouse != "duckdb" {
		realtest.Exec(t, realtest.Open(t, e.pg, ""), "create database warehouse")
		warehouse = e.pg.DSN("warehouse")
		if e.warehouse == "redshift" {
			warehouse = e.openRedshift(t)
		}
		if e.viaWarehouse != nil {
			warehouse = e.viaWarehouse(warehouse)
		}
	}
	write(t, e.dir, "tidemill.yaml", fmt.Sprintf("project: clinic\nwindow: %s\nlog: %s\nstore: %q\nwarehouse: %q\nlisten: 127.0.0.1:%d\nmemory: %s\ndata: %q\n",
		length, log, store, warehouse, e.port, e.memory, e.data))
	database := map[string]string{"consult": "clinic", "pharmacy": "pharmacy"}
	for name, s := range map[string]*servers.Server{"consult": e.consult, "pharmacy": e.pharmacy} {
		write(t, e.dir, "sources/"+name+".yaml", fmt.Sprintf("kind: source\nname: %s\ntype: mysql\naddress: %s\nuser: tidemill\npassword: ${env:SOURCE_PASSWORD}\ntables: {%s.*: }\n", name, s.Addr(), database[name]))
	}
	write(t, e.dir, "pipelines/care.yaml", `
kind: pipeline
name: care
tables:
  - replicate: consult.clinic.*
    into: raw_consult
  - replicate: pharmacy.pharmacy.*
    into: raw_pharmacy
  - name: mart.visits
    sql: visits.sql
    key: [appointment_id]
`)
	write(t, e.dir, "pipelines/visits.sql", visits)
	if e.chats != nil {
		e.writeChats(t)
	}
	e.vars = append(e.vars, "SOURCE_PASSWORD="+password, "OTEL_TRACES_EXPORTER=console")
}

// path is where a folder of the configuration lies.
func (e *env) path(folder string) string {
	if filepath.IsAbs(folder) {
		return folder
	}
	return filepath.Join(e.dir, folder)
}

// brokerAddrs are the brokers of the line; none for the embedded one.
func (e *env) brokerAddrs() []string {
	switch {
	case e.cluster != nil:
		return e.cluster.Addrs()
	case e.kafka != nil:
		return []string{e.kafka.Addr()}
	}
	return nil
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (e *env) openOracle(t *testing.T) {
	t.Helper()
	realtest.Exec(t, realtest.Open(t, e.pg, ""), "create database oracle")
	conn, err := pgx.Connect(t.Context(), e.pg.DSN("oracle"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	engine, err := oracle.NewEngine(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	e.checker = &oracle.Checker{Length: length, Engine: engine, Replays: map[string]oracle.Log{
		"consult":  e.replay(t, e.consult, e.combo.consult, "clinic", 9001),
		"pharmacy": e.replay(t, e.pharmacy, e.combo.pharmacy, "pharmacy", 9002),
	}}
	if e.chats != nil {
		e.checker.Replays["sessions"] = e.replayChats(t)
	}
	for _, name := range []string{"patients", "doctors", "appointments"} {
		e.checker.Outputs = append(e.checker.Outputs, oracle.Output{Name: "raw_consult." + name, Source: "consult", Table: name})
	}
	for _, name := range []string{"orders", "order_items", "payments"} {
		e.checker.Outputs = append(e.checker.Outputs, oracle.Output{Name: "raw_pharmacy." + name, Source: "pharmacy", Table: name})
	}
	e.checker.Outputs = append(append(e.checker.Outputs, oracle.Output{Name: "mart.visits", SQL: visits}), e.outputs...)
}

func (e *env) replay(t *testing.T, s *servers.Server, kind, database string, id uint32) *oracle.Replay {
	t.Helper()
	flavor := gomysql.MariaDBFlavor
	if kind == "mysql" {
		flavor = gomysql.MySQLFlavor
	}
	r, err := oracle.NewReplay(oracle.Server{Flavor: flavor, Host: servers.Loopback, Port: uint16(s.Port), User: s.User,
		Password: s.Password, Database: database, ServerID: id})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// run starts the daemon of this line.
func (e *env) run(t *testing.T, extra ...string) *daemon {
	t.Helper()
	return launch(t, e.program, e.dir, e.log, append(append([]string{}, e.vars...), extra...)...)
}

// steps does n operations of the clinic.
func (e *env) steps(t *testing.T, n int) {
	t.Helper()
	for range n {
		if _, err := e.clinic.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
