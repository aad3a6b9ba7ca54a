package servers

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
)

// NewMariaDB is a MariaDB server as we ask users to set theirs up: row binlog with full images and metadata, strict
// GTIDs. The administrator is root without a password, reachable over TCP from this machine only.
func NewMariaDB(o Options) *Server {
	s := newServer(flavour{
		component: mariadbComponent(),
		account:   "mysql",
		prepare:   prepareMariaDB,
		command:   mariadbCommand,
		ready:     mysqlReady,
		dsn:       mysqlDSN,
		stop:      syscall.SIGTERM,
	}, o)
	s.User = "root"
	return s
}

func mariadbComponent() Component {
	return Component{
		Name: "mariadb", Title: "MariaDB",
		Bring: "sudo apt-get install -y mariadb-server-core mariadb-client-core",
		check: func() error {
			if err := findAll("mariadbd", "mariadb-install-db", "my_print_defaults"); err != nil {
				return err
			}
			return accountThere("mysql")
		},
	}
}

// mariadbSettings: small memory for tests, everything tidemill's preflight asks for, and no way to read or write
// the machine's files through SQL.
const mariadbSettings = `[mariadbd]
datadir=%[1]s
socket=%[2]s/s
pid-file=%[2]s/pid
bind-address=127.0.0.1
port=%[3]d
server-id=%[3]d
log-bin=binlog
binlog_format=ROW
binlog_row_image=FULL
binlog_row_metadata=FULL
gtid_strict_mode=ON
skip-name-resolve
secure-file-priv=%[2]s
character-set-server=utf8mb4
innodb_buffer_pool_size=64M
innodb_log_file_size=64M
`

func (s *Server) mycnf() string { return filepath.Join(s.Dir, "my.cnf") }

func prepareMariaDB(ctx context.Context, s *Server) error {
	settings := fmt.Sprintf(mariadbSettings, s.data(), s.Dir, s.Port) + strings.Join(s.config, "\n") + "\n"
	if err := os.WriteFile(s.mycnf(), []byte(settings), 0o644); err != nil {
		return err
	}
	return s.fill(func(dir string) error {
		program, err := find("mariadb-install-db")
		if err != nil {
			return err
		}
		// Without the defaults file: settings meant for the running server (a broken one in a test) have no say here.
		return s.run(ctx, exec.Command(program, "--no-defaults", "--datadir="+dir,
			"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"))
	})
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

func mariadbCommand(s *Server) (*exec.Cmd, error) {
	program, err := find("mariadbd")
	if err != nil {
		return nil, err
	}
	return exec.Command(program, "--defaults-file="+s.mycnf()), nil
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
