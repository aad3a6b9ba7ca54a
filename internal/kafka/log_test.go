package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestEnsureTopicsIsRepeatableAndRefusesAnotherPartitionCount(t *testing.T) {
	cfg := broker(t, EmbeddedOptions{}).Config()
	cfg.Prefix = "p."
	cl := client(t, cfg)
	for range 2 {
		if err := EnsureTopics(limit(t), cl, Topic{Name: "a", Partitions: 3}, Topic{Name: "b", Partitions: 1, Compacted: true}); err != nil {
			t.Fatal(err)
		}
	}
	err := EnsureTopics(limit(t), cl, Topic{Name: "a", Partitions: 4})
	if err == nil || !strings.Contains(err.Error(), "p.a has 3 partitions") {
		t.Errorf("another partition count: %v", err)
	}
	got, err := Topics(limit(t), cl, "a")
	if err != nil || len(got) != 1 || got[0] != "a" {
		t.Errorf("Topics = %v %v", got, err)
	}
	bounds, err := Offsets(limit(t), cl, "a", "b")
	if err != nil || len(bounds["a"]) != 3 || len(bounds["b"]) != 1 {
		t.Errorf("Offsets = %v %v", bounds, err)
	}
	if _, err := Offsets(limit(t), cl, "absent"); err == nil {
		t.Error("offsets of an absent topic were given")
	}
}

func TestReadRangesAndTrimmedOffsets(t *testing.T) {
	cfg := broker(t, EmbeddedOptions{}).Config()
	cl := client(t, cfg)
	if err := EnsureTopics(limit(t), cl, Topic{Name: "t", Partitions: 2}); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		produce(t, cl, "t", int32(i%2), nil, fmt.Appendf(nil, "v%d", i))
	}
	got := map[int][]string{}
	err := Read(limit(t), cfg, []Range{{"t", 0, 1, 4}, {"t", 1, 5, 5}}, func(i int, r *kgo.Record) error {
		got[i] = append(got[i], string(r.Value))
		return nil
	})
	if err != nil || fmt.Sprint(got) != "map[0:[v2 v4 v6]]" {
		t.Errorf("Read = %v %v", got, err)
	}
	boom := errors.New("boom")
	if err := ReadPartition(limit(t), cfg, "t", 1, 0, 5, func(*kgo.Record) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("the callback's error became %v", err)
	}
	if err := Trim(limit(t), cl, map[string][]int64{"t": {3, 0}}); err != nil {
		t.Fatal(err)
	}
	err = ReadPartition(limit(t), cfg, "t", 0, 1, 5, func(*kgo.Record) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "trimmed") {
		t.Errorf("reading trimmed records: %v", err)
	}
}

// Invariant 3: even a trim past the end leaves a record, so that offsets go on after a kill.
func TestTrimLeavesTheLastRecord(t *testing.T) {
	cl := client(t, broker(t, EmbeddedOptions{}).Config())
	if err := EnsureTopics(limit(t), cl, Topic{Name: "t", Partitions: 2}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		produce(t, cl, "t", 0, nil, []byte("v"))
	}
	for range 2 {
		if err := Trim(limit(t), cl, map[string][]int64{"t": {99, 99}}); err != nil {
			t.Fatal(err)
		}
	}
	bounds, err := Offsets(limit(t), cl, "t")
	if err != nil || bounds["t"][0] != (Bounds{2, 3}) || bounds["t"][1] != (Bounds{0, 0}) {
		t.Errorf("after trimming everything: %v %v", bounds, err)
	}
	if err := Trim(limit(t), cl, map[string][]int64{"t": {1, 1, 1}}); err == nil {
		t.Error("a partition that is not there was trimmed")
	}
}

