package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/console"
)

func (c *cli) rebuildCommand() *cobra.Command {
	var q console.RebuildRequest
	var fromLake, asJSON bool
	var to string
	cmd := &cobra.Command{
		Use:   "rebuild SCHEMA.TABLE --from-lake",
		Short: "Bring a warehouse table back from the lake, as of any window",
		Long: `Make a table as it was at the end of a window, from the manifests and Parquet parts of the
lake alone: neither the source nor the log is asked. It is made beside the one that its
pipeline publishes, under a name of its own, so that the two can be compared, and rows that
somebody has damaged or deleted can be taken from it by SQL. Its publish has a receipt of its
own (pipeline rebuild.SCHEMA.NAME).

The lake must still hold every manifest and part since the table was last replaced; what is
missing is named, and nothing is written then.`,
		Example: `  tidemill rebuild mart.visits --from-lake
  tidemill rebuild mart.visits --from-lake --to 2026-12-01T10:15:00Z --as mart.visits_before
  tidemill rebuild raw.patients --from-lake --dry-run`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().BoolVar(&fromLake, "from-lake", false, "from manifests and parts (there is no other way yet; from the source it is: tidemill resync)")
	cmd.Flags().StringVar(&to, "to", "", "as of the last window that ends at or before this time (RFC 3339); default: the newest")
	cmd.Flags().StringVar(&q.As, "as", "", "SCHEMA.NAME of the table that is made; default: the table's name and the end of the window")
	cmd.Flags().BoolVar(&q.DryRun, "dry-run", false, "only look whether the lake has what is needed")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the answer as JSON")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		q.Table = args[0]
		if !fromLake {
			return usage(cmd, errors.New("say where from: --from-lake; from its source a table is loaded anew by tidemill resync"))
		}
		if to != "" {
			var err error
			if q.To, err = time.Parse(time.RFC3339, to); err != nil {
				return usage(cmd, fmt.Errorf("--to %q is not a time like 2026-12-01T10:15:00Z", to))
			}
		}
		client, err := c.client()
		if err != nil {
			return err
		}
		res, err := client.do(cmd.Context(), http.MethodPost, "/v1/rebuild", "", q)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		var a console.RebuildAnswer
		if err := json.NewDecoder(res.Body).Decode(&a); err != nil {
			return fmt.Errorf("reading the daemon's answer: %w", err)
		}
		if asJSON {
			return json.NewEncoder(c.out).Encode(a)
		}
		made, rows := "made", fmt.Sprintf(", %s", count(int(a.Rows), "row"))
		if q.DryRun {
			made, rows = "would make", ""
		}
		fmt.Fprintf(c.out, "%s %s: %s as of the window that ended at %s, from %s (%s)%s\n", made, a.As, a.Table, a.WindowEnd.Format(time.RFC3339), count(a.Publishes, "publish", "publishes"), count(a.Parts, "part"), rows)
		return nil
	}
	return cmd
}
