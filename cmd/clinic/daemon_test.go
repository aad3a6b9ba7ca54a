package main

import (
	"path/filepath"
	"testing"
)

func TestFromHere(t *testing.T) {
	here := t.TempDir()
	t.Chdir(here)
	far := filepath.Join(filepath.Dir(here), "tidemill")
	for program, want := range map[string]string{
		filepath.Join(here, "bin", "tidemill"): filepath.Join("bin", "tidemill"),
		filepath.Join(here, "tidemill"):        "." + string(filepath.Separator) + "tidemill",
		far:                                    far,
	} {
		if got := fromHere(program); got != want {
			t.Errorf("%s: got %s, want %s", program, got, want)
		}
	}
}