func TestEmbeddedSurvivesARestartAndTrimFreesDisk(t *testing.T) {
	dir := t.TempDir()
	o := EmbeddedOptions{Dir: dir, SegmentBytes: 1 << 20}
	e, err := OpenEmbedded(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenEmbedded(o); err == nil || !strings.Contains(err.Error(), "another daemon") {
		t.Errorf("the folder was opened twice: %v", err)
	}
	cl, err := New(e.Config(), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	if err := EnsureTopics(limit(t), cl, Topic{Name: "t", Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	value := bytes.Repeat([]byte("0123456789abcdef"), 1<<14) // 256 KiB
	var last int64
	for i := range 64 {
		value[0] = byte(i)
		last = produce(t, cl, "t", 0, nil, value)
	}
	before := diskUsed(t, dir)
	if before < 16<<20 {
		t.Fatalf("only %d bytes of 16 MiB are on disk", before)
	}
	if err := Trim(limit(t), cl, map[string][]int64{"t": {last}}); err != nil {
		t.Fatal(err)
	}
	after := diskUsed(t, dir)
	if after > 2*int64(o.SegmentBytes)+1<<20 {
		t.Errorf("%d bytes on disk before the trim, %d after it", before, after)
	}
	t.Logf("disk: %d bytes before the trim, %d after", before, after)
	cl.Close()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = broker(t, o)
	bounds, err := Offsets(limit(t), client(t, e.Config()), "t")
	if err != nil || bounds["t"][0].End != last+1 {
		t.Errorf("after the restart: %v %v, want end %d", bounds, err, last+1)
	}
}

func diskUsed(t *testing.T, dir string) int64 {
	t.Helper()
	var n int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := os.Stat(path)
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSqueezeKeepsTheLastValueOfEachKey(t *testing.T) {
	cfg := broker(t, EmbeddedOptions{}).Config()
	cl := client(t, cfg)
	if err := EnsureTopics(limit(t), cl, Topic{Name: "t", Partitions: 1, Compacted: true}); err != nil {
		t.Fatal(err)
	}
	produce(t, cl, "t", 0, []byte("gone"), []byte("x"))
	produce(t, cl, "t", 0, []byte("gone"), nil)
	for i := range 20 {
		produce(t, cl, "t", 0, []byte{'k', byte('0' + i%3)}, fmt.Appendf(nil, "v%d", i))
	}
	if err := Squeeze(limit(t), cfg, "t"); err != nil {
		t.Fatal(err)
	}
	got, err := ReadAll(limit(t), cfg, "t")
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, r := range got {
		text = append(text, string(r.Key)+"="+string(r.Value))
	}
	if s := strings.Join(text, " "); s != "k2=v17 k0=v18 k1=v19" {
		t.Errorf("kept %s", s)
	}
	if got, err := ReadAll(limit(t), cfg, "absent"); err != nil || got != nil {
		t.Errorf("ReadAll of an absent topic = %v %v", got, err)
	}
}

func TestClaimsAreOrderedAndWatched(t *testing.T) {
	cfg := broker(t, EmbeddedOptions{}).Config()
	cl := client(t, cfg)
	if err := EnsureClaims(limit(t), cl, 1); err != nil {
		t.Fatal(err)
	}
	a, err := Claim(limit(t), cl, "source/a", "one")
	if err != nil || a != 1 {
		t.Fatalf("first claim: %d %v", a, err)
	}
	superseded := make(chan error, 1)
	go func() { superseded <- WatchClaim(limit(t), cfg, "source/a", a) }()
	b, err := Claim(limit(t), cl, "source/b", "one")
	if err != nil || b != 2 {
		t.Fatalf("second claim: %d %v", b, err)
	}
	again, err := Claim(limit(t), cl, "source/a", "two")
	if err != nil {
		t.Fatal(err)
	}
	if err := <-superseded; !errors.Is(err, ErrSuperseded) || !strings.Contains(err.Error(), "two with epoch 3") {
		t.Errorf("watch: %v", err)
	}
	latest, err := LatestClaims(limit(t), cfg)
	if err != nil || latest["source/a"].Epoch != again || latest["source/a"].Owner != "two" || latest["source/b"].Epoch != b {
		t.Errorf("latest claims: %v %v", latest, err)
	}
}

func TestUnknownMechanismIsRefused(t *testing.T) {
	_, err := New(Config{SASL: &SASL{Mechanism: "GSSAPI", Password: "canary-secret"}})
	if err == nil || !strings.Contains(err.Error(), "SCRAM-SHA-256") || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
}
