package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tidemill/tidemill/internal/config"
)

// fullDisk is the free space at which a disk counts as full: less than one batch of the log fits.
const fullDisk = 1 << 20

// errDiskFull is what the system says of a full disk, in one wording.
var errDiskFull = errors.New("no space left on device")

// disks watches the disks that the daemon writes to. A full disk shows up in many places as an error that does not name
// it (the embedded broker answers with an unknown server error), so it is looked at itself, and said once for each disk.
func (r *runtime) disks(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	full := map[uint64]bool{}
	for {
		for _, d := range disksOf(folders(r.project())) {
			switch {
			case d.full() && !full[d.device]:
				full[d.device] = true
				r.daemon.o.Event(Event{At: time.Now(), What: "the disk is full", Err: d.err()})
			case !d.full() && full[d.device]:
				delete(full, d.device)
				r.daemon.manager.allAgain() // somebody has done what they wait for
				r.daemon.o.Event(Event{At: time.Now(), What: "the disk of " + d.names() + " has space again"})
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// explain names the full disk in place of an error that comes of it: what fails first says nothing of disks, and not how to
// mend them.
func (r *runtime) explain(err error) error {
	for _, d := range disksOf(folders(r.project())) {
		if d.full() {
			return d.err()
		}
	}
	return err
}

// disk is one that holds folders of the project.
type disk struct {
	device uint64
	dirs   []string
	free   int64 // bytes
}

// disksOf looks at the disks of folders. One that cannot be looked at is left out: who writes to it will say so.
func disksOf(dirs []string) (out []disk) {
	for _, dir := range dirs {
		var s syscall.Stat_t
		free, err := freeSpace(dir)
		if err != nil || syscall.Stat(dir, &s) != nil {
			continue
		}
		device := uint64(s.Dev)
		if i := slices.IndexFunc(out, func(d disk) bool { return d.device == device }); i >= 0 {
			out[i].dirs = append(out[i].dirs, dir)
			continue
		}
		out = append(out, disk{device, []string{dir}, free})
	}
	return out
}

func (d disk) full() bool    { return d.free < fullDisk }
func (d disk) names() string { return strings.Join(d.dirs, ", ") }

func (d disk) err() error {
	return &EnvironmentError{What: "writing to " + d.names(), Err: errDiskFull,
		Remedy: "free space on that disk; nothing is lost, tidemill goes on where it stopped"}
}

// lostLake says that the lake of a project that has published is gone. Nothing needs it at once, so nobody else would say so.
func (r *runtime) lostLake() {
	p := r.project()
	if p.Store.Scheme() != "" {
		return
	}
	dir := p.Store.Reveal()
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return
	}
	for _, pl := range p.Pipelines {
		if _, err := os.Stat(r.worksFile("pipeline/" + pl.Name)); err == nil {
			r.daemon.o.Event(Event{At: time.Now(), What: "the lake is gone", Err: &EnvironmentError{What: "the folder " + dir + " is not there: parts, manifests and snapshots of the state of earlier windows are lost",
				Remedy: "bring the folder back, or leave it: the warehouse is whole, and it fills again; until a new snapshot is taken, a lost state is rebuilt from the log and the warehouse"}})
			return
		}
	}
}

// folders are the local folders of a project.
func folders(p *config.Project) []string {
	out := []string{p.Data}
	if p.Log.Embedded != "" {
		out = append(out, p.Log.Embedded)
	}
	if p.Store.Scheme() == "" {
		out = append(out, p.Store.Reveal())
	}
	return out
}

// freeSpace is what an ordinary user may still write to the disk that holds dir.
func freeSpace(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("looking at the disk of %s: %w", dir, err)
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}
