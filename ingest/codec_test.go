package ingest

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"testing/quick"
	"time"

	"github.com/apache/arrow-go/v18/arrow/ipc"
)

func sampleHeader() Header {
	start := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	return Header{
		Kind: BatchRecord, Flags: FlagLoad | FlagClaim, Epoch: 42, Window: start, WindowEnd: start.Add(15 * time.Minute), Slice: 3,
		Seq: 1, Rows: 7, Ordinal: 99, Fingerprint: math.MaxUint64, Commit: start.Add(1234567 * time.Microsecond), Position: "0-1-4711+250",
	}
}

func TestRecordRoundTrip(t *testing.T) {
	for name, c := range map[string]struct {
		h       Header
		payload []byte
	}{
		"batch":        {sampleHeader(), []byte("payload")},
		"epoch":        {Header{Kind: EpochRecord, Epoch: 1}, nil},
		"no position":  {Header{Kind: SealRecord, Flags: FlagFinal, Window: time.Unix(0, 0).UTC()}, []byte("{}")},
		"before epoch": {Header{Kind: BatchRecord, Commit: time.Unix(-5, 1000).UTC()}, nil},
	} {
		prefix := []byte("prefix")
		b := AppendRecord(bytes.Clone(prefix), &c.h, c.payload)
		if !bytes.HasPrefix(b, prefix) {
			t.Fatalf("%s: AppendRecord overwrote dst", name)
		}
		h, payload, err := ParseRecord(b[len(prefix):])
		if err != nil || h != c.h || !bytes.Equal(payload, c.payload) {
			t.Errorf("%s: got %+v %q %v", name, h, payload, err)
		}
	}
}

func TestRecordRoundTripOfAnyHeader(t *testing.T) {
	trip := func(kind, flags uint8, epoch, w, seq, rows, ord int64, slice int32, fp uint64, pos string, payload []byte) bool {
		h := Header{Kind: RecordKind(kind%3 + 1), Flags: flags & knownFlags, Epoch: epoch, Window: fromMicros(w), WindowEnd: fromMicros(w / 2), Commit: fromMicros(w / 3),
			Slice: slice & math.MaxInt32, Seq: seq & math.MaxInt64, Rows: rows & math.MaxInt64, Ordinal: ord & math.MaxInt64, Fingerprint: fp, Position: Position(pos)}
		h.Window, h.WindowEnd, h.Commit = fromMicros(micros(h.Window)), fromMicros(micros(h.WindowEnd)), fromMicros(micros(h.Commit))
		got, p, err := ParseRecord(AppendRecord(nil, &h, payload))
		return err == nil && got == h && bytes.Equal(p, payload)
	}
	if err := quick.Check(trip, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
}

// Every single-bit error and every truncation of a record is refused.
func TestDamagedRecordsAreRefused(t *testing.T) {
	h := sampleHeader()
	good := AppendRecord(nil, &h, []byte("the payload"))
	for i := range good {
		if _, _, err := ParseRecord(good[:i]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("truncated to %d bytes: %v", i, err)
		}
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if _, _, err := ParseRecord(bad); !errors.Is(err, ErrMalformed) {
				t.Fatalf("byte %d bit %d flipped: %v", i, bit, err)
			}
		}
	}
	for name, bad := range map[string]Header{
		"kind 0": {}, "kind 4": {Kind: 4}, "flags": {Kind: BatchRecord, Flags: 0x80}, "rows": {Kind: BatchRecord, Rows: -1}, "slice": {Kind: SealRecord, Slice: -1},
	} {
		if _, _, err := ParseRecord(AppendRecord(nil, &bad, nil)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	h := sampleHeader()
	f.Add(AppendRecord(nil, &h, []byte("x")))
	f.Add([]byte("TML\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, payload, err := ParseRecord(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if again := AppendRecord(nil, &h, payload); !bytes.Equal(again, b) {
			t.Fatalf("accepted %x, which is written as %x", b, again)
		}
	})
}

func TestDecodeBatchRefusesWhatIsNotOneBatch(t *testing.T) {
	b := NewBuilder(&Schema{Columns: []Column{{Name: "id", Type: Type{Kind: Int64}}, {Name: "t", Type: Type{Kind: Text}}}, Key: []string{"id"}})
	b.Cols[0].Int64(1)
	b.Cols[1].Bytes([]byte("text"))
	b.End(Upsert)
	good, err := EncodeBatch(nil, b.Record())
	if err != nil {
		t.Fatal(err)
	}
	const end = 8 // the marker that ends the stream: nothing is lost without it
	for n := range len(good) - end {
		if rec, err := DecodeBatch(good[:n]); !errors.Is(err, ErrMalformed) {
			t.Fatalf("the first %d of %d bytes: %v %v", n, len(good), rec, err)
		}
	}
	var two appendWriter
	w := ipc.NewWriter(&two, ipc.WithSchema(b.Schema().Arrow()))
	for range 2 {
		if err := w.Write(b.Record()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeBatch(two.b); !errors.Is(err, ErrMalformed) {
		t.Errorf("two batches: %v", err)
	}
}
