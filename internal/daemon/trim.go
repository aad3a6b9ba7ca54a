package daemon

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/kafka"
	"github.com/tidemill/tidemill/internal/telemetry"
)

// trimEvery is how often the log is given back what no pipeline needs. The embedded broker reads all it retains when it
// starts, so less often costs memory and start time; more often gains nothing, whole files are given back.
const trimEvery = 30 * time.Second

// trim gives records back that every pipeline is done with, until ctx ends.
func (r *runtime) trim(ctx context.Context) error {
	trimmed, err := r.telemetry.Meter().Int64Counter(telemetry.MetricLogTrimmed, metric.WithDescription("records given back to the broker"))
	if err != nil {
		return fmt.Errorf("making an instrument: %w", err)
	}
	cl, err := kafka.New(r.log.cfg)
	if err != nil {
		return err
	}
	defer cl.Close()
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	done := map[string][]int64{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		below, epochs, known := r.needless()
		if !known || r.verifying.Load() > 0 { // a comparison reads on from an older fence
			continue
		}
		// A new owner of a source reads from its checkpoint on, whatever pipelines are done with.
		floors, err := ingest.Floors(ctx, r.log.cfg)
		if err == nil {
			if below = both(below, floors); !more(done, below) {
				continue
			}
			// Last of all: who claims a pipeline after this look finds the snapshots that the need was worked out from.
			var claims map[string]kafka.ClaimRecord
			if claims, err = kafka.LatestClaims(ctx, r.log.cfg); err == nil && overtaken(epochs, claims) {
				continue
			}
		}
		if err == nil {
			err = kafka.Trim(ctx, cl, below)
		}
		if err != nil {
			if ctx.Err() == nil {
				r.daemon.o.Log.Warn("the log keeps what is not needed for now", telemetry.KeyError, err.Error())
			}
			continue
		}
		trimmed.Add(ctx, moved(done, below))
		done = below
	}
}

// needless is the offset per partition below which no pipeline will read again. It is known only when every pipeline of the
// project runs here and knows what it needs: one that runs elsewhere may stand further back. epochs are those of the owners
// whose need it is, by unit.
func (r *runtime) needless() (below map[string][]int64, epochs map[string]int64, known bool) {
	parts := r.daemon.running()
	var needs []map[string][]int64
	epochs = map[string]int64{}
	for _, pl := range r.project().Pipelines {
		unit := "pipeline/" + pl.Name
		p, ok := parts[unit].(*runningPipeline)
		if !ok {
			return nil, nil, false
		}
		n := p.Needed()
		if n == nil {
			return nil, nil, false
		}
		needs, epochs[unit] = append(needs, n), p.Status().Epoch
	}
	return lowest(needs), epochs, len(needs) > 0
}

// overtaken reports whether somebody else has claimed a pipeline since: he may be restoring from a snapshot that is older than
// the one that this owner goes by.
func overtaken(epochs map[string]int64, claims map[string]kafka.ClaimRecord) bool {
	for unit, epoch := range epochs {
		if claims[unit].Epoch > epoch {
			return true
		}
	}
	return false
}

// lowest is the minimum per partition. A topic that one pipeline does not know, it does not read.
func lowest(needs []map[string][]int64) map[string][]int64 {
	out := map[string][]int64{}
	for _, n := range needs {
		for topic, offsets := range n {
			if out[topic] == nil {
				out[topic] = append([]int64(nil), offsets...)
				continue
			}
			for i := range min(len(offsets), len(out[topic])) {
				out[topic][i] = min(out[topic][i], offsets[i])
			}
		}
	}
	return out
}

// both is the minimum of two bounds per partition. A topic that only one of them knows keeps everything.
func both(a, b map[string][]int64) map[string][]int64 {
	out := map[string][]int64{}
	for topic, offsets := range a {
		if len(b[topic]) == len(offsets) {
			out[topic] = lowest([]map[string][]int64{{topic: offsets}, {topic: b[topic]}})[topic]
		}
	}
	return out
}

// more reports whether something has moved since.
func more(done, below map[string][]int64) bool { return moved(done, below) > 0 }

func moved(done, below map[string][]int64) (n int64) {
	for topic, offsets := range below {
		for i, to := range offsets {
			from := int64(0)
			if i < len(done[topic]) {
				from = done[topic][i]
			}
			n += max(0, to-from)
		}
	}
	return n
}
