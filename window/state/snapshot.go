//go:build duckdb_arrow

package state

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/duck"
	"github.com/tidemill/tidemill/internal/parquet"
)

// snapshotFile is the file of a snapshot that names the others.
const snapshotFile = "state.json"

// snapshot describes an exported state.
type snapshot struct {
	Version int               `json:"version"`
	Meta    []byte            `json:"meta"`
	Outputs map[string]string `json:"outputs"` // view hash by output
	Tables  []snapshotTable   `json:"tables"`
}

type snapshotTable struct {
	Input  string         `json:"input"`
	Schema *ingest.Schema `json:"schema"`
	File   string         `json:"file"`
	Rows   int64          `json:"rows"`
	SHA256 string         `json:"sha256"`
}

// Export writes the state into dir, which exists and is empty, and returns the files; the last one completes the snapshot.
func (f *File) Export(ctx context.Context, dir string) ([]parquet.File, error) {
	out, err := f.export(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("exporting state: %w", err)
	}
	return out, nil
}

func (f *File) export(ctx context.Context, dir string) ([]parquet.File, error) {
	snap := snapshot{Version: version, Outputs: map[string]string{}}
	var err error
	if snap.Meta, err = f.Meta(ctx); err != nil {
		return nil, err
	}
	err = f.conn.Rows(ctx, "SELECT name, hash FROM tm_outputs", func(row []driver.Value) error {
		snap.Outputs[row[0].(string)] = row[1].(string)
		return nil
	})
	if err != nil {
		return nil, err
	}
	inputs := make([]string, 0, len(f.tables))
	for input := range f.tables {
		inputs = append(inputs, input)
	}
	slices.Sort(inputs)
	var files []parquet.File
	for i, input := range inputs {
		file := parquet.File{Path: filepath.Join(dir, fmt.Sprintf("table-%04d.parquet", i))}
		if file.Rows, err = f.conn.Exec(ctx, fmt.Sprintf("COPY %s TO %s (FORMAT parquet, COMPRESSION zstd)", tableName(input), duck.Literal(file.Path))); err != nil {
			return nil, err
		}
		if file.Bytes, file.SHA256, err = hashFile(file.Path); err != nil {
			return nil, err
		}
		files = append(files, file)
		snap.Tables = append(snap.Tables, snapshotTable{Input: input, Schema: f.tables[input], File: filepath.Base(file.Path), Rows: file.Rows, SHA256: file.SHA256})
	}
	b, err := json.Marshal(snap)
	if err != nil {
		return nil, err
	}
	last := parquet.File{Path: filepath.Join(dir, snapshotFile)}
	if err := os.WriteFile(last.Path, b, 0o644); err != nil {
		return nil, err
	}
	if last.Bytes, last.SHA256, err = hashFile(last.Path); err != nil {
		return nil, err
	}
	return append(files, last), nil
}

func hashFile(path string) (size int64, sum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return size, hex.EncodeToString(h.Sum(nil)), err
}

// Import makes a new state file from an exported snapshot in dir. A file that is damaged in transit is an error.
func Import(ctx context.Context, o Options, dir string) (*File, error) {
	b, err := os.ReadFile(filepath.Join(dir, snapshotFile))
	if err != nil {
		return nil, fmt.Errorf("importing state: %w", err)
	}
	var snap snapshot
	if err := json.Unmarshal(b, &snap); err != nil {
		return nil, fmt.Errorf("importing state: reading %s: %w", snapshotFile, err)
	}
	if snap.Version != version {
		return nil, fmt.Errorf("importing state: the snapshot's layout is version %d, this program reads version %d", snap.Version, version)
	}
	if _, err := os.Stat(o.Path); err == nil {
		return nil, fmt.Errorf("importing state: %s exists", o.Path)
	}
	f, err := Open(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := f.load(ctx, snap, dir); err != nil {
		return nil, fmt.Errorf("importing state: %w", errors.Join(err, f.Close(), Remove(o.Path)))
	}
	return f, nil
}

func (f *File) load(ctx context.Context, snap snapshot, dir string) error {
	for _, t := range snap.Tables {
		path := filepath.Join(dir, filepath.Base(t.File))
		if _, sum, err := hashFile(path); err != nil || sum != t.SHA256 {
			return errors.Join(err, fmt.Errorf("%s is not the file that was exported", t.File))
		}
	}
	err := f.conn.Tx(ctx, func() error {
		for _, t := range snap.Tables {
			if err := f.createTable(ctx, t.Input, t.Schema); err != nil {
				return err
			}
			n, err := f.conn.Exec(ctx, fmt.Sprintf("INSERT INTO %s BY NAME FROM read_parquet(%s)", tableName(t.Input), duck.Literal(filepath.Join(dir, filepath.Base(t.File)))))
			if err != nil {
				return err
			}
			if n != t.Rows {
				return fmt.Errorf("table %s has %d rows, its snapshot says %d", t.Input, n, t.Rows)
			}
		}
		for name, hash := range snap.Outputs {
			if _, err := f.conn.Exec(ctx, "INSERT INTO tm_outputs VALUES (?, ?)", name, hash); err != nil {
				return err
			}
		}
		if snap.Meta == nil {
			return nil
		}
		return f.SetMeta(ctx, snap.Meta)
	})
	if err != nil {
		return err
	}
	if _, err := f.conn.Exec(ctx, "CHECKPOINT"); err != nil {
		return err
	}
	return f.readCatalog(ctx)
}
