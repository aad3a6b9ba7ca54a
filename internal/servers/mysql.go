package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// NewMySQL is the newest MySQL that Debian sid has (9.7 at the time of writing), run from the cache folder through
// its own libc.
func NewMySQL(o Options) *Server {
	return newFamily(family{
		component: mysqlComponent(),
		program:   mysqld,
		install:   installMySQL,
		settings: []string{"mysqlx=OFF", "gtid-mode=ON", "enforce-gtid-consistency=ON", "performance-schema=OFF",
			"innodb-redo-log-capacity=64M"},
	}, o)
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

// mysqld is the server's command line; the loader of its own libc runs it, because the host's is older.
func mysqld(args ...string) (*exec.Cmd, error) {
	loader, err := inCache("mysql/root/usr/lib/*-linux-gnu/ld-linux-*.so.*")
	if err != nil {
		return nil, err
	}
	usr := filepath.Join(Cache(), "mysql/root/usr")
	line := append([]string{
		"--library-path", filepath.Dir(loader), filepath.Join(usr, "sbin/mysqld"),
		"--no-defaults",
		"--basedir=" + usr,
		"--lc-messages-dir=" + filepath.Join(usr, "share/mysql"),
		"--character-sets-dir=" + filepath.Join(usr, "share/mysql/charsets"),
		"--plugin-dir=" + filepath.Join(usr, "lib/mysql/plugin"),
	}, args...)
	return exec.Command(loader, line...), nil
}

// root@localhost is reached through the socket alone when names are not resolved; we talk TCP.
const mysqlFirstSQL = `create user 'root'@'127.0.0.1' identified by '';
grant all on *.* to 'root'@'127.0.0.1' with grant option;
`

func installMySQL(ctx context.Context, s *Server, dir string) error {
	first := filepath.Join(s.Dir, "first.sql")
	if err := os.WriteFile(first, []byte(mysqlFirstSQL), 0o644); err != nil {
		return err
	}
	cmd, err := mysqld("--datadir="+dir, "--initialize-insecure", "--init-file="+first, "--secure-file-priv=NULL", "--innodb-redo-log-capacity=64M")
	if err != nil {
		return err
	}
	return s.run(ctx, cmd)
}
