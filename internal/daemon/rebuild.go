package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/google/uuid"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/lake"
	"github.com/tidemill/tidemill/window"
)

// rebuildMemory is what DuckDB may use while it folds a table; what is more goes to disk.
const rebuildMemory = 256 << 20

// rebuilder is the API's rebuild.
type rebuilder struct{ r *runtime }

var _ console.Rebuilder = rebuilder{}

// Rebuild implements console.Rebuilder.
func (b rebuilder) Rebuild(ctx context.Context, q console.RebuildRequest) (a console.RebuildAnswer, err error) {
	table, err := warehouseTable(q.Table)
	if err != nil {
		return a, err
	}
	to := q.To
	if to.IsZero() {
		to = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	base, err := b.r.folder("rebuild", uuid.NewString())
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(base)) }()
	pipeline, chain, err := b.find(ctx, table, to, base)
	var missing *lake.MissingError
	if errors.As(err, &missing) {
		return a, fmt.Errorf("%w; choose an earlier window with --to, or have the table loaded anew from its sources: %s", err, ingest.ResyncCommand(pipeline))
	}
	if err != nil {
		return a, err
	}
	last := chain[len(chain)-1]
	as := lake.Name(table, last.Step.End)
	if q.As != "" {
		if as, err = warehouseTable(q.As); err != nil {
			return a, err
		}
	}
	if as == table {
		return a, fmt.Errorf("%s is what pipeline %s publishes, which nothing else writes: leave --as out, or have it loaded anew from its sources: %s", table, pipeline, ingest.ResyncCommand(pipeline))
	}
	a = console.RebuildAnswer{Table: table.String(), As: as.String(), Pipeline: pipeline, WindowEnd: last.Step.End.UTC(), Publishes: len(chain)}
	for _, e := range chain {
		a.Parts += len(e.Load.Parts)
		for _, p := range e.Load.Parts {
			a.Bytes += p.Bytes
		}
	}
	if q.DryRun {
		return a, nil
	}
	r := lake.Rebuild{Store: b.r.assembly.Store, Sink: b.r.assembly.Warehouse, Dir: filepath.Join(base, "work"), Memory: rebuildMemory}
	a.Rows, err = r.Run(ctx, chain, as)
	return a, err
}

func warehouseTable(name string) (window.WarehouseTable, error) {
	schema, table, ok := strings.Cut(name, ".")
	if !ok || schema == "" || table == "" || strings.Contains(table, ".") {
		return window.WarehouseTable{}, fmt.Errorf("%q is no warehouse table: write SCHEMA.TABLE", name)
	}
	return window.WarehouseTable{Schema: schema, Name: table}, nil
}

// find looks for the pipeline that has published the table, and what it is made of.
func (b rebuilder) find(ctx context.Context, table window.WarehouseTable, to time.Time, dir string) (string, []lake.Entry, error) {
	var known []string
	for _, pl := range b.r.project().Pipelines {
		manifests, err := lake.Manifests(ctx, b.r.assembly.Store, pl.Name, dir)
		if err != nil {
			return "", nil, err
		}
		receipts, err := b.r.receipts(ctx, pl.Name, 0)
		if err != nil {
			return "", nil, err
		}
		tables := tablesIn(manifests, receipts)
		if slices.Contains(tables, table.String()) {
			chain, err := lake.Chain(table, to, receipts, manifests)
			return pl.Name, chain, err
		}
		known = append(known, tables...)
	}
	return "", nil, fmt.Errorf("no pipeline has published %s%s", table, config.DidYouMean(table.String(), known))
}

func tablesIn(manifests map[string]window.Manifest, receipts []lake.Receipt) (out []string) {
	for _, m := range manifests {
		for _, t := range m.Tables {
			out = append(out, t.Table.String())
		}
	}
	for _, r := range receipts {
		out = append(out, r.Tables...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// receipts reads what the warehouse says of the pipeline's publishes since a time, in the order of their commits; nil when it has none, or
// cannot be asked.
func (r *runtime) receipts(ctx context.Context, pipeline string, since int64) ([]lake.Receipt, error) {
	w, ok := r.assembly.Warehouse.(window.Querier)
	if !ok {
		return nil, nil
	}
	if _, err := r.assembly.Warehouse.Fence(ctx, pipeline); errors.Is(err, window.ErrNoFence) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading the fence of pipeline %s: %w", pipeline, err)
	}
	var out []lake.Receipt
	q := fmt.Sprintf(`SELECT CAST(EXTRACT(epoch FROM window_start) AS BIGINT) AS a, CAST(EXTRACT(epoch FROM window_end) AS BIGINT) AS b, slice, manifest_key, tables,
CAST(EXTRACT(epoch FROM committed_at) AS BIGINT) AS c
FROM tidemill.receipts WHERE pipeline = '%s' AND CAST(EXTRACT(epoch FROM committed_at) AS BIGINT) >= %d ORDER BY committed_at, window_start, slice`, strings.ReplaceAll(pipeline, "'", "''"), since)
	err := w.Query(ctx, q, func(rec arrow.RecordBatch) error {
		for i := range int(rec.NumRows()) {
			r, err := receiptOf(rec, i)
			if err != nil {
				return err
			}
			out = append(out, r)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the receipts of pipeline %s: %w", pipeline, err)
	}
	return out, nil
}

func receiptOf(rec arrow.RecordBatch, i int) (r lake.Receipt, err error) {
	number := func(c int) int64 {
		n, nerr := strconv.ParseInt(rec.Column(c).ValueStr(i), 10, 64)
		err = errors.Join(err, nerr)
		return n
	}
	r.Step = window.Step{Start: time.Unix(number(0), 0).UTC(), End: time.Unix(number(1), 0).UTC(), Slice: int(number(2))}
	r.Committed = number(5)
	r.ManifestKey = strings.Clone(rec.Column(3).ValueStr(i)) // the batch is gone after this
	var tables []struct{ Table string }
	if jerr := json.Unmarshal([]byte(rec.Column(4).ValueStr(i)), &tables); jerr != nil {
		return r, fmt.Errorf("reading a receipt: %w", jerr)
	}
	for _, t := range tables {
		r.Tables = append(r.Tables, t.Table)
	}
	return r, err
}
