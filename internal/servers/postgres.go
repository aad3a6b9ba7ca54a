package servers

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// NewPostgres is a PostgreSQL server with password logins, as a warehouse has. The administrator is postgres.
func NewPostgres(o Options) *Server {
	s := newServer(flavour{
		component: postgresComponent(),
		account:   "postgres",
		prepare:   preparePostgres,
		command:   postgresCommand,
		ready:     postgresReady,
		dsn:       postgresDSN,
		stop:      syscall.SIGINT, // "fast": SIGTERM would wait for every client to leave
	}, o)
	s.User, s.Password = "postgres", "tidemill"
	return s
}

func postgresComponent() Component {
	return Component{
		Name: "postgres", Title: "PostgreSQL",
		Bring: "sudo apt-get install -y postgresql",
		check: func() error {
			if _, err := postgresBin(); err != nil {
				return err
			}
			return accountThere("postgres")
		},
	}
}

// postgresBin is the folder of the newest PostgreSQL. Debian keeps versions side by side and out of PATH.
func postgresBin() (string, error) {
	newest, bin := 0, ""
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is a constant and valid
	for _, initdb := range found {
		dir := filepath.Dir(initdb)
		if v, err := strconv.Atoi(filepath.Base(filepath.Dir(dir))); err == nil && v > newest {
			newest, bin = v, dir
		}
	}
	if bin != "" {
		return bin, nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errors.New("no initdb")
}

func preparePostgres(ctx context.Context, s *Server) error {
	return s.fill(func(dir string) error {
		bin, err := postgresBin()
		if err != nil {
			return err
		}
		secret := filepath.Join(s.Dir, "first-password")
		if err := os.WriteFile(secret, []byte(s.Password+"\n"), 0o600); err != nil {
			return err
		}
		defer os.Remove(secret)
		if err := giveTo(s.kind.account, secret); err != nil {
			return err
		}
		return s.run(ctx, exec.Command(filepath.Join(bin, "initdb"), "-D", dir, "-U", s.User,
			"--auth=scram-sha-256", "--pwfile="+secret, "--encoding=UTF8", "--locale=C.UTF-8"))
	})
}

func postgresCommand(s *Server) (*exec.Cmd, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	args := []string{"-D", s.data(),
		"-c", "listen_addresses=" + Loopback,
		"-c", fmt.Sprintf("port=%d", s.Port),
		"-c", "unix_socket_directories=" + s.Dir,
	}
	for _, c := range s.config {
		args = append(args, "-c", c)
	}
	return exec.Command(filepath.Join(bin, "postgres"), args...), nil
}

func postgresDSN(s *Server, database string) string {
	if database == "" {
		database = "postgres"
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(s.User, s.Password), Host: s.Addr(), Path: "/" + database,
		RawQuery: "sslmode=disable"}
	return u.String()
}

func postgresReady(ctx context.Context, s *Server) error {
	conn, err := pgx.Connect(ctx, s.DSN(""))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var one int
	return conn.QueryRow(ctx, "select 1").Scan(&one)
}
