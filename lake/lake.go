package lake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/window"
)

// fetches is how many objects are read at a time.
const fetches = 16

// Manifests reads the manifests of a pipeline, by their keys. dir is for files on their way.
func Manifests(ctx context.Context, store window.Store, pipeline, dir string) (map[string]window.Manifest, error) {
	var keys []string
	err := store.List(ctx, pipeline+"/_manifest/", func(key string, _ int64, _ time.Time) error {
		if path.Base(key) == "manifest.json" {
			keys = append(keys, key)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the manifests of pipeline %s: %w", pipeline, err)
	}
	var mu sync.Mutex
	out := map[string]window.Manifest{}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(fetches)
	for _, key := range keys {
		g.Go(func() error {
			m, err := Manifest(ctx, store, key, dir)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			out[key] = m
			return nil
		})
	}
	return out, g.Wait()
}

// Manifest reads one. errors.Is fs.ErrNotExist when there is none.
func Manifest(ctx context.Context, store window.Store, key, dir string) (m window.Manifest, err error) {
	file := filepath.Join(dir, uuid.NewString())
	if err := store.Get(ctx, key, file); err != nil {
		return m, fmt.Errorf("reading manifest %s: %w", key, err)
	}
	text, err := os.ReadFile(file)
	if err = errors.Join(err, os.Remove(file)); err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		return m, fmt.Errorf("reading manifest %s: %w", key, err)
	}
	return m, nil
}

// parts brings every part of the chain into dir and holds it against its manifest: paths by entry (invariant 2).
func parts(ctx context.Context, store window.Store, chain []Entry, dir string) ([][]string, error) {
	out := make([][]string, len(chain))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(fetches)
	for i, e := range chain {
		out[i] = make([]string, len(e.Load.Parts))
		for j, p := range e.Load.Parts {
			file := filepath.Join(dir, fmt.Sprintf("%06d-%04d.parquet", i, j))
			out[i][j] = file
			g.Go(func() error {
				if err := store.Get(ctx, p.Key, file); err != nil {
					return &MissingError{e.Load.Table, fmt.Sprintf("its part %s of the window %s cannot be read: %v", p.Key, e.Step.Start.UTC().Format(time.RFC3339), err)}
				}
				if sum, err := hashOf(file); err != nil {
					return err
				} else if sum != p.SHA256 {
					return &MissingError{e.Load.Table, fmt.Sprintf("its part %s of the window %s is not what was put there", p.Key, e.Step.Start.UTC().Format(time.RFC3339))}
				}
				return nil
			})
		}
	}
	return out, g.Wait()
}

func hashOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Name is what a table is rebuilt as when nothing else is asked for: its name and the end of the window.
func Name(t window.WarehouseTable, end time.Time) window.WarehouseTable {
	return window.WarehouseTable{Schema: t.Schema, Name: t.Name + "__" + strings.ToLower(end.UTC().Format("20060102T150405Z"))}
}
