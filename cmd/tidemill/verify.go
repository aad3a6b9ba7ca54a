package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/console"
)

func (c *cli) verifyCommand() *cobra.Command {
	var q console.VerifyRequest
	var timeout time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify [PIPELINE]",
		Short: "Compare the warehouse with its sources at one cut",
		Long: `Compare every replica with its source table at one cut: the source is read in one snapshot,
and its rows are moved to the exact point that a published window shows. Counts and row
hashes must be equal; the first keys that differ are printed. The exit code is 1 when a
table differs, or when every table was skipped.`,
		Example: `  tidemill verify
  tidemill verify care --table raw_consult.patients --keys 20`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: c.complete(ofPipelines, false),
	}
	cmd.Flags().StringSliceVar(&q.Tables, "table", nil, "only these warehouse tables")
	cmd.Flags().IntVar(&q.Differ, "keys", 10, "how many differing keys to print per table")
	cmd.Flags().DurationVar(&timeout, "timeout", 10*time.Minute, "how long to wait for a window that covers the snapshot")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per table")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			q.Pipeline = args[0]
		}
		q.Timeout = console.Duration(timeout)
		return c.verify(cmd, q, asJSON)
	}
	return cmd
}

func (c *cli) verify(cmd *cobra.Command, q console.VerifyRequest, asJSON bool) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	res, err := client.do(cmd.Context(), http.MethodPost, "/v1/verify", "", q)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	differ, skipped, tables := 0, 0, 0
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var v console.TableVerdict
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			return fmt.Errorf("reading the daemon's answer: %w", err)
		}
		tables++
		switch {
		case !v.Equal:
			differ++
		case v.Skipped != "":
			skipped++
		}
		if asJSON {
			fmt.Fprintln(c.out, lines.Text())
		} else {
			writeVerdict(c.out, v)
		}
	}
	if err := errors.Join(lines.Err(), broken(res)); err != nil {
		return err
	}
	switch {
	case differ > 0:
		return fmt.Errorf("not equal to the source: %d of %s", differ, count(tables, "table"))
	case tables == 0:
		return errors.New("there was nothing to compare: no replica matches")
	case skipped == tables:
		return fmt.Errorf("nothing was compared: %s skipped", count(skipped, "table"))
	}
	return nil
}

func writeVerdict(w io.Writer, v console.TableVerdict) {
	switch {
	case v.Skipped != "":
		fmt.Fprintf(w, "skipped  %s: %s\n", v.Table, v.Skipped)
	case v.Error != "":
		fmt.Fprintf(w, "ERROR    %s: %s\n", v.Table, v.Error)
	case v.Equal:
		fmt.Fprintf(w, "equal    %s = %s at %s: %d rows, hash %s\n", v.Table, v.Source, v.Position, v.Rows, v.Hash)
	default:
		fmt.Fprintf(w, "DIFFERS  %s and %s at %s: %d rows, %d in the source; %d missing, %d extra, %d with other values\n",
			v.Table, v.Source, v.Position, v.Rows, v.SourceRows, v.Missing, v.Extra, v.Differ)
		for _, k := range v.Keys {
			fmt.Fprintf(w, "           %s\n", k)
		}
	}
}
