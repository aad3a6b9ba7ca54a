package window

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"
)

// Folders under a pipeline's local folder. Everything in them can be lost.
const (
	partsFolder = "parts" // parts of the step in work, laid out like the store
	runsFolder  = "runs"  // spilled rows
	workFolder  = "work"  // files being made
)

// dir is one of the pipeline's local folders.
func (c *Config) dir(name string) string { return filepath.Join(c.Dir, name) }

// clear empties the local folders, except for the parts of keep: what an earlier run left belongs to nobody.
func (c *Config) clear(keep *Publication) error {
	kept := map[string]bool{}
	if keep != nil {
		for _, t := range keep.Manifest.loads() {
			for _, p := range t.Parts {
				kept[c.localPath(p.Key)] = true
			}
		}
	}
	for _, name := range []string{runsFolder, workFolder} {
		if err := os.RemoveAll(c.dir(name)); err != nil {
			return fmt.Errorf("clearing the local folder: %w", err)
		}
	}
	for _, name := range []string{runsFolder, workFolder, partsFolder} {
		if err := os.MkdirAll(c.dir(name), 0o700); err != nil {
			return fmt.Errorf("making the local folder: %w", err)
		}
	}
	return filepath.WalkDir(c.dir(partsFolder), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || kept[path] {
			return err
		}
		return os.Remove(path)
	})
}

func (c *Config) localPath(key string) string {
	return filepath.Join(c.dir(partsFolder), filepath.FromSlash(key))
}

// part returns a local copy of a part: the file that was uploaded, or, when the disk was lost since, a copy from the store.
func (k *keeper) part(ctx context.Context, p Part) (string, error) {
	path := k.cfg.localPath(p.Key)
	k.partMu.Lock()
	defer k.partMu.Unlock()
	if k.checked[path] {
		return path, nil
	}
	err := checkFile(path, p.Bytes, p.SHA256)
	if err != nil {
		if err = os.RemoveAll(path); err == nil {
			err = k.fetch(ctx, p.Key, path, p.Bytes, p.SHA256)
		}
	}
	if err != nil {
		return "", fmt.Errorf("fetching the part %s: %w", p.Key, err)
	}
	k.checked[path] = true
	return path, nil
}

// fetch copies an object into place once it is known to be the right one.
func (k *keeper) fetch(ctx context.Context, key, path string, bytes int64, sum string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temp := filepath.Join(k.cfg.dir(workFolder), uuid.NewString())
	if err := k.cfg.Store.Get(ctx, key, temp); err != nil {
		return err
	}
	if err := checkFile(temp, bytes, sum); err != nil {
		return errors.Join(fmt.Errorf("%s in the store is not what was put there: %w", key, err), os.Remove(temp))
	}
	return os.Rename(temp, path)
}

func checkFile(path string, bytes int64, sum string) error {
	got, n, err := hashFile(path)
	if err == nil && (n != bytes || got != sum) {
		err = fmt.Errorf("it has %d bytes and hash %.12s, want %d and %.12s", n, got, bytes, sum)
	}
	return err
}

func hashFile(path string) (sum string, bytes int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), n, err
}

// discard removes a publish's local parts.
func (k *keeper) discard(p *Publication) error {
	for _, t := range p.Manifest.loads() {
		for _, part := range t.Parts {
			path := k.cfg.localPath(part.Key)
			delete(k.checked, path)
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("removing a published part: %w", err)
			}
		}
	}
	return nil
}

// known notes that a local part is what its hash says, because this run wrote it.
func (k *keeper) known(path string) {
	k.partMu.Lock()
	defer k.partMu.Unlock()
	k.checked[path] = true
}
