package all_test

import (
	"strings"
	"testing"

	"github.com/tidemill/tidemill/internal/realtest"
	"github.com/tidemill/tidemill/sinks/all"
)

func TestAddresses(t *testing.T) {
	set := all.Set()
	for _, ok := range []string{"./data/lake", "lake", "/abs/lake", "folder:lake", "folder:///abs", "s3://bucket/prefix?region=eu-west-1"} {
		if s, err := set.Store(ok); err != nil || s == nil {
			t.Errorf("store %s: %v", ok, err)
		}
	}
	for _, ok := range []string{"duckdb:./w.db", "duckdb:w.db?memory_limit=2GB&threads=2&temp_directory=/tmp/x&temp_limit=1TB", "postgres://u:p@h:5432/d?sslmode=disable", "postgresql://h/d"} {
		w, err := set.Warehouse(ok)
		if err != nil || w == nil {
			t.Errorf("warehouse %s: %v", ok, err)
			continue
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	secret := realtest.Canary
	for bad, want := range map[string]string{
		"gs://bucket":                   `no store for the scheme "gs"; known: folder, s3`,
		"lake?x=1":                      "takes no options",
		"s3://u:" + secret + "@b/p":     "holds credentials",
		"s3://bucket?secret=" + secret:  `unknown option "secret"; known: region`,
		"s3://bucket?region=a&region=b": `"region" is given 2 times`,
	} {
		_, err := set.Store(bad)
		wantError(t, bad, err, want)
	}
	for bad, want := range map[string]string{
		"":                                  "no scheme; known: duckdb, postgres",
		"./w.db":                            "no scheme",
		"snowflake://u:" + secret + "@h":    `no warehouse for the scheme "snowflake"`,
		"duckdb:":                           "names no path",
		"duckdb:w.db?memory=2GB":            `unknown option "memory"; known: memory_limit`,
		"duckdb:w.db?memory_limit=2":        "not a size",
		"duckdb:w.db?threads=0":             "option threads",
		"postgres://u:" + secret + "@h:x/d": "postgres warehouse: the address is not",
		"postgres://u:" + secret + "@h/d?sslmode=maybe": "postgres warehouse: the address is not",
	} {
		_, err := set.Warehouse(bad)
		wantError(t, bad, err, want)
	}
}

func wantError(t *testing.T, address string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("address %s: got %v, want %q", address, err, want)
		return
	}
	realtest.NoCanary(t, "error", err.Error())
}
