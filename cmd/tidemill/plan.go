package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/elt"
	"github.com/tidemill/tidemill/internal/daemon"
)

func (c *cli) planCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "plan",
		Short: "Show what the jobs of this folder would change",
		Long: `Compare the jobs of the folder with what the warehouse has been built from: new jobs and the
intervals that they will run, jobs whose definition has changed and how many of their
intervals were built by another one, jobs that are gone, and what is downstream.

A running daemon is asked; without one the warehouse of tidemill.yaml is read directly. A
changed definition builds nothing again by itself: plan names the backfill that does.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.plan(cmd.Context()) },
	}
}

func (c *cli) plan(ctx context.Context) error {
	a, err := daemon.Assemble(ctx, c.dir, c.env, kinds())
	if err != nil {
		return err
	}
	defer func() { _ = a.Warehouse.Close() }() // only read from
	q := console.JobsRequest{Definitions: map[string]string{}}
	for _, j := range a.Jobs.Jobs {
		q.Definitions[j.Name] = j.Definition
	}
	var have console.JobsAnswer
	var none *environmentError
	err = c.ask(ctx, "/v1/jobs", q, &have)
	if errors.As(err, &none) { // no daemon: whoever reviews a change has none
		have, err = daemon.PlanJobs(ctx, a)
	}
	if err != nil {
		return err
	}
	return writePlan(c.out, a.Jobs, have, c.command, time.Now())
}

func writePlan(w io.Writer, g *elt.Graph, have console.JobsAnswer, command func(string, ...string) string, now time.Time) error {
	changes := 0
	for _, j := range g.Jobs {
		at := slices.IndexFunc(have.Jobs, func(x console.JobStatus) bool { return x.Name == j.Name })
		published := 0
		if at >= 0 {
			published = have.Jobs[at].Counts[string(elt.Published)] + have.Jobs[at].Counts[string(elt.Stale)]
		}
		switch {
		case at < 0 || published == 0:
			changes++
			fmt.Fprintf(w, "+ %s: has published nothing yet; runs every %s of %s from %s on (catchup: %s)\n", j.Name, j.Calendar.Every(), j.Calendar.Zone(), j.IntervalName(j.First), j.Spec.Run.Catchup)
			if n := ended(j, now); n > 0 && j.Spec.Run.Catchup == "all" {
				fmt.Fprintf(w, "    will run %s that ended already\n", count(n, "interval"))
			}
		case have.Jobs[at].Redefined > 0:
			changes++
			fmt.Fprintf(w, "~ %s: %s of %d, %s rows, were built by another definition\n    build them again: %s\n", j.Name, count(have.Jobs[at].Redefined, "interval"), published, thousands(have.Jobs[at].Rows),
				command("backfill", j.Name, "--from", j.IntervalName(j.First), "--to", have.Jobs[at].Newest, "--only", "stale", "--dry-run"))
			for _, d := range have.Jobs[at].Touched {
				fmt.Fprintf(w, "    then %s\n", downstream(d))
			}
		}
		if at >= 0 && have.Jobs[at].Missing > 0 && published > 0 {
			fmt.Fprintf(w, "    %s: %s not published yet\n", j.Name, count(have.Jobs[at].Missing, "ended interval"))
		}
	}
	for _, x := range have.Jobs {
		if g.Job(x.Name) == nil {
			changes++
			fmt.Fprintf(w, "- %s: is gone; its table %s stays as it is\n", x.Name, x.Table)
		}
	}
	if changes == 0 {
		fmt.Fprintf(w, "no changes: %s\n", count(len(g.Jobs), "job"))
	}
	return nil
}

// ended counts the intervals of a job that are over.
func ended(j *elt.Job, now time.Time) (n int) {
	for w := j.First; !w.End.After(now); w = j.Calendar.Next(w) {
		n++
	}
	return n
}
