package servers

import (
	"context"
	"os/exec"
)

// NewMariaDB is a MariaDB server.
func NewMariaDB(o Options) *Server {
	return newFamily(family{
		component: mariadbComponent(),
		program: func(args ...string) (*exec.Cmd, error) {
			program, err := find("mariadbd")
			if err != nil {
				return nil, err
			}
			return exec.Command(program, append([]string{"--no-defaults"}, args...)...), nil
		},
		install: func(ctx context.Context, s *Server, dir string) error {
			program, err := find("mariadb-install-db")
			if err != nil {
				return err
			}
			// Settings meant for the running server (a broken one in a test) have no say here.
			return s.run(ctx, exec.Command(program, "--no-defaults", "--datadir="+dir,
				"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"))
		},
		settings: []string{"gtid-strict-mode=ON", "innodb-log-file-size=64M"},
	}, o)
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
