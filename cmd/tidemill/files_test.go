package main

import (
	"bytes"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	pqgo "github.com/parquet-go/parquet-go"

	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/sinks/s3"
)

func parquetFile(t *testing.T, path string, version int) string {
	t.Helper()
	type row struct {
		ID int64 `parquet:"id"`
	}
	var buf bytes.Buffer
	w := pqgo.NewGenericWriter[row](&buf, pqgo.DataPageVersion(version), pqgo.Compression(&pqgo.Zstd))
	if _, err := w.Write([]row{{1}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, buf.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func checkFiles(t *testing.T, places ...string) (out, said string, err error) {
	t.Helper()
	var o, e bytes.Buffer
	err = (&cli{out: &o, err: &e}).checkFiles(t.Context(), places)
	return o.String(), e.String(), err
}

func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	good := parquetFile(t, filepath.Join(dir, "lake", "a", "part-0000.parquet"), 1)
	bad := parquetFile(t, filepath.Join(dir, "lake", "b", "part-0000.parquet"), 2)
	if out, said, err := checkFiles(t, good); err != nil || out != "ok: 1 file would load into Redshift\n" || said != "" {
		t.Errorf("a good file: %q, %q, %v", out, said, err)
	}
	out, said, err := checkFiles(t, filepath.Join(dir, "lake"))
	if out != "" || err == nil || err.Error() != "1 of 2 files would not load into Redshift" || !strings.HasPrefix(said, bad+": column id: row group 0: its data pages are of version 2") {
		t.Errorf("a folder with a bad file: %q, %q, %v", out, said, err)
	}
	if _, _, err := checkFiles(t, t.TempDir()); err == nil || !strings.Contains(err.Error(), "no .parquet file") {
		t.Errorf("an empty folder: %v", err)
	}
	if _, _, err := checkFiles(t, filepath.Join(dir, "gone")); err == nil {
		t.Error("a folder that is not there: no error")
	}
}

func TestCheckFilesInS3(t *testing.T) {
	b := realtest.S3(t)
	for name, v := range map[string]string{"AWS_ACCESS_KEY_ID": b.AccessKey, "AWS_SECRET_ACCESS_KEY": b.SecretKey, "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"} {
		t.Setenv(name, v)
	}
	address := func(p string) string {
		return "s3://" + b.Name + "/" + p + "?" + url.Values{"region": {b.Region}, "endpoint": {b.Endpoint}, "path_style": {"true"}}.Encode()
	}
	store, err := s3.New(address("lake"))
	if err != nil {
		t.Fatal(err)
	}
	for key, version := range map[string]int{"a/part-0000.parquet": 1, "a/part-0001.parquet": 2, "a/manifest.json": 1} {
		if err := store.Put(t.Context(), key, parquetFile(t, filepath.Join(t.TempDir(), "f"), version)); err != nil {
			t.Fatal(err)
		}
	}
	if out, _, err := checkFiles(t, address("lake/a/part-0000.parquet")); err != nil || out != "ok: 1 file would load into Redshift\n" {
		t.Errorf("one object: %q, %v", out, err)
	}
	if _, said, err := checkFiles(t, address("lake")); err == nil || !strings.Contains(said, "a/part-0001.parquet: column id") || strings.Contains(said, "part-0000") {
		t.Errorf("a prefix: %q, %v", said, err)
	}
}
