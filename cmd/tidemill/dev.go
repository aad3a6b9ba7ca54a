package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/redshiftdouble"
	"github.com/tidemill/tidemill/internal/servers"
)

func (c *cli) devCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Stand-ins for services that a laptop does not have",
	}
	parent(cmd)
	cmd.AddCommand(c.devRedshiftCommand())
	return cmd
}

// devRedshift is a double of Redshift with its PostgreSQL and its S3.
type devRedshift struct {
	dir, bucket, isolation         string
	port                           int
	serverless, caseSensitive, tls bool
}

func (c *cli) devRedshiftCommand() *cobra.Command {
	var d devRedshift
	cmd := &cobra.Command{
		Use:   "redshift",
		Short: "Run a double of Amazon Redshift on this machine, to write ELT without a cluster",
		Long: `Run a double of Amazon Redshift on 127.0.0.1, over a PostgreSQL 15 and an S3 gateway of its own. It
refuses what Redshift refuses, and what it cannot do it refuses too. It is no warehouse: read the
list of divergences that it prints. Data stays in --dir until you remove that folder.`,
		Example: `  tidemill dev redshift
  tidemill dev redshift --port 5439 --isolation serializable`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c.stoppedClean = true // an interrupt is how one leaves
			return c.devRedshift(cmd.Context(), d)
		},
	}
	f := cmd.Flags()
	f.StringVar(&d.dir, "dir", "", "folder of the servers' data (default: below the cache folder, $TIDEMILL_CACHE)")
	f.IntVar(&d.port, "port", 5439, "port on 127.0.0.1 (0: a free one)")
	f.StringVar(&d.bucket, "bucket", "lake", "bucket to make on the S3 gateway")
	f.StringVar(&d.isolation, "isolation", "snapshot", "isolation level: snapshot or serializable")
	f.BoolVar(&d.serverless, "serverless", false, "as Redshift Serverless: no STL and STV tables")
	f.BoolVar(&d.caseSensitive, "case-sensitive", false, "enable_case_sensitive_identifier on")
	f.BoolVar(&d.tls, "tls", false, "offer TLS with a certificate of its own")
	return cmd
}

func (c *cli) devRedshift(ctx context.Context, d devRedshift) (err error) {
	level, ok := map[string]redshiftdouble.Isolation{"snapshot": redshiftdouble.Snapshot, "serializable": redshiftdouble.Serializable}[d.isolation]
	if !ok {
		return fmt.Errorf("--isolation is %q, want snapshot or serializable", d.isolation)
	}
	if d.dir == "" {
		d.dir = filepath.Join(servers.Cache(), "dev-redshift")
	}
	pg := servers.NewPostgres(servers.Options{Dir: filepath.Join(d.dir, "postgres")})
	store := servers.NewS3(servers.Options{Dir: filepath.Join(d.dir, "s3")})
	for _, s := range []*servers.Server{pg, store} {
		if err := s.Start(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stopped(ctx, s)) }()
	}
	if err := store.MakeBucket(d.bucket); err != nil {
		return err
	}
	double, err := redshiftdouble.Start(ctx, redshiftdouble.Config{
		Postgres: pg.DSN(""), Port: d.port, Isolation: level, Serverless: d.serverless, CaseSensitive: d.caseSensitive, TLS: d.tls,
		S3: redshiftdouble.S3{Endpoint: store.DSN(""), AccessKey: store.User, SecretKey: store.Password},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, double.Close()) }()
	fmt.Fprintf(c.err, "%s\nThis is a double of Redshift, not Redshift. S3: %s, bucket %s, keys %s / %s. Data: %s\nStop it with Ctrl-C. Ready:\n",
		redshiftdouble.Divergences(), store.DSN(""), d.bucket, store.User, store.Password, d.dir)
	if _, err := fmt.Fprintln(c.out, double.DSN()); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-pg.Done():
		return fmt.Errorf("PostgreSQL behind the double has ended; see %s", pg.Log())
	case <-store.Done():
		return fmt.Errorf("the S3 gateway behind the double has ended; see %s", store.Log())
	}
}

// stopped ends a server although the command's context has ended.
func stopped(ctx context.Context, s *servers.Server) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return s.Stop(ctx)
}
