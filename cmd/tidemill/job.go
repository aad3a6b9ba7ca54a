package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/user"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/internal/daemon"
)

func (c *cli) jobCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "job",
		Short: "Look at jobs, hold them, skip intervals",
		Long: `Jobs are SQL that runs when its data is complete: jobs/*.yaml, each with a SELECT beside it.
See also: tidemill why, backfill, plan, test, render.`,
	}
	parent(cmd)
	cmd.AddCommand(c.jobList(), c.jobExplain(),
		c.jobAct("hold", "hold JOB", "Start nothing of a job until it is released; what runs goes on", 1),
		c.jobAct("release", "release JOB", "Let a held job go on", 1),
		c.jobAct("skip", "skip JOB INTERVAL", "Write an interval off: nobody waits for it, and a backfill can still make it", 2),
		c.jobAct("ack", "ack JOB INTERVAL", "Note that you have seen the alerts of an interval", 2),
		c.jobAct("silence", "silence JOB INTERVAL", "Send no more alerts about an interval", 2),
		c.jobAlertTest())
	return cmd
}

// ask sends a request to the daemon and decodes its answer.
func (c *cli) ask(ctx context.Context, path string, body, into any) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	res, err := client.do(ctx, http.MethodPost, path, "", body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		return fmt.Errorf("reading the daemon's answer: %w", err)
	}
	return nil
}

// actor is who asks, for the ledger.
func actor() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "somebody"
}

func (c *cli) jobList() *cobra.Command {
	var q console.JobsRequest
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list [JOB]", Short: "Show what jobs are in, or the intervals of one", Args: cobra.MaximumNArgs(1),
		Example:           "  tidemill job list\n  tidemill job list daily_visits --limit 10",
		ValidArgsFunction: c.complete(ofJobs, false),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer as JSON")
	cmd.Flags().IntVar(&q.Limit, "limit", 50, "how many intervals to show")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			q.Job = args[0]
		}
		var a console.JobsAnswer
		if err := c.ask(cmd.Context(), "/v1/jobs", q, &a); err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(c.out).Encode(a)
		}
		return writeJobs(c.out, a)
	}
	return cmd
}

func writeJobs(out io.Writer, a console.JobsAnswer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(a.Jobs) > 0 {
		fmt.Fprintln(w, "JOB\tEVERY\tNEWEST\tMISSING\tSTALE\tFAILED\tNOW")
	}
	for _, j := range a.Jobs {
		fmt.Fprintf(w, "%s\t%s %s\t%s\t%d\t%d\t%d\t%s\n", j.Name, j.Every, j.Zone, orDash(j.Newest), j.Missing, j.Counts[string(elt.Stale)], j.Counts[string(elt.Failed)], j.Now)
	}
	if len(a.Intervals) > 0 {
		fmt.Fprintln(w, "INTERVAL\tSTATE\tGENERATION\tWHY")
	}
	for _, i := range a.Intervals {
		state := i.State
		if i.Provisional {
			state += " (provisional)"
		}
		why := ""
		if len(i.Reasons) > 0 {
			why = i.Reasons[0].Text
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", i.Name, state, i.Generation, why)
	}
	for i, b := range a.Backfills {
		if i == 0 {
			fmt.Fprintln(w, "\nBACKFILL\tJOB\tBY\tDONE")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", b.ID, b.Job, b.Actor, progressText(b))
	}
	return w.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (c *cli) jobExplain() *cobra.Command {
	return &cobra.Command{
		Use: "explain JOB", Short: "Print a job with its templates and every default, without any network", Args: cobra.ExactArgs(1),
		Example:           "  tidemill job explain daily_visits",
		ValidArgsFunction: c.complete(ofJobs, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			j, _, err := c.definition(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			_, err = io.WriteString(c.out, j.Explain())
			return err
		},
	}
}

// definition compiles the folder and finds a job in it.
func (c *cli) definition(ctx context.Context, name string) (*elt.Job, *daemon.Assembly, error) {
	a, err := daemon.Assemble(ctx, c.dir, c.env, kinds())
	if err != nil {
		return nil, nil, err
	}
	if j := a.Jobs.Job(name); j != nil {
		return j, a, nil
	}
	return nil, nil, fmt.Errorf("there is no job %q%s", name, config.DidYouMean(name, c.jobNames()))
}

func (c *cli) jobAct(action, use, short string, args int) *cobra.Command {
	q := console.ActRequest{Action: action, Actor: actor()}
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(args), ValidArgsFunction: c.complete(ofJobs, false)}
	cmd.Flags().StringVar(&q.Reason, "reason", "", "why, for the ledger")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q.Job = args[0]
		if len(args) > 1 {
			q.Interval = args[1]
		}
		if err := c.ask(cmd.Context(), "/v1/jobs/act", q, &struct{}{}); err != nil {
			return err
		}
		_, err := fmt.Fprintf(c.out, "%s: %s\n", action, strings.Join(args, " "))
		return err
	}
	return cmd
}

func (c *cli) jobAlertTest() *cobra.Command {
	return &cobra.Command{
		Use: "alert-test CHANNEL", Short: "Send a test message to a channel, like slack:data", Args: cobra.ExactArgs(1),
		ValidArgsFunction: c.complete(ofChannels, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			q := console.ActRequest{Action: "test_alert", Channel: args[0], Actor: actor()}
			if err := c.ask(cmd.Context(), "/v1/jobs/act", q, &struct{}{}); err != nil {
				return err
			}
			_, err := fmt.Fprintf(c.out, "%s has taken a test message\n", args[0])
			return err
		},
	}
}

func (c *cli) renderCommand() *cobra.Command {
	return &cobra.Command{
		Use: "render JOB INTERVAL", Short: "Print the SQL of a job for an interval, without any network", Args: cobra.ExactArgs(2),
		Example:           "  tidemill render daily_visits 2026-03-29",
		ValidArgsFunction: c.complete(ofJobs, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			j, _, err := c.definition(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			w, err := j.Calendar.Parse(args[1])
			if err != nil {
				return usage(cmd, err)
			}
			_, err = fmt.Fprintf(c.out, "-- %s %s, %s to %s\n%s\n", j.Name, j.IntervalName(w), w.Start.UTC().Format("2006-01-02T15:04Z"), w.End.UTC().Format("2006-01-02T15:04Z"), j.Statement(w))
			return err
		},
	}
}
