package kafka

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A unit whose partition is revoked has returned before the client is told that it may give the partition away (invariant 2),
// however long its last work takes.
func TestRevokedUnitHasReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, returned := false, false
		unit := func(ctx context.Context) error {
			began = true
			<-ctx.Done()
			<-time.After(time.Hour) // what must not be cut in the middle
			returned = true
			return nil
		}
		h := &holding{assigner: Assigner{Units: map[string]func(context.Context) error{"source/a": unit}}, base: t.Context(), units: map[string]*running{}}
		at := map[string][]int32{AssignTopic: {PartitionOfUnit("source/a")}}
		h.start(at)
		synctest.Wait()
		if !began {
			t.Fatal("the unit does not run")
		}
		h.stop(at)
		if !returned {
			t.Error("the partition is given away and its unit still runs")
		}
	})
}
