package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidemill/tidemill/internal/pqcheck"
	"github.com/tidemill/tidemill/sinks"
	"github.com/tidemill/tidemill/window"
)

// checkFiles reads Parquet files as Redshift would, wherever they come from.
func (c *cli) checkFiles(ctx context.Context, places []string) error {
	files, bad := 0, 0
	for _, place := range places {
		err := eachFile(ctx, place, func(name, file string) error {
			_, found, err := pqcheck.File(file, pqcheck.Options{})
			if err != nil {
				return err
			}
			files++
			if pqcheck.Err(found) != nil {
				bad++
			}
			for _, f := range append(pqcheck.Name(name), found...) {
				word := ""
				if f.Warning {
					word = "warning: "
				}
				fmt.Fprintf(c.err, "%s%s: %s\n", word, name, f)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	switch {
	case files == 0:
		return errors.New("there is no .parquet file in " + strings.Join(places, ", "))
	case bad > 0:
		return fmt.Errorf("%d of %s would not load into Redshift", bad, count(files, "file"))
	}
	_, err := fmt.Fprintf(c.out, "ok: %s would load into Redshift\n", count(files, "file"))
	return err
}

// eachFile calls fn for every Parquet file of a place: a file, a folder, or s3://bucket/prefix, whose objects are fetched one
// by one.
func eachFile(ctx context.Context, place string, fn func(name, file string) error) error {
	if sinks.Scheme(place) == "" {
		return filepath.WalkDir(place, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || file != place && filepath.Ext(file) != ".parquet" {
				return err
			}
			return fn(file, file)
		})
	}
	address, last := place, ""
	base, query, _ := strings.Cut(place, "?")
	if path.Ext(base) == ".parquet" { // one object: its folder is the store
		address, last = strings.TrimSuffix(base, path.Base(base)), path.Base(base)
		if query != "" {
			address += "?" + query
		}
	}
	store, err := kinds().Sinks.Store(address)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "tidemill-check")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	n := 0
	return store.List(ctx, last, func(key string, _ int64, _ time.Time) error {
		if path.Ext(key) != ".parquet" || last != "" && key != last {
			return nil
		}
		n++
		return fetched(ctx, store, key, filepath.Join(dir, fmt.Sprint(n)+".parquet"), fn)
	})
}

func fetched(ctx context.Context, store window.Store, key, file string, fn func(name, file string) error) error {
	if err := store.Get(ctx, key, file); err != nil {
		return err
	}
	return errors.Join(fn(key, file), os.Remove(file))
}
