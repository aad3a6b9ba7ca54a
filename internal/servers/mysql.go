package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// NewMySQL is the newest MySQL that Debian sid has (9.7 at the time of writing), run from the cache folder through
// its own libc, with GTIDs and full row metadata. The administrator is root without a password, on 127.0.0.1 only.
func NewMySQL(o Options) *Server {
	s := newServer(flavour{
		component: mysqlComponent(),
		account:   "mysql",
		prepare:   prepareMySQL,
		command:   mysqlCommand,
		ready:     mysqlReady,
		dsn:       mysqlDSN,
		stop:      syscall.SIGTERM,
	}, o)
	s.User = "root"
	return s
}

func mysqlComponent() Component {
	return Component{
		Name: "mysql", Title: "MySQL 9.7",
		Bring: fetchCommand("mysql"),
		check: func() error {
			program, err := inCache("mysql/root/usr/sbin/mysqld")
			if err != nil {
				return err
			}
			credential, err := accountFor("mysql")
			if err != nil || credential == nil {
				return err
			}
			if closed := closedAbove(program, credential.Uid); closed != "" {
				return fmt.Errorf("account mysql cannot enter %s; set TIDEMILL_CACHE to a folder that all may enter", closed)
			}
			return nil
		},
	}
}

// mysqld is the server's command line up to the folders; the loader of its own libc runs it, because the host's is older.
func mysqld(data string, args ...string) (*exec.Cmd, error) {
	loader, err := inCache("mysql/root/usr/lib/*-linux-gnu/ld-linux-*.so.*")
	if err != nil {
		return nil, err
	}
	usr := filepath.Join(Cache(), "mysql/root/usr")
	line := append([]string{
		"--library-path", filepath.Dir(loader), filepath.Join(usr, "sbin/mysqld"),
		"--no-defaults",
		"--basedir=" + usr,
		"--datadir=" + data,
		"--lc-messages-dir=" + filepath.Join(usr, "share/mysql"),
		"--character-sets-dir=" + filepath.Join(usr, "share/mysql/charsets"),
		"--plugin-dir=" + filepath.Join(usr, "lib/mysql/plugin"),
		"--secure-file-priv=NULL",
		"--innodb-redo-log-capacity=64M",
	}, args...)
	return exec.Command(loader, line...), nil
}

// root@localhost is reached through the socket alone when names are not resolved; we talk TCP.
const mysqlFirstSQL = `create user 'root'@'127.0.0.1' identified by '';
grant all on *.* to 'root'@'127.0.0.1' with grant option;
`

func prepareMySQL(ctx context.Context, s *Server) error {
	return s.fill(func(dir string) error {
		first := filepath.Join(s.Dir, "first.sql")
		if err := os.WriteFile(first, []byte(mysqlFirstSQL), 0o644); err != nil {
			return err
		}
		cmd, err := mysqld(dir, "--initialize-insecure", "--init-file="+first)
		if err != nil {
			return err
		}
		return s.run(ctx, cmd)
	})
}

func mysqlCommand(s *Server) (*exec.Cmd, error) {
	args := []string{
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--port=%d", s.Port),
		fmt.Sprintf("--server-id=%d", s.Port),
		"--socket=" + filepath.Join(s.Dir, "s"),
		"--pid-file=" + filepath.Join(s.Dir, "pid"),
		"--mysqlx=OFF",
		"--skip-name-resolve=ON",
		"--log-bin=binlog",
		"--binlog-row-metadata=FULL",
		"--gtid-mode=ON",
		"--enforce-gtid-consistency=ON",
		"--innodb-buffer-pool-size=64M",
		"--performance-schema=OFF",
	}
	return mysqld(s.data(), append(args, dashed(s.config)...)...)
}

func dashed(config []string) []string {
	var flags []string
	for _, c := range config {
		flags = append(flags, "--"+c)
	}
	return flags
}
