package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/console"
	"github.com/tidemill/tidemill/internal/config"
)

// Folders of one disk are one disk, and a folder that is not there says nothing.
func TestDisksOf(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	got := disksOf([]string{a, b, filepath.Join(a, "none")})
	if len(got) != 1 || len(got[0].dirs) != 2 || got[0].full() {
		t.Fatalf("%+v", got)
	}
	err := got[0].err()
	if !errors.Is(err, errDiskFull) || !strings.Contains(err.Error(), a) || !strings.Contains(err.Error(), b) {
		t.Errorf("the error is %v", err)
	}
}

// While a disk is full, a unit that fails shows the disk as its error, and nothing is printed for it: the disk itself is.
func TestFullDiskIsTheCause(t *testing.T) {
	full := true
	var events []Event
	d := New(Options{Event: func(e Event) { events = append(events, e) }})
	d.manager.wait = time.Millisecond
	d.manager.explain = func(err error) error {
		if full {
			return disk{dirs: []string{"/data"}}.err()
		}
		return err
	}
	tries := 0
	d.manager.held[0] = true
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	d.manager.want(ctx, []unit{{name: "source/shop", run: func(ctx context.Context) error {
		switch tries++; tries {
		case 1:
			return errors.New("UNKNOWN_SERVER_ERROR")
		case 2:
			if s := d.manager.state("source/shop"); s.State != console.Retrying || !errors.Is(s.Err, errDiskFull) {
				t.Errorf("the state is %+v", s)
			}
			full = false
			d.manager.up("source/shop")
		}
		close(ended)
		<-ctx.Done()
		return nil
	}}})
	<-ended
	stop()
	d.manager.want(context.WithoutCancel(ctx), nil)
	if len(events) != 1 || events[0].Err != nil || events[0].What != "source shop runs again" {
		t.Errorf("events: %+v", events)
	}
}

// A lake that is gone is said once something had been published into it.
func TestLostLake(t *testing.T) {
	dir := t.TempDir()
	var said []string
	d := New(Options{Event: func(e Event) { said = append(said, e.What) }})
	d.project = &config.Project{Data: dir, Store: config.NewURL(filepath.Join(dir, "lake")), Pipelines: []config.Pipeline{{Name: "care"}}}
	r := &runtime{daemon: d}
	r.lostLake()
	if len(said) != 0 {
		t.Errorf("before the first publish: %q", said)
	}
	r.works("pipeline/care")
	r.lostLake()
	if len(said) != 1 {
		t.Errorf("said %q", said)
	}
	if err := os.Mkdir(filepath.Join(dir, "lake"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.lostLake()
	if len(said) != 1 {
		t.Errorf("with the folder: %q", said)
	}
}
