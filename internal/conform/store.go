package conform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tidemill/tidemill/window"
)

// Store runs the suite. fresh returns an empty store of the test's own.
func Store(t *testing.T, fresh func(t *testing.T) window.Store) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, window.Store){
		"RoundTrip":          storeRoundTrip,
		"NothingOverwritten": storeNothingOverwritten,
		"OneWinner":          storeOneWinner,
		"Missing":            storeMissing,
		"BadKeys":            storeBadKeys,
		"List":               storeList,
		"ListStops":          storeListStops,
		"Cancelled":          storeCancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh(t))
		})
	}
}

func localFile(t *testing.T, content []byte) string {
	t.Helper()
	f := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(f, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return f
}

func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = r.Read(b) // never fails
	return b
}

func put(t *testing.T, s window.Store, key string, content []byte) {
	t.Helper()
	if err := s.Put(t.Context(), key, localFile(t, content)); err != nil {
		t.Fatal(err)
	}
}

func wantContent(t *testing.T, s window.Store, key string, want []byte) {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := s.Get(t.Context(), key, to); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got %d bytes, want %d, or they differ", key, len(got), len(want))
	}
}

// storeRoundTrip has sizes on both sides of any single-part limit.
func storeRoundTrip(t *testing.T, s window.Store) {
	for _, n := range []int{0, 1, 70_000, 40<<20 + 17} {
		key := fmt.Sprintf("care/mart.visits/w=2026-01-05T09:00:00Z/k=0/a b+c%%/%d.parquet", n)
		want := noise(n)
		put(t, s, key, want)
		wantContent(t, s, key, want)
	}
	// Get makes a new file only.
	there := localFile(t, []byte("mine"))
	err := s.Get(t.Context(), "care/mart.visits/w=2026-01-05T09:00:00Z/k=0/a b+c%/1.parquet", there)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("fetching over a local file: got %v, want an error about the file", err)
	}
	if b, err := os.ReadFile(there); err != nil || string(b) != "mine" {
		t.Errorf("the local file was changed: %q, %v", b, err)
	}
}

func storeNothingOverwritten(t *testing.T, s window.Store) {
	for _, n := range []int{5, 20 << 20} { // one part, several parts
		key, first := fmt.Sprintf("a/b-%d", n), noise(n)
		put(t, s, key, first)
		other := slices.Clone(first)
		other[0] ^= 1
		if err := s.Put(t.Context(), key, localFile(t, other)); !errors.Is(err, fs.ErrExist) {
			t.Errorf("second put of %d bytes: got %v, want fs.ErrExist", n, err)
		}
		if err := s.Put(t.Context(), key, localFile(t, first)); err != nil {
			t.Errorf("repeated put of %d bytes: got %v, want no error", n, err)
		}
		wantContent(t, s, key, first)
	}
}

func storeOneWinner(t *testing.T, s window.Store) {
	const writers = 8
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for i := range writers {
		file := localFile(t, []byte{byte(i)})
		wg.Go(func() { errs[i] = s.Put(t.Context(), "race/key", file) })
	}
	wg.Wait()
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner < 0:
			winner = i
		case err == nil:
			t.Errorf("writers %d and %d both won", winner, i)
		case !errors.Is(err, fs.ErrExist):
			t.Errorf("writer %d: got %v, want fs.ErrExist", i, err)
		}
	}
	if winner < 0 {
		t.Fatal("nobody won")
	}
	wantContent(t, s, "race/key", []byte{byte(winner)})
}

func storeMissing(t *testing.T, s window.Store) {
	to := filepath.Join(t.TempDir(), "copy")
	for _, key := range []string{"nothing", "no/such/key"} {
		if err := s.Get(t.Context(), key, to); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("getting %s: got %v, want fs.ErrNotExist", key, err)
		}
		if err := s.Delete(t.Context(), key); err != nil {
			t.Errorf("deleting %s: %v", key, err)
		}
	}
	if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a failed get left a file: %v", err)
	}
	put(t, s, "a/b/c", nil)
	if err := s.Get(t.Context(), "a/b", to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("getting a prefix: got %v, want fs.ErrNotExist", err)
	}
	if err := s.Delete(t.Context(), "a/b/c"); err != nil {
		t.Fatal(err)
	}
	if err := s.Get(t.Context(), "a/b/c", to); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("getting what was deleted: got %v, want fs.ErrNotExist", err)
	}
	put(t, s, "a/b/c", []byte("again"))
}

func storeBadKeys(t *testing.T, s window.Store) {
	file := localFile(t, []byte("x"))
	for _, key := range []string{"", ".", "/abs", "a//b", "../up", "a/../../up", "a/.", "a/", "a\x00b", `a\b`} {
		if err := s.Put(t.Context(), key, file); err == nil {
			t.Errorf("put of the key %q: no error", key)
		}
		if err := s.Get(t.Context(), key, filepath.Join(t.TempDir(), "copy")); err == nil {
			t.Errorf("get of the key %q: no error", key)
		}
		if err := s.Delete(t.Context(), key); err == nil {
			t.Errorf("delete of the key %q: no error", key)
		}
	}
}

func keys(t *testing.T, s window.Store, prefix string) []string {
	t.Helper()
	var out []string
	start := time.Now()
	err := s.List(t.Context(), prefix, func(key string, n int64, modified time.Time) error {
		if n != int64(len(key)) {
			t.Errorf("listing %s: %d bytes, want %d", key, n, len(key))
		}
		if d := start.Sub(modified); d < -time.Minute || d > time.Hour {
			t.Errorf("listing %s: modified %s", key, modified)
		}
		out = append(out, key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func storeList(t *testing.T, s window.Store) {
	if got := keys(t, s, ""); len(got) != 0 {
		t.Fatalf("an empty store lists %q", got)
	}
	all := []string{"a-b", "a.b/x", "a/b", "a/b-c/d", "a/b/c", "a/ü", "ab", "b/c/d"}
	all = slices.DeleteFunc(all, func(k string) bool { return k == "a/b" }) // a key is not also a folder
	for _, k := range slices.Backward(all) {
		put(t, s, k, []byte(k))
	}
	slices.Sort(all)
	for prefix, want := range map[string][]string{
		"": all, "a/": {"a/b-c/d", "a/b/c", "a/ü"}, "a/b": {"a/b-c/d", "a/b/c"}, "b/c/d": {"b/c/d"}, "b/c/d/": nil, "zz": nil, "zz/y/x": nil,
	} {
		if got := keys(t, s, prefix); !slices.Equal(got, want) {
			t.Errorf("listing %q: got %q, want %q", prefix, got, want)
		}
	}
}

func storeListStops(t *testing.T, s window.Store) {
	put(t, s, "x/1", nil)
	put(t, s, "x/2", nil)
	n, enough := 0, errors.New("enough")
	err := s.List(t.Context(), "x/", func(string, int64, time.Time) error { n++; return enough })
	if n != 1 || !errors.Is(err, enough) {
		t.Errorf("listing went on to %d keys after an error and returned %v", n, err)
	}
}

func storeCancelled(t *testing.T, s window.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, "k", localFile(t, noise(1<<20))); !errors.Is(err, context.Canceled) {
		t.Errorf("put: got %v, want context.Canceled", err)
	}
	if got := keys(t, s, ""); len(got) != 0 {
		t.Errorf("a cancelled put left %q", got)
	}
}
