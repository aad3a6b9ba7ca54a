package window

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// snapshot is a copy of the state in the store: its files, and this description written last. One without a description
// does not exist.
type snapshot struct {
	Pipeline string         `json:"pipeline"`
	Lineage  string         `json:"lineage"`
	Step     Step           `json:"step"`
	Cut      Cut            `json:"cut"`
	Files    []snapshotFile `json:"files"`
	At       time.Time      `json:"at"`

	key string // of the description
}

type snapshotFile struct {
	Name   string `json:"name"`
	Key    string `json:"key"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

const describing = "snapshot.json"

// save copies the state as of the published step p to the store.
func (k *keeper) save(ctx context.Context, p Step, cut Cut) error {
	dir := filepath.Join(k.cfg.dir(workFolder), uuid.NewString())
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("saving the state: %w", err)
	}
	defer os.RemoveAll(dir)
	names, err := k.state.export(ctx, dir)
	if err != nil {
		return fmt.Errorf("saving the state: %w", err)
	}
	snap := snapshot{Pipeline: k.cfg.Name, Lineage: k.fence.Lineage, Step: p, Cut: cut, At: time.Now().UTC()}
	root := fmt.Sprintf("%s/%s/w=%s.k=%d/%s", k.cfg.Name, stateFolder, stamp(p.Start), p.Slice, uuid.NewString())
	for _, name := range names {
		f := snapshotFile{Name: name, Key: root + "/" + filepath.ToSlash(name)}
		local := filepath.Join(dir, name)
		if f.SHA256, f.Bytes, err = hashFile(local); err != nil {
			return fmt.Errorf("saving the state: %w", err)
		}
		if err := k.persist(ctx, func(ctx context.Context) error { return k.cfg.Store.Put(ctx, f.Key, local) }); err != nil {
			return fmt.Errorf("saving the state: %w", err)
		}
		snap.Files = append(snap.Files, f)
	}
	key := root + "/" + describing
	if err := k.putJSON(ctx, key, snap); err != nil {
		return fmt.Errorf("saving the state: %w", err)
	}
	return k.forgetSnapshots(ctx)
}

func (k *keeper) putJSON(ctx context.Context, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	local := filepath.Join(k.cfg.dir(workFolder), uuid.NewString()+".json")
	if err := os.WriteFile(local, b, 0o600); err != nil {
		return err
	}
	err = k.persist(ctx, func(ctx context.Context) error { return k.cfg.Store.Put(ctx, key, local) })
	return errors.Join(err, os.Remove(local))
}

// snapshots lists the snapshots of this lineage, newest first. One that cannot be read is left out.
func (k *keeper) snapshots(ctx context.Context) ([]snapshot, error) {
	var keys []string
	err := k.cfg.Store.List(ctx, k.cfg.Name+"/"+stateFolder+"/", func(key string, _ int64, _ time.Time) error {
		if path.Base(key) == describing {
			keys = append(keys, key)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing state snapshots: %w", err)
	}
	var out []snapshot
	for _, key := range keys {
		local := filepath.Join(k.cfg.dir(workFolder), uuid.NewString()+".json")
		err := k.cfg.Store.Get(ctx, key, local)
		if errors.Is(err, fs.ErrNotExist) { // another owner has removed it since it was listed
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading a state snapshot: %w", err)
		}
		b, err := os.ReadFile(local)
		if err = errors.Join(err, os.Remove(local)); err != nil {
			return nil, fmt.Errorf("reading a state snapshot: %w", err)
		}
		var snap snapshot
		if json.Unmarshal(b, &snap) == nil && snap.Pipeline == k.cfg.Name && snap.Lineage == k.fence.Lineage {
			snap.key = key
			out = append(out, snap)
		}
	}
	slices.SortStableFunc(out, func(a, b snapshot) int {
		switch {
		case b.Step.before(a.Step):
			return -1
		case a.Step.before(b.Step):
			return 1
		}
		return b.At.Compare(a.At)
	})
	return out, nil
}

// forgetSnapshots removes all but the newest few, and tells from which offset on the log is still needed.
func (k *keeper) forgetSnapshots(ctx context.Context) error {
	snaps, err := k.snapshots(ctx)
	if err != nil {
		return err
	}
	for _, old := range snaps[min(k.cfg.SnapshotKeep, len(snaps)):] {
		// The description goes first: a snapshot without its files must not look like one.
		if err := k.cfg.Store.Delete(ctx, old.key); err != nil {
			return fmt.Errorf("removing an old state snapshot: %w", err)
		}
		for _, f := range old.Files {
			if err := k.cfg.Store.Delete(ctx, f.Key); err != nil {
				return fmt.Errorf("removing an old state snapshot: %w", err)
			}
		}
	}
	k.snaps = snaps[:min(k.cfg.SnapshotKeep, len(snaps))]
	return nil
}

// load brings a snapshot's files into a local folder, each checked.
func (k *keeper) load(ctx context.Context, snap snapshot) (string, error) {
	dir := filepath.Join(k.cfg.dir(workFolder), uuid.NewString())
	for _, f := range snap.Files {
		if !filepath.IsLocal(f.Name) || strings.Contains(f.Name, "\\") {
			return "", fmt.Errorf("state snapshot %s names the file %q", snap.key, f.Name)
		}
		if err := k.fetch(ctx, f.Key, filepath.Join(dir, f.Name), f.Bytes, f.SHA256); err != nil {
			return "", fmt.Errorf("fetching state snapshot %s: %w", snap.key, err)
		}
	}
	return dir, nil
}

// Sweep lists the files of attempts that ended before their manifest (or their snapshot before its description) and whose
// newest file is older than age: nothing can ever name them. It deletes nothing.
func Sweep(ctx context.Context, store Store, pipeline string, age time.Duration, now time.Time) ([]string, error) {
	type attempt struct {
		newest time.Time
		keys   []string
	}
	attempts := map[string]*attempt{}
	complete := map[string]bool{}
	err := store.List(ctx, pipeline+"/", func(key string, _ int64, modified time.Time) error {
		parts := strings.Split(key, "/")
		var id string
		switch {
		case len(parts) >= 5 && parts[1] == stateFolder: // pipeline, _state, step, attempt, files
			id = parts[3]
			complete[id] = complete[id] || path.Base(key) == describing
		case len(parts) == 6: // pipeline, table, window, slice, attempt, file
			id = parts[4]
			complete[id] = complete[id] || parts[1] == manifestFolder
		default:
			return nil
		}
		a := attempts[id]
		if a == nil {
			a = &attempt{}
			attempts[id] = a
		}
		a.keys = append(a.keys, key)
		if modified.After(a.newest) {
			a.newest = modified
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the parts of pipeline %s: %w", pipeline, err)
	}
	var out []string
	for id, a := range attempts {
		if !complete[id] && now.Sub(a.newest) >= age {
			out = append(out, a.keys...)
		}
	}
	slices.Sort(out)
	return out, nil
}
