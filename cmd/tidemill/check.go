package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/daemon"
)

func (c *cli) checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the project folder, without any network",
		Long: `Check everything in the project folder that can be known without a network, and report
every problem at once with its file, line and YAML path. Missing environment variables are
warnings here and errors for run: a check in review has no secrets.`,
		Example: `  tidemill check
  tidemill check --config ./clinic`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.check(cmd.Context()) },
	}
}

func (c *cli) check(ctx context.Context) error {
	a, err := daemon.Assemble(ctx, c.dir, c.env, kinds())
	if err != nil {
		return err
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
