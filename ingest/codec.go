package ingest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
)

// Layout of a record's value, all numbers big endian, times in microseconds since 1970 (noTime for the zero time):
//
//	 0  magic "TML"      14  epoch         54  ordinal
//	 3  version          22  window        62  fingerprint
//	 4  CRC32C of 8..end 30  window end    70  commit
//	 8  kind             38  seq           78  position length
//	 9  flags            46  rows          82  position, then the payload
//	10  slice
const (
	recordVersion = 1
	fixedHeader   = 82
	noTime        = math.MinInt64
	knownFlags    = FlagLoad | FlagFinal | FlagClaim | FlagInside
)

var (
	recordMagic = [4]byte{'T', 'M', 'L', recordVersion}
	castagnoli  = crc32.MakeTable(crc32.Castagnoli)
)

// ErrMalformed is wrapped by every error about a record or payload that this package cannot have written.
var ErrMalformed = errors.New("malformed log record")

// AppendRecord appends the wire form of a record to dst and returns the extended slice.
func AppendRecord(dst []byte, h *Header, payload []byte) []byte {
	start := len(dst)
	dst = append(dst, recordMagic[:]...)
	dst = append(dst, 0, 0, 0, 0, byte(h.Kind), h.Flags)
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.Slice))
	for _, v := range [...]int64{h.Epoch, micros(h.Window), micros(h.WindowEnd), h.Seq, h.Rows, h.Ordinal, int64(h.Fingerprint), micros(h.Commit)} {
		dst = binary.BigEndian.AppendUint64(dst, uint64(v))
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(h.Position)))
	dst = append(dst, h.Position...)
	dst = append(dst, payload...)
	binary.BigEndian.PutUint32(dst[start+4:], crc32.Checksum(dst[start+8:], castagnoli))
	return dst
}

// ParseRecord reads a record's value. The payload shares value's memory. Any input that AppendRecord cannot have made
// gives an error that wraps ErrMalformed; no input panics.
func ParseRecord(value []byte) (Header, []byte, error) {
	switch {
	case len(value) < fixedHeader:
		return Header{}, nil, fmt.Errorf("%w: %d bytes, a header has %d", ErrMalformed, len(value), fixedHeader)
	case string(value[:3]) != string(recordMagic[:3]):
		return Header{}, nil, fmt.Errorf("%w: not a tidemill record", ErrMalformed)
	case value[3] != recordVersion:
		return Header{}, nil, fmt.Errorf("%w: version %d, this program reads version %d; run the program that wrote it", ErrMalformed, value[3], recordVersion)
	case crc32.Checksum(value[8:], castagnoli) != binary.BigEndian.Uint32(value[4:]):
		return Header{}, nil, fmt.Errorf("%w: checksum differs", ErrMalformed)
	}
	num := func(at int) int64 { return int64(binary.BigEndian.Uint64(value[at:])) }
	h := Header{
		Kind: RecordKind(value[8]), Flags: value[9], Slice: int32(binary.BigEndian.Uint32(value[10:])),
		Epoch: num(14), Window: fromMicros(num(22)), WindowEnd: fromMicros(num(30)), Seq: num(38), Rows: num(46),
		Ordinal: num(54), Fingerprint: uint64(num(62)), Commit: fromMicros(num(70)),
	}
	rest := value[fixedHeader:]
	n := uint64(binary.BigEndian.Uint32(value[78:]))
	switch {
	case n > uint64(len(rest)):
		return Header{}, nil, fmt.Errorf("%w: position of %d bytes, %d left", ErrMalformed, n, len(rest))
	case h.Kind < BatchRecord || h.Kind > EpochRecord:
		return Header{}, nil, fmt.Errorf("%w: kind %d", ErrMalformed, h.Kind)
	case h.Flags&^knownFlags != 0:
		return Header{}, nil, fmt.Errorf("%w: flags %#x", ErrMalformed, h.Flags)
	case h.Slice < 0 || h.Seq < 0 || h.Rows < 0 || h.Ordinal < 0:
		return Header{}, nil, fmt.Errorf("%w: negative count", ErrMalformed)
	}
	h.Position = Position(rest[:n])
	return h, rest[n:], nil
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return noTime
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == noTime {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// EncodeBatch appends rec as one Arrow IPC stream to dst and returns the extended slice.
func EncodeBatch(dst []byte, rec arrow.RecordBatch) ([]byte, error) {
	out := appendWriter{dst}
	w := ipc.NewWriter(&out, ipc.WithSchema(rec.Schema()))
	if err := w.Write(rec); err != nil {
		return nil, fmt.Errorf("encoding batch: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encoding batch: %w", err)
	}
	return out.b, nil
}

type appendWriter struct{ b []byte }

func (w *appendWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

// DecodeBatch reads back what EncodeBatch wrote: exactly one record batch. The batch does not share payload's memory. The
// Arrow reader trusts the lengths that it finds, so give it only what a checksum vouches for: a payload that ParseRecord
// returned, or an object with the hash of its Claim.
func DecodeBatch(payload []byte) (rec arrow.RecordBatch, err error) {
	defer func() {
		if p := recover(); p != nil {
			rec, err = nil, fmt.Errorf("%w: decoding batch: the Arrow stream contradicts itself", ErrMalformed)
		}
	}()
	r, err := ipc.NewReader(bytes.NewReader(payload))
	if err != nil {
		return nil, fmt.Errorf("%w: decoding batch: %w", ErrMalformed, err)
	}
	defer r.Release()
	rec, err = r.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: decoding batch: %w", ErrMalformed, err)
	}
	rec.Retain() // the reader releases its own reference at the next Read
	if _, err := r.Read(); !errors.Is(err, io.EOF) {
		rec.Release()
		return nil, fmt.Errorf("%w: decoding batch: more than one record batch in the stream", ErrMalformed)
	}
	return rec, nil
}

// ParseSeal reads the payload of a seal record.
func ParseSeal(payload []byte) (Seal, error) {
	var s Seal
	if err := json.Unmarshal(payload, &s); err != nil {
		return Seal{}, fmt.Errorf("%w: reading seal: %w", ErrMalformed, err)
	}
	return s, nil
}

// ParseClaim reads the payload of a batch record with FlagClaim.
func ParseClaim(payload []byte) (Claim, error) {
	var c Claim
	if err := json.Unmarshal(payload, &c); err != nil {
		return Claim{}, fmt.Errorf("%w: reading claim check: %w", ErrMalformed, err)
	}
	return c, nil
}
