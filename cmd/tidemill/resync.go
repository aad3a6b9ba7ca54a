package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/console"
)

func (c *cli) resyncCommand() *cobra.Command {
	var q console.ResyncRequest
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "resync TARGET...",
		Short: "Load tables anew from their source",
		Long: `Ask for tables to be loaded anew. A target is

  SOURCE.SCHEMA.TABLE   one table: it is no longer parked, and its rows are read again
  SOURCE                a source whose log is lost: it goes on from the server's present
                        position, and all of its tables are read again
  PIPELINE              every table that the pipeline reads: for one whose part of the log
                        is gone

While a table is read, the warehouse shows it as it was; the other tables of its pipelines go
on. The window in which the load is complete replaces the table, and every view that reads it:
rows that the source no longer has are gone then.

With --new-log a target is a pipeline whose warehouse stands at a cut of a log that is lost (its
folder is gone, or it is another cluster): its fence is forgotten, and its first publish from
the log of now replaces all of its tables.

The request lies in the log: it is carried out by whoever owns the source, also after a
restart. The command returns at once; tidemill status shows how far the loads are.`,
		Example: `  tidemill resync consult.clinic.patients
  tidemill resync consult --dry-run
  tidemill resync care
  tidemill resync care --new-log`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: c.complete(ofSources|ofPipelines|ofTables, true),
	}
	cmd.Flags().BoolVar(&q.DryRun, "dry-run", false, "only show what would be loaded")
	cmd.Flags().BoolVar(&q.NewLog, "new-log", false, "the log of the pipeline's cut is lost: publish everything anew from this one")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q.Targets, q.ID = args, uuid.NewString()
		client, err := c.client()
		if err != nil {
			return err
		}
		res, err := client.do(cmd.Context(), http.MethodPost, "/v1/resync", "", q)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		var a console.ResyncAnswer
		if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
			return fmt.Errorf("reading the daemon's answer: %w", err)
		}
		if asJSON {
			return json.NewEncoder(c.out).Encode(a)
		}
		writeResync(c.out, a, q.DryRun, c.command("status", "--watch"))
		return nil
	}
	return cmd
}

// writeResync says what was asked for, or would be; follow is the command that shows how far it is.
func writeResync(w io.Writer, a console.ResyncAnswer, dry bool, follow string) {
	asked, tables, rows := "requested", 0, int64(0)
	if dry {
		asked = "would load"
	}
	for _, s := range a.Sources {
		if s.Whole {
			fmt.Fprintf(w, "%s  source %s, from its server's present position\n", asked, s.Source)
		}
		for _, t := range s.Tables {
			tables, rows = tables+1, rows+t.Rows
			line := fmt.Sprintf("%s  %s.%s: about %s", asked, s.Source, t.Table, count(int(t.Rows), "row"))
			if len(t.Pipelines) > 0 {
				line += ", for " + strings.Join(t.Pipelines, ", ")
			}
			fmt.Fprintln(w, line)
			if t.Parked != "" {
				fmt.Fprintf(w, "            it stands still: %s\n", t.Parked)
			}
		}
	}
	for _, p := range a.Pipelines {
		fmt.Fprintf(w, "%s  pipeline %s: everything, from this log\n", map[bool]string{true: "would publish anew", false: "publishes anew"}[dry], p)
	}
	if !dry && len(a.Pipelines) > 0 {
		fmt.Fprintf(w, "follow it with: %s\n", follow)
	}
	if !dry && len(a.Sources) > 0 {
		fmt.Fprintf(w, "%s, about %s; follow it with: %s\n", count(tables, "table"), count(int(rows), "row"), follow)
	}
}
