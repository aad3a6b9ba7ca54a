package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tidemill/tidemill/ingest"
)

// server is what we know of the server and how it is asked. Prepare learns it.
type server struct {
	config    *Config
	db        *sql.DB
	flavor    flavor
	version   string
	identity  string
	logStatus string // the statement that tells the log's end
	cascades  bool   // what foreign keys cascade to is in the log
	folds     bool   // names of tables are kept in lower case
}

func identityQuery(f flavor) string {
	if f == mariadb {
		return "SELECT CONCAT(@@global.server_id, '@', @@hostname, ':', @@port)"
	}
	return "SELECT @@global.server_uuid"
}

// same refuses to mix two servers behind one address.
func (c *Config) same(got, want string) error {
	if got == want {
		return nil
	}
	return &Error{Cause: Unreachable, Server: c.Address, What: "the address leads to more than one server",
		Remedy: "during a failover this passes; behind a balancer, use the address of one server"}
}

// connect asks the server who it is.
func (c *Config) connect(ctx context.Context, db *sql.DB) (*server, error) {
	s := &server{config: c, db: db, flavor: mysql}
	if err := db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&s.version); err != nil {
		return nil, c.failure("connecting", err)
	}
	if strings.Contains(strings.ToLower(s.version), "mariadb") {
		s.flavor = mariadb
	}
	if err := db.QueryRowContext(ctx, identityQuery(s.flavor)).Scan(&s.identity); err != nil {
		return nil, c.failure("asking for the server's identity", err)
	}
	s.logStatus = s.statusStatement()
	set, err := s.settings(ctx, "lower_case_table_names", "innodb_native_foreign_keys")
	if err != nil {
		return nil, err
	}
	s.folds = set["lower_case_table_names"] == "1"
	s.cascades = s.flavor == mysql && s.atLeast(9, 6) && !isOn(set["innodb_native_foreign_keys"])
	return s, nil
}

// statusStatement picks the spelling: MySQL renamed it in 8.2 and dropped the old name in 8.4; MariaDB keeps the old one.
func (s *server) statusStatement() string {
	if s.flavor == mysql && s.atLeast(8, 2) {
		return "SHOW BINARY LOG STATUS"
	}
	return "SHOW MASTER STATUS"
}

func (s *server) atLeast(major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(s.version, "%d.%d", &a, &b); err != nil {
		return false
	}
	return a > major || a == major && b >= minor
}

// now returns the server's time and then the end of its log: every group that was written to the log before the time
// lies before the end. Asked in this order, on one connection. The executed GTID set would not do on MySQL: a group
// enters it after its commit time was taken, by as long as a semi-synchronous replica takes to answer.
func (s *server) now(ctx context.Context) (t time.Time, end coord, err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return t, end, s.config.failure("connecting", err)
	}
	defer conn.Close()
	var text, identity string
	query := "SELECT DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%d %H:%i:%s.%f'), (" + identityQuery(s.flavor) + ")"
	if err := conn.QueryRowContext(ctx, query).Scan(&text, &identity); err != nil {
		return t, end, s.config.failure("asking for the server's time", err)
	}
	if err := s.config.same(identity, s.identity); err != nil {
		return t, end, err
	}
	if t, err = time.Parse("2006-01-02 15:04:05.000000", text); err != nil {
		return t, end, fmt.Errorf("reading the server's time: %w", err)
	}
	end, err = s.end(ctx, conn)
	return t, end, err
}

func (s *server) end(ctx context.Context, conn *sql.Conn) (coord, error) {
	rows, err := conn.QueryContext(ctx, s.logStatus)
	if err != nil {
		return coord{}, s.config.failure("running "+s.logStatus, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return coord{}, s.config.failure("running "+s.logStatus, err)
	}
	values := make([]sql.NullString, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return coord{}, s.config.failure("running "+s.logStatus, err)
		}
		return coord{}, s.config.refuse("log_bin", "OFF", s.enableLog())
	}
	if err := rows.Scan(into...); err != nil {
		return coord{}, s.config.failure("running "+s.logStatus, err)
	}
	return parseCoord(values[0].String, values[1].String)
}

func (s *server) enableLog() string {
	return "set log_bin = ON in the server's configuration file and restart it (on RDS: turn automated backups on)"
}

// position is where a first start begins: the end of the log as a GTID set.
func (s *server) position(ctx context.Context) (gtidSet, error) {
	variable := "@@global.gtid_executed"
	if s.flavor == mariadb {
		variable = "@@global.gtid_binlog_pos" // not gtid_current_pos, which counts what the log never held
	}
	var text string
	if err := s.db.QueryRowContext(ctx, "SELECT "+variable).Scan(&text); err != nil {
		return nil, s.config.failure("asking for the GTID position", err)
	}
	return parseSet(s.flavor, text)
}

// filled reports whether one of the columns is not NULL in rows that are older than it.
func (s *server) filled(ctx context.Context, t ingest.TableName, columns []string) (yes bool, err error) {
	// MariaDB words the default NULL as a text. A generated column has values whatever its default is.
	const q = "SELECT column_name FROM information_schema.columns WHERE table_schema = ? AND table_name = ?" +
		" AND (is_nullable = 'NO' OR COALESCE(column_default, 'NULL') <> 'NULL' OR extra LIKE '%GENERATED%')"
	err = s.each(ctx, "reading the defaults of "+t.String(), q, []any{t.Schema, t.Name}, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		yes = yes || slices.Contains(columns, name)
		return err
	})
	return yes, err
}

// proof is the server's word that everything before a time is in its log before a place.
type proof struct {
	time time.Time
	at   coord
}

// proofInterval is how often an idle server is asked. A window ends at most this much later than it could.
const proofInterval = 500 * time.Millisecond

// prove asks again and again until ctx ends. A proof that the stream has not taken is replaced by the next.
func (s *server) prove(ctx context.Context, proofs chan proof, interval time.Duration) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		t, end, err := s.now(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-proofs:
		default:
		}
		select {
		case proofs <- proof{t, end}:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}
