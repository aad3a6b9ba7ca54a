package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/console"
)

func (c *cli) whyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "why JOB [INTERVAL]",
		Short: "Say why an interval of a job is not there",
		Long: `Say what an interval of a job is in, what it waits for and since when, which windows are
missing and what stands behind them, and everything that has happened to it. Without an
interval: the oldest that is not as it should be.`,
		Example:           "  tidemill why daily_visits\n  tidemill why daily_visits 2026-03-29",
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: c.complete(ofJobs, false),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q := console.WhyRequest{Job: args[0]}
		if len(args) > 1 {
			q.Interval = args[1]
		}
		var a console.WhyAnswer
		if err := c.ask(cmd.Context(), "/v1/jobs/why", q, &a); err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(c.out).Encode(a)
		}
		writeWhy(c.out, a, time.Now())
		return nil
	}
	return cmd
}

func writeWhy(w io.Writer, a console.WhyAnswer, now time.Time) {
	i := a.Interval
	state := i.State
	if i.Provisional {
		state += ", provisional"
	}
	fmt.Fprintf(w, "%s %s is %s  (%s to %s)\n", i.Job, i.Name, state, i.Start.UTC().Format(time.RFC3339), i.End.UTC().Format(time.RFC3339))
	for _, r := range i.Reasons {
		fmt.Fprintf(w, "  %s\n", r.Text)
		if len(r.Missing) > 0 {
			shown := r.Missing[:min(len(r.Missing), 5)]
			fmt.Fprintf(w, "    missing: %s", strings.Join(shown, ", "))
			if more := len(r.Missing) - len(shown); more > 0 {
				fmt.Fprintf(w, " and %d more", more)
			}
			fmt.Fprintln(w)
		}
		switch {
		case r.CauseText != "":
			fmt.Fprintf(w, "    because: %s\n", r.CauseText)
		case r.Cause != "":
			fmt.Fprintf(w, "    because of %s\n", r.Cause)
		}
	}
	if !a.Deadline.IsZero() {
		fmt.Fprintf(w, "  to be there by %s\n", a.Deadline.UTC().Format(time.RFC3339))
	}
	switch {
	case a.Earlier == 0:
	case now.After(a.Latest):
		fmt.Fprintf(w, "  later than usual: of %d intervals 95%% were there by %s\n", a.Earlier, a.Latest.UTC().Format(time.RFC3339))
	default:
		fmt.Fprintf(w, "  usually there by %s, nearly always by %s (%d intervals)\n", a.Usual.UTC().Format(time.RFC3339), a.Latest.UTC().Format(time.RFC3339), a.Earlier)
	}
	for _, h := range a.History {
		line := fmt.Sprintf("  %s  generation %d attempt %d %s by %s", h.At.UTC().Format(time.RFC3339), h.Generation, h.Attempt, h.State, h.Actor)
		if h.Rows > 0 && h.State == "published" {
			line += fmt.Sprintf(", %s rows in %s", thousands(h.Rows), rough(h.Took))
		}
		if h.Class != "" {
			line += " (" + h.Class + ")"
		}
		if h.Reason != "" {
			line += ": " + h.Reason
		}
		fmt.Fprintln(w, line)
		for _, x := range h.Checks {
			if x.Outcome != "pass" {
				fmt.Fprintf(w, "      check %s: %s, %g of %g, limit %s\n", x.Check, x.Outcome, x.Value, x.Total, x.Limit)
			}
		}
	}
}
