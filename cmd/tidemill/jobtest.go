package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/internal/daemon"
)

func (c *cli) testCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test [FILE...]",
		Short: "Run the fixtures of jobs on an embedded DuckDB, without any network",
		Long: `Run jobs/tests/*.yaml, or the named ones. A fixture gives rows for the tables that a job
reads and the rows that it expects, and runs the job's SQL, checks and publish on a
database of its own:

  job: daily_visits
  interval: 2026-03-29
  given:
    mart.visits: |
      id:BIGINT,visited:TIMESTAMPTZ,status:VARCHAR
      1,2026-03-29 10:00:00+07,done
  expect: |
    day,visits
    2026-03-29,1

A type after a column's name is DuckDB's; an empty field is NULL. Columns that expect does
not name are not compared. With fails: [CHECK, …] those checks must fail, and no rows are
expected.`,
		Example: "  tidemill test\n  tidemill test jobs/tests/daily_visits.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			results, err := daemon.TestJobs(cmd.Context(), c.dir, c.env, kinds(), args)
			if err != nil {
				return err
			}
			failed := 0
			for _, r := range results {
				if r.Err == nil {
					fmt.Fprintf(c.out, "ok    %s: %s %s\n", r.File, r.Job, r.Interval)
					continue
				}
				failed++
				fmt.Fprintf(c.out, "FAIL  %s: %s %s: %v\n", r.File, r.Job, r.Interval, r.Err)
			}
			if failed > 0 {
				return errSaid
			}
			if len(results) == 0 {
				fmt.Fprintf(c.out, "there are no fixtures in jobs/tests\n")
			}
			return nil
		},
	}
}
