package daemon

import (
	"context"

	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/config"
)

// watch takes over changes of the project folder until ctx ends. Looking at a few files every second costs nothing and
// works on every filesystem, where notifications do not; a change is taken when it has stood for one look, so that half
// of a save is not read.
func (r *runtime) watch(ctx context.Context) error {
	tick := time.NewTicker(r.daemon.o.Reload)
	defer tick.Stop()
	dir := r.daemon.o.Dir
	taken := folderPrint(dir)
	before := taken
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := folderPrint(dir)
		if now == before && now != taken {
			taken = now
			r.reload(ctx)
		}
		before = now
	}
}

// folderPrint identifies the content of the files that make up a project by name, size and time.
func folderPrint(dir string) string {
	var b strings.Builder
	for _, sub := range []string{".", "sources", "pipelines", "jobs"} {
		err := filepath.WalkDir(filepath.Join(dir, sub), func(path string, e fs.DirEntry, err error) error {
			switch {
			case err != nil || e.IsDir() && path != filepath.Join(dir, sub) && sub == ".":
				return fs.SkipDir
			case e.IsDir() || sub == "." && e.Name() != config.ProjectFile:
				return nil
			}
			if info, err := os.Stat(path); err == nil { // a link's target: config maps are links
				fmt.Fprintln(&b, path, info.Size(), info.ModTime().UnixNano())
			}
			return nil
		})
		if err != nil {
			fmt.Fprintln(&b, sub, "cannot be read")
		}
	}
	return b.String()
}

// reload takes the folder as it is now, if it can run (invariant 4).
func (r *runtime) reload(ctx context.Context) {
	d := r.daemon
	a, err := Assemble(ctx, d.o.Dir, d.o.Env, d.o.Kinds)
	if err == nil && len(a.Project.Missing()) > 0 {
		err = a.Project.Missing()
	}
	if err == nil {
		err = fixed(r.project(), a.Project)
	}
	if closed := closeUnused(a); err == nil {
		err = closed
	}
	d.mu.Lock()
	was := d.config.Error
	d.config.Error = message(err)
	if err == nil {
		d.config.Loaded = time.Now().UTC()
		d.project, d.wants, d.jobs = a.Project, a.Wants, a.Jobs
	}
	d.mu.Unlock()
	switch {
	case err == nil:
		d.o.Event(Event{At: time.Now(), What: "the configuration has changed and is taken over"})
		d.manager.want(ctx, r.units(a.Project, a.Wants))
	case err.Error() != was:
		d.o.Event(Event{At: time.Now(), What: "the configuration has changed and cannot run, the old one goes on", Err: err})
	}
}

// closeUnused gives back what Assemble made: the running warehouse stays.
func closeUnused(a *Assembly) error {
	if a == nil || a.Warehouse == nil {
		return nil
	}
	return a.Warehouse.Close()
}

// fixed refuses a change of what is made once, when the daemon starts.
func fixed(old, changed *config.Project) error {
	var out config.Problems
	for _, f := range []struct {
		key  string
		same bool
	}{
		{"project", old.Name == changed.Name},
		{"window", old.Window == changed.Window},
		{"log", fingerprint(old.Log) == fingerprint(changed.Log) && samePassword(old.Log, changed.Log)},
		{"store", old.Store == changed.Store},
		{"warehouse", old.Warehouse == changed.Warehouse},
		{"listen", old.Listen == changed.Listen},
		{"data", old.Data == changed.Data},
		{"memory", old.Memory == changed.Memory},
	} {
		if !f.same {
			out = append(out, changed.Problem(f.key, "cannot change while the daemon runs: restart it"))
		}
	}
	if len(out) > 0 {
		return out
	}
	return nil
}

func samePassword(a, b config.Log) bool {
	return (a.SASL == nil) == (b.SASL == nil) && (a.SASL == nil || a.SASL.Password == b.SASL.Password)
}
