package daemon

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/tidemill/tidemill/internal/config"
)

// fullDisk is the free space at which a disk counts as full: less than one batch of the log fits.
const fullDisk = 1 << 20

// disks watches the disks that the daemon writes to. A full disk shows up in many places as an error that does not name
// it (the embedded broker answers with an unknown server error), so it is looked at itself, and said once.
func (r *runtime) disks(ctx context.Context) error {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	full := map[string]bool{}
	for {
		for _, dir := range folders(r.project()) {
			free, err := freeSpace(dir)
			switch now := err == nil && free < fullDisk; {
			case now && !full[dir]:
				full[dir] = true
				r.daemon.o.Event(Event{At: time.Now(), What: "the disk is full", Err: diskFull(dir)})
			case err == nil && !now && full[dir]:
				delete(full, dir)
				r.daemon.manager.allAgain() // somebody has done what they wait for
				r.daemon.o.Event(Event{At: time.Now(), What: "the disk of " + dir + " has space again"})
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func diskFull(dir string) error {
	return &EnvironmentError{What: "writing to " + dir, Err: errors.New("no space left on device"),
		Remedy: "free space on that disk; nothing is lost, tidemill goes on where it stopped"}
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
