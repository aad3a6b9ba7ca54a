package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tidemill/tidemill/internal/config"
	"github.com/tidemill/tidemill/lake"
	"github.com/tidemill/tidemill/lake/glue"
	"github.com/tidemill/tidemill/window"
)

// catalogUnit is the one unit that brings the data catalog up to date. No publish waits for it: it looks at what is committed.
const catalogUnit = "catalog"

// catalogEvery is how often the receipts are looked at.
const catalogEvery = 10 * time.Second

// catalogBatch is how many publishes are registered between two marks.
const catalogBatch = 500

// catalog registers what is committed until ctx ends.
func (r *runtime) catalog(ctx context.Context, p *config.Project) error {
	c, err := glue.New(ctx, glue.Config{Database: p.Catalog.Glue, Region: p.Catalog.Region, Endpoint: p.Catalog.Endpoint, Root: lakeRoot(p.Store.Reveal())})
	if err == nil {
		err = c.Ensure(ctx)
	}
	if err != nil {
		return err
	}
	k := &cataloguer{r: r, catalog: c, since: map[string]int64{}, marks: map[string]int64{}}
	tick := time.NewTicker(catalogEvery)
	defer tick.Stop()
	for {
		for i := range p.Pipelines {
			if err := k.pipeline(ctx, p.Pipelines[i].Name); err != nil {
				return err
			}
		}
		r.daemon.manager.up(catalogUnit)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// lakeRoot is the store's address without its options, with a slash at its end.
func lakeRoot(store string) string {
	root, _, _ := strings.Cut(store, "?")
	return strings.TrimSuffix(root, "/") + "/"
}

// cataloguer knows how far it has come. The catalog knows it, too: who starts anew asks there.
type cataloguer struct {
	r       *runtime
	catalog *glue.Catalog
	since   map[string]int64 // by pipeline: receipts from here on are looked at
	marks   map[string]int64 // by table: publishes of before are registered
}

func (k *cataloguer) pipeline(ctx context.Context, name string) error {
	receipts, err := k.r.receipts(ctx, name, k.since[name])
	if err != nil {
		return err
	}
	for some := range slices.Chunk(receipts, catalogBatch) {
		if err := k.register(ctx, name, some); err != nil {
			return err
		}
		k.since[name] = some[len(some)-1].Committed // its second may have more: what comes again changes nothing
	}
	return nil
}

// register brings every table of some publishes up to date.
func (k *cataloguer) register(ctx context.Context, pipeline string, receipts []lake.Receipt) (err error) {
	dir, err := k.r.folder("catalog", uuid.NewString())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	byTable := map[window.WarehouseTable][]lake.Entry{}
	for _, rc := range receipts {
		if rc.ManifestKey == "" {
			continue
		}
		m, err := lake.Manifest(ctx, k.r.assembly.Store, rc.ManifestKey, dir)
		if errors.Is(err, fs.ErrNotExist) { // expired: there is nothing to query any more
			continue
		}
		if err != nil {
			return fmt.Errorf("registering publishes of pipeline %s: %w", pipeline, err)
		}
		for _, t := range m.Tables {
			if mark, err := k.mark(ctx, t.Table); err != nil {
				return err
			} else if rc.Committed >= mark {
				byTable[t.Table] = append(byTable[t.Table], lake.Entry{Key: rc.ManifestKey, Step: rc.Step, Load: t})
			}
		}
	}
	last := receipts[len(receipts)-1].Committed
	for _, t := range slices.SortedFunc(maps.Keys(byTable), func(a, b window.WarehouseTable) int { return strings.Compare(a.String(), b.String()) }) {
		if err := k.catalog.Register(ctx, t, byTable[t], strconv.FormatInt(last, 10)); err != nil {
			return err
		}
		k.marks[t.String()] = last
	}
	return nil
}

// mark is up to when a table is registered.
func (k *cataloguer) mark(ctx context.Context, t window.WarehouseTable) (int64, error) {
	if mark, known := k.marks[t.String()]; known {
		return mark, nil
	}
	text, err := k.catalog.Registered(ctx, t)
	if err != nil {
		return 0, err
	}
	mark, err := strconv.ParseInt(text, 10, 64)
	if err != nil { // it is new, or somebody has made it
		mark = 0
	}
	k.marks[t.String()] = mark
	return mark, nil
}
