package servers

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
)

// family is what differs between the servers of the MySQL family.
type family struct {
	component Component
	program   func(args ...string) (*exec.Cmd, error)                // the server itself
	install   func(ctx context.Context, s *Server, dir string) error // makes a data folder
	settings  []string                                               // of the kind, besides those of the family
}

// newFamily is a server as we ask users to set theirs up: row binlog with full images and metadata, strict GTIDs. The
// administrator is root without a password, reachable over TCP from this machine only.
func newFamily(f family, o Options) *Server {
	s := newServer(flavour{
		component: f.component,
		account:   "mysql",
		prepare: func(ctx context.Context, s *Server) error {
			return s.fill(func(dir string) error { return f.install(ctx, s, dir) })
		},
		command: func(s *Server) (*exec.Cmd, error) {
			return f.program(dashed(append(append(familySettings(s), f.settings...), s.config...))...)
		},
		ready: mysqlReady,
		dsn:   mysqlDSN,
		stop:  syscall.SIGTERM,
	}, o)
	s.User = "root"
	return s
}

// familySettings: small memory for tests, what tidemill's preflight asks of both kinds, and no way to read or write the
// machine's files through SQL but its own.
func familySettings(s *Server) []string {
	return []string{
		"datadir=" + s.data(),
		"socket=" + filepath.Join(s.Dir, "s"),
		"pid-file=" + filepath.Join(s.Dir, "pid"),
		"bind-address=" + Loopback,
		fmt.Sprintf("port=%d", s.Port),
		fmt.Sprintf("server-id=%d", s.Port),
		"skip-name-resolve=ON",
		"log-bin=binlog",
		"binlog-format=ROW",
		"binlog-row-image=FULL",
		"binlog-row-metadata=FULL",
		"character-set-server=utf8mb4",
		"innodb-buffer-pool-size=64M",
		"secure-file-priv=" + s.Dir,
	}
}

func dashed(config []string) []string {
	var flags []string
	for _, c := range config {
		flags = append(flags, "--"+c)
	}
	return flags
}

// fill makes the data folder if it is not there yet. It is filled under another name and renamed, so that an
// interrupted first start leaves nothing that looks like a database.
func (s *Server) fill(initialise func(dir string) error) error {
	if !empty(s.data()) {
		return nil
	}
	dir := s.data() + ".new"
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := giveTo(s.kind.account, dir); err != nil {
		return err
	}
	if err := initialise(dir); err != nil {
		return err
	}
	_ = os.Remove(s.data()) // an empty folder in the way; if it is not empty the rename says so
	return os.Rename(dir, s.data())
}

// mysqlDSN fixes the session's time zone, so that what a test writes does not depend on the machine's.
func mysqlDSN(s *Server, database string) string {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = s.User, s.Password, "tcp", s.Addr(), database
	c.ParseTime, c.Loc = true, time.UTC
	c.Params = map[string]string{"time_zone": "'+00:00'"}
	return c.FormatDSN()
}

// mysqlReady asks a real question: the port opens well before the server can answer.
func mysqlReady(ctx context.Context, s *Server) error {
	c, err := mysql.ParseDSN(s.DSN(""))
	if err != nil {
		return err
	}
	c.Logger = &mysql.NopLogger{} // connections refused while it starts are expected
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	var one int
	return db.QueryRowContext(ctx, "select 1").Scan(&one)
}
