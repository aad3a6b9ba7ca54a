package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
	"github.com/spf13/cobra"

	"github.com/tidemill/tidemill/console"
)

// maxTable is how many rows a table on the terminal has: past it nobody reads, and all of it must be held to align it.
const maxTable = 1000

func (c *cli) queryCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "query SQL",
		Short: "Run read-only SQL on the warehouse, through the daemon",
		Long: `Run one SELECT on the warehouse, through the daemon (a DuckDB file can be opened by
one process only). SQL is read from standard input when it is -.`,
		Example: `  tidemill query 'select * from mart.visits limit 10'
  tidemill query --format csv 'select * from mart.visits' > visits.csv
  tidemill query - < report.sql`,
		Args: cobra.ExactArgs(1),
	}
	formats := []string{"table", "csv", "json"}
	cmd.Flags().StringVarP(&format, "format", "f", "table", "table, csv or json (one object per line)")
	complete(cmd, "format", formats)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains(formats, format) {
			return usage(cmd, fmt.Errorf("--format %s: must be table, csv or json", format))
		}
		sql := args[0]
		if sql == "-" {
			b, err := io.ReadAll(c.in)
			if err != nil {
				return fmt.Errorf("reading SQL from standard input: %w", err)
			}
			sql = string(b)
		}
		return c.query(cmd, sql, format)
	}
	return cmd
}

// complete offers fixed values of a flag to the shell.
func complete(cmd *cobra.Command, flag string, values []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the flag does not exist: a mistake of this program
	}
}

func (c *cli) query(cmd *cobra.Command, sql, format string) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	accept := map[string]string{"table": console.Arrow, "csv": console.CSV, "json": console.NDJSON}[format]
	res, err := client.do(cmd.Context(), http.MethodPost, "/v1/query", accept, console.QueryRequest{SQL: sql})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if format == "table" {
		err = writeTable(c.out, c.err, res.Body)
	} else if _, err = io.Copy(c.out, res.Body); err != nil {
		err = fmt.Errorf("reading the daemon's answer: %w", err)
	}
	return errors.Join(err, broken(res))
}

// writeTable draws an Arrow stream.
func writeTable(out, note io.Writer, body io.Reader) error {
	r, err := ipc.NewReader(body)
	if errors.Is(err, io.EOF) {
		_, err = fmt.Fprintln(note, "(no rows)")
		return err
	} else if err != nil {
		return fmt.Errorf("reading the daemon's answer: %w", err)
	}
	defer r.Release()
	var rows [][]string
	total := int64(0)
	for r.Next() {
		rec := r.RecordBatch()
		for i := 0; i < int(rec.NumRows()) && len(rows) < maxTable; i++ {
			rows = append(rows, textRow(rec, i))
		}
		total += rec.NumRows()
	}
	if err := r.Err(); err != nil {
		return fmt.Errorf("reading the daemon's answer: %w", err)
	}
	if err := drawTable(out, r.Schema(), rows); err != nil {
		return err
	}
	plural := "s"
	if total == 1 {
		plural = ""
	}
	if total > int64(len(rows)) {
		_, err = fmt.Fprintf(note, "(%d rows, the first %d shown: --format csv writes all)\n", total, len(rows))
	} else {
		_, err = fmt.Fprintf(note, "(%d row%s)\n", total, plural)
	}
	return err
}

func textRow(rec arrow.RecordBatch, i int) []string {
	row := make([]string, rec.NumCols())
	for c, col := range rec.Columns() {
		row[c] = console.Text(col, i)
		if col.IsNull(i) {
			row[c] = "NULL"
		}
		row[c] = strings.Map(printable, row[c])
	}
	return row
}

// printable replaces what would move the cursor: a value must not draw on the terminal of the one who reads it.
func printable(r rune) rune {
	switch {
	case r == '\n' || r == '\t' || r == '\r':
		return ' '
	case r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
		return '\uFFFD'
	}
	return r
}

func drawTable(w io.Writer, schema *arrow.Schema, rows [][]string) error {
	var header []string
	var align []tw.Align
	for _, f := range schema.Fields() {
		header = append(header, f.Name)
		if numeric(f.Type) {
			align = append(align, tw.AlignRight)
		} else {
			align = append(align, tw.AlignLeft)
		}
	}
	t := tablewriter.NewTable(w,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{Borders: tw.BorderNone, Settings: tw.Settings{Separators: tw.Separators{BetweenColumns: tw.On}}})),
		tablewriter.WithHeaderAutoFormat(tw.Off), tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithRowAutoWrap(tw.WrapNone), tablewriter.WithAlignment(align))
	t.Header(header)
	if err := t.Bulk(rows); err != nil {
		return err
	}
	return t.Render()
}

func numeric(t arrow.DataType) bool {
	return arrow.IsInteger(t.ID()) || arrow.IsFloating(t.ID()) || arrow.IsDecimal(t.ID())
}
