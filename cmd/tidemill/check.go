package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/daemon"
)

func (c *cli) checkCommand() *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the project folder, without any network",
		Long: `Check everything in the project folder that can be known without a network, and report
every problem at once with its file, line and YAML path. Missing environment variables are
warnings here and errors for run: a check in review has no secrets.

The SQL of jobs is judged by the grammar of the warehouse, where tidemill knows one: redshift.
With --sql, only the named files and folders are.

With --files, Parquet files are read as Redshift's COPY would read them: footer, every page
header, every text. Files in S3 are fetched for that; it is the one check with a network.`,
		Example: `  tidemill check
  tidemill check --config ./clinic
  tidemill check --sql reports/ --dialect redshift
  tidemill check --files ./data/lake
  tidemill check --files 's3://lake/exports/2026?region=ap-southeast-1'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case len(o.sql) > 0 && len(o.files) > 0:
				return usage(cmd, errors.New("--sql and --files are two checks: run them one after the other"))
			case len(o.sql) > 0:
				return c.checkSQL(cmd, o)
			case len(o.files) > 0:
				return c.checkFiles(cmd.Context(), o.files)
			}
			return c.check(cmd.Context())
		},
	}
	cmd.Flags().StringArrayVar(&o.sql, "sql", nil, "judge these SQL files, or folders of them, instead of the project")
	cmd.Flags().StringVar(&o.dialect, "dialect", "", "of --sql: redshift. Default: that of the project's warehouse")
	cmd.Flags().StringArrayVar(&o.files, "files", nil, "check these Parquet files, folders or s3://bucket/prefix instead of the project")
	return cmd
}

type checkOptions struct {
	sql     []string
	files   []string
	dialect string
}

func (c *cli) check(ctx context.Context) error {
	a, err := daemon.Assemble(ctx, c.dir, c.env, kinds())
	linted, lerr := c.lintJobs(a)
	if err = withProblems(err, linted); err != nil || lerr != nil {
		return errors.Join(err, lerr)
	}
	p := a.Project
	for _, m := range p.Missing() {
		fmt.Fprintf(c.err, "warning: %s\n", m)
	}
	views, replicas := 0, 0
	for _, pl := range p.Pipelines {
		for _, t := range pl.Tables {
			if t.IsReplica() {
				replicas++
			} else {
				views++
			}
		}
	}
	jobs := ""
	if len(p.Jobs) > 0 {
		jobs = ", " + count(len(p.Jobs), "job")
	}
	_, err = fmt.Fprintf(c.out, "ok: project %s, %s, %s (%s, %s)%s\n", p.Name, count(len(p.Sources), "source"),
		count(len(p.Pipelines), "pipeline"), count(replicas, "replica entry", "replica entries"), count(views, "view"), jobs)
	return err
}

// count is "1 source" or "2 sources".
func count(n int, singular string, plural ...string) string {
	switch {
	case n == 1:
		return "1 " + singular
	case len(plural) > 0:
		return fmt.Sprintf("%d %s", n, plural[0])
	}
	return fmt.Sprintf("%d %ss", n, singular)
}
