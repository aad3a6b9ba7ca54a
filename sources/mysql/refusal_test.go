package mysql

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/realtest"
)

// refusalCase is a server or a configuration that cannot be replicated from.
type refusalCase struct {
	name   string
	only   flavor
	damage []string // statements of the administrator
	mend   []string
	config func(*Config)
}

var refusalCases = []refusalCase{
	{name: "fine"},
	{name: "binlog_format", damage: []string{"SET GLOBAL binlog_format='STATEMENT'"}, mend: []string{"SET GLOBAL binlog_format='ROW'"}},
	{name: "binlog_row_image", damage: []string{"SET GLOBAL binlog_row_image='MINIMAL'"}, mend: []string{"SET GLOBAL binlog_row_image='FULL'"}},
	{name: "binlog_row_metadata", damage: []string{"SET GLOBAL binlog_row_metadata='MINIMAL'"}, mend: []string{"SET GLOBAL binlog_row_metadata='FULL'"}},
	{name: "several_at_once", damage: []string{"SET GLOBAL binlog_row_image='NOBLOB'", "SET GLOBAL binlog_row_metadata='MINIMAL'"},
		mend: []string{"SET GLOBAL binlog_row_image='FULL'", "SET GLOBAL binlog_row_metadata='FULL'"}},
	{name: "binlog_row_value_options", only: mysql, damage: []string{"SET GLOBAL binlog_row_value_options='PARTIAL_JSON'"}, mend: []string{"SET GLOBAL binlog_row_value_options=''"}},
	{name: "gtid_mode", only: mysql, damage: []string{"SET GLOBAL gtid_mode='ON_PERMISSIVE'"}, mend: []string{"SET GLOBAL gtid_mode='ON'"}},
	{name: "wrong_password", config: func(c *Config) { c.Password = config.NewSecret("wrong" + realtest.Canary) }},
	{name: "no_such_user", config: func(c *Config) { c.User = "nobody" }},
	{name: "nobody_listens", config: func(c *Config) { c.Address = "127.0.0.1:1" }},
	{name: "unknown_host", config: func(c *Config) { c.Address = "no-such-host.invalid" }},
	{name: "tls_without_certificate", config: func(c *Config) { c.TLS.Mode = tlsVerify }},
	{name: "missing_ca_file", config: func(c *Config) { c.TLS = TLS{Mode: tlsVerify, CA: "/nonexistent/ca.pem"} }},
	{name: "no_privileges", damage: []string{"CREATE USER poor@'%' IDENTIFIED BY 'p'"}, mend: []string{"DROP USER poor@'%'"},
		config: func(c *Config) { c.User, c.Password = "poor", config.NewSecret("p") }},
	{name: "replication_only", damage: []string{"CREATE USER poor@'%' IDENTIFIED BY 'p'", "GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO poor@'%'"}, mend: []string{"DROP USER poor@'%'"},
		config: func(c *Config) { c.User, c.Password = "poor", config.NewSecret("p") }},
	{name: "no_such_table", config: func(c *Config) { c.Tables = map[string]Table{"refusals.keyles": {}} }},
	{name: "no_primary_key", config: func(c *Config) { c.Tables = map[string]Table{"refusals.keyless": {}} }},
	{name: "view", config: func(c *Config) { c.Tables = map[string]Table{"refusals.v": {}} }},
	{name: "key_column_dropped", config: func(c *Config) {
		c.Tables = map[string]Table{"refusals.t": {Columns: map[string]string{"id": actionDrop}}}
	}},
	{name: "compressed_column", only: mariadb, damage: []string{"CREATE TABLE refusals.squeezed (id INT PRIMARY KEY, v TEXT COMPRESSED)"},
		config: func(c *Config) { c.Tables = map[string]Table{"refusals.squeezed": {}} }},
}

// Each refusal names the server, the setting, its value and what mends it; none holds a password or a row's value.
func TestRefusals(t *testing.T) {
	eachServer(t, nil, func(t *testing.T, l *lab) {
		l = l.in(t, "refusals")
		l.exec("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(40))", "CREATE TABLE keyless (v VARCHAR(40))", "CREATE VIEW v AS SELECT * FROM t",
			"INSERT INTO t VALUES (1, '"+realtest.Canary+"')")
		var out strings.Builder
		for _, c := range refusalCases {
			if c.only == "" || c.only == l.flavor {
				fmt.Fprintf(&out, "== %s\n%s\n\n", c.name, c.text(l))
			}
		}
		realtest.NoCanary(t, "the refusals", out.String())
		golden(t, "testdata/refusals/"+string(l.flavor)+".txt", out.String())
	})
}

func (c refusalCase) text(l *lab) string {
	l.exec(c.damage...)
	defer l.exec(c.mend...)
	cfg := l.config("t")
	if c.config != nil {
		c.config(&cfg)
	}
	src, err := New("test", cfg, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(l.t.Context(), 30*time.Second)
	defer cancel()
	if _, err = src.Prepare(ctx); err == nil {
		return "accepted"
	}
	text := strings.ReplaceAll(err.Error(), cfg.Address, "SERVER")
	text = resolver.ReplaceAllString(text, "")
	if ingest.Retryable(err) {
		text += "\n(retryable)"
	}
	return text
}

// resolver is the machine's name server in an error text.
var resolver = regexp.MustCompile(` on \S+:53`)

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s", file, got)
	}
}

func TestNoBinlog(t *testing.T) {
	for f, setting := range map[flavor]string{mariadb: "skip-log-bin", mysql: "skip-log-bin"} {
		t.Run(string(f), func(t *testing.T) {
			l := serverLab(t, f, setting).in(t, "refusals")
			l.exec("CREATE TABLE t (id INT PRIMARY KEY)")
			got := refusalCase{name: "log_bin"}.text(l)
			if !strings.Contains(got, "SERVER: log_bin is OFF; set log_bin = ON") {
				t.Errorf("got %s", got)
			}
		})
	}
}

// A table that cannot be replicated is parked alone; the others go on.
func TestBadTablesAreParked(t *testing.T) {
	eachServer(t, nil, func(t *testing.T, l *lab) {
		l = l.in(t, "parks")
		l.exec("CREATE TABLE good (id INT PRIMARY KEY)", "INSERT INTO good VALUES (1)", "CREATE TABLE keyless (v INT)")
		rec := newRecorder(t, 2)
		run := l.run(l.config("good", "keyless", "missing"), rec, ingest.Resume{})
		l.settleLoads(rec, "good")
		l.exec("INSERT INTO keyless VALUES (1)", "INSERT INTO good VALUES (2)")
		l.settle(rec)
		l.same(rec, "good")
		if got := rec.parked[l.table("keyless")]; !strings.Contains(got, "ALTER TABLE `parks`.`keyless` ADD COLUMN") {
			t.Errorf("keyless: %q", got)
		}
		if got := rec.parked[l.table("missing")]; !strings.Contains(got, "there is no such table") {
			t.Errorf("missing: %q", got)
		}
		run.end(t)

		// What was parked stays parked over a restart, whatever the table looks like now.
		l.exec("ALTER TABLE keyless ADD COLUMN id INT PRIMARY KEY AUTO_INCREMENT")
		again := newRecorder(t, 2)
		run = l.run(l.config("good", "keyless"), again, rec.resume())
		l.exec("INSERT INTO keyless (v) VALUES (7)")
		l.settle(again)
		if len(again.rows[l.table("keyless")]) != 0 || again.parked[l.table("keyless")] == "" {
			t.Errorf("rows of a parked table: %v", again.rows)
		}
		run.end(t)
	})
}
