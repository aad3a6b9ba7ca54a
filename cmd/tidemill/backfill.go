package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/elt"
)

func (c *cli) backfillCommand() *cobra.Command {
	var q console.BackfillRequest
	var asJSON, detach bool
	var pause, resume, cancel string
	cmd := &cobra.Command{
		Use:   "backfill JOB --from INTERVAL [--to INTERVAL]",
		Short: "Make intervals of a job, or make them again",
		Long: `Ask for intervals of a job to be made. First look with --dry-run: it lists them, guesses
the rows, and names what is built from them.

  --only missing   those that are not published (the default)
  --only failed    those that have failed for good
  --only stale     those whose inputs or whose definition have changed since
  --only all       all of them, once more

A backfill is a set of requests in the warehouse: it survives restarts, takes its share of
the pool and no more, and can be paused and cancelled. Cancelling takes back what was not
started. The command shows how far it is until it is done; leaving it does not stop it.`,
		Example: `  tidemill backfill daily_visits --from 2026-03-01 --to 2026-03-31 --dry-run
  tidemill backfill daily_visits --from 2026-03-29 --only all --reason 'corrected at the source'
  tidemill backfill --pause 1f3a9c20`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: c.complete(ofJobs, false),
	}
	f := cmd.Flags()
	f.StringVar(&q.From, "from", "", "the first interval")
	f.StringVar(&q.To, "to", "", "the last interval, included; default --from")
	f.StringVar(&q.Only, "only", elt.OnlyMissing, "missing, failed, stale or all")
	f.BoolVar(&q.DryRun, "dry-run", false, "only show what would be made")
	f.StringVar(&q.Reason, "reason", "", "why, for the ledger")
	f.BoolVarP(&detach, "detach", "d", false, "do not wait until it is done")
	f.BoolVar(&asJSON, "json", false, "print the answer as JSON")
	f.StringVar(&pause, "pause", "", "pause a backfill")
	f.StringVar(&resume, "resume", "", "let a paused backfill go on")
	f.StringVar(&cancel, "cancel", "", "take back what a backfill has not started")
	complete(cmd, "only", elt.Onlys)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		for action, id := range map[string]string{"pause": pause, "resume": resume, "cancel": cancel} {
			if id != "" {
				return c.actOn(cmd.Context(), action, id)
			}
		}
		if len(args) != 1 || q.From == "" {
			return usage(cmd, fmt.Errorf("name a job and --from"))
		}
		if !slices.Contains(elt.Onlys, q.Only) {
			return usage(cmd, fmt.Errorf("--only %s: must be missing, failed, stale or all", q.Only))
		}
		q.Job, q.ID, q.Actor = args[0], uuid.NewString()[:8], actor()
		return c.backfill(cmd.Context(), q, asJSON, detach)
	}
	return cmd
}

func (c *cli) actOn(ctx context.Context, action, id string) error {
	if err := c.ask(ctx, "/v1/jobs/act", console.ActRequest{Action: action, Backfill: id, Actor: actor()}, &struct{}{}); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.out, "%s: backfill %s\n", action, id)
	return err
}

func (c *cli) backfill(ctx context.Context, q console.BackfillRequest, asJSON, detach bool) error {
	var a console.BackfillAnswer
	if err := c.ask(ctx, "/v1/backfill", q, &a); err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(c.out).Encode(a)
	}
	writePreview(c.out, a, q)
	if q.DryRun || len(a.Intervals) == 0 {
		return nil
	}
	fmt.Fprintf(c.out, "backfill %s is asked for; pause, resume or cancel it with: %s\n", a.ID, c.command("backfill", "--cancel", a.ID))
	if detach {
		return nil
	}
	return c.follow(ctx, a.ID)
}

func writePreview(w io.Writer, a console.BackfillAnswer, q console.BackfillRequest) {
	word := "makes"
	if q.DryRun {
		word = "would make"
	}
	if len(a.Intervals) == 0 {
		fmt.Fprintf(w, "there is nothing to make of %s (--only %s)\n", q.Job, q.Only)
		return
	}
	line := fmt.Sprintf("%s %s of %s: %s", word, count(len(a.Intervals), "interval"), q.Job, a.Intervals[0].Name)
	if n := len(a.Intervals); n > 1 {
		line += " to " + a.Intervals[n-1].Name
	}
	if a.Rows > 0 {
		line += fmt.Sprintf(", about %s rows", thousands(a.Rows))
	}
	fmt.Fprintln(w, line)
	for _, i := range a.Intervals[:min(len(a.Intervals), 10)] {
		fmt.Fprintf(w, "  %s  %s\n", i.Name, i.State)
	}
	if more := len(a.Intervals) - 10; more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
	for _, d := range a.Downstream {
		fmt.Fprintf(w, "then %s\n", downstream(d))
	}
}

// downstream says what becomes of intervals that are built from others.
func downstream(d console.Downstream) string {
	does := map[string]string{"rerun": "to be built again", "mark": "only to be marked as stale", "ignore": "to stay as they are"}[d.Policy]
	text := fmt.Sprintf("%s of %s, %s: %s", count(len(d.Intervals), "interval"), d.Job, does, strings.Join(d.Intervals[:min(len(d.Intervals), 5)], ", "))
	if more := len(d.Intervals) - 5; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// follow shows how far a backfill is until it is done.
func (c *cli) follow(ctx context.Context, id string) error {
	c.stoppedClean = true // an interrupt is how one leaves; the backfill goes on
	screen := c.screen()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	said := ""
	for {
		var a console.JobsAnswer
		if err := c.ask(ctx, "/v1/jobs", console.JobsRequest{}, &a); err != nil {
			return err
		}
		at := slices.IndexFunc(a.Backfills, func(b console.BackfillStatus) bool { return b.ID == id })
		if at < 0 {
			return fmt.Errorf("the backfill %s is gone", id)
		}
		b := a.Backfills[at]
		text := fmt.Sprintf("%s %s", bar(int64(b.Done+b.Failed), int64(b.Total), 24), progressText(b))
		done := b.Done+b.Failed >= b.Total || b.Cancelled && b.Running == 0
		if b.Done == b.Total {
			text = fmt.Sprintf("[%s] %s", strings.Repeat("#", 24), progressText(b)) // bar never shows the end of a guess
		}
		switch {
		case screen.live && !done:
			if err := screen.draw([]string{text}); err != nil {
				return err
			}
		case done || progressText(b) != said:
			fmt.Fprintln(screen, text)
		}
		said = progressText(b)
		if done {
			if b.Failed > 0 {
				return fmt.Errorf("%s failed; see %s, mend the cause, then: %s", count(b.Failed, "interval"), c.command("job", "list", b.Job), c.command("backfill", b.Job, "--from", "…", "--only", "failed"))
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func progressText(b console.BackfillStatus) string {
	text := fmt.Sprintf("%d of %d", b.Done, b.Total)
	if b.Failed > 0 {
		text += fmt.Sprintf(", %d failed", b.Failed)
	}
	if b.Running > 0 {
		text += fmt.Sprintf(", %d running", b.Running)
	}
	switch {
	case b.Cancelled:
		text += ", cancelled"
	case b.Paused:
		text += ", paused"
	}
	return text
}
