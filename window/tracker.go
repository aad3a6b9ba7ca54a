package window

import (
	"errors"
	"fmt"
	"time"

	"github.com/tidemill/tidemill/ingest"
)

// ErrIntegrity is wrapped by every error about a log that contradicts itself (E_INTEGRITY). The pipeline halts: nothing
// is ever skipped (invariant 2).
var ErrIntegrity = errors.New("E_INTEGRITY")

type integrityError struct{ what string }

func integrity(format string, args ...any) error {
	return &integrityError{fmt.Sprintf(format, args...)}
}

func (e *integrityError) Error() string { return ErrIntegrity.Error() + ": " + e.what }

func (e *integrityError) Is(target error) bool { return target == ErrIntegrity }

// Retryable tells whoever restarts pipelines that the log will be the same next time.
func (e *integrityError) Retryable() bool { return false }

// sliceID names a slice of a source. A window's end is part of it: windows of one length only follow each other.
type sliceID struct {
	start, end time.Time
	k          int
}

func (a sliceID) compare(b sliceID) int {
	if c := a.start.Compare(b.start); c != 0 {
		return c
	}
	return a.k - b.k
}

func (a sliceID) String() string {
	return fmt.Sprintf("%s.%d", a.start.UTC().Format(time.RFC3339), a.k)
}

// follows reports whether b is the slice after a, where final says that a was the last of its window.
func (a sliceID) follows(final bool, b sliceID) bool {
	if final {
		return b.start.Equal(a.end) && b.k == 0
	}
	return b.start.Equal(a.start) && b.end.Equal(a.end) && b.k == a.k+1
}

// newSliceID makes comparable times: UTC, no monotonic part, microseconds.
func newSliceID(start, end time.Time, k int) sliceID {
	return sliceID{time.UnixMicro(start.UnixMicro()).UTC(), time.UnixMicro(end.UnixMicro()).UTC(), k}
}

func headerSlice(h *ingest.Header) sliceID { return newSliceID(h.Window, h.WindowEnd, int(h.Slice)) }

// verdict is what the tracker says about a record.
type verdict int

const (
	accepted  verdict = iota
	duplicate         // seen before: dropped, counted
	void              // of an owner that had been replaced when it wrote: dropped, counted
)

// tracker follows one partition record by record. It is pure: what it decides depends on the records alone.
type tracker struct {
	at     PartCut
	open   *sliceID // slice of the rows since the last seal, nil when there are none
	rows   int64    // rows since the last seal
	sealed *sliceID // last sealed slice, nil when none is known
	final  bool
	mark   *sealMark // of the last seal, nil when it was read by an earlier run
}

// sealMark is what a repeated seal must repeat.
type sealMark struct {
	seq, rows int64
}

// take judges the record at offset. For an accepted batch, skip is the number of its first rows that are repeats. An error
// wraps ErrIntegrity.
func (t *tracker) take(offset int64, h *ingest.Header) (v verdict, skip int64, err error) {
	if offset < t.at.Offset {
		return 0, 0, integrity("offset %d was read after offset %d", offset, t.at.Offset-1)
	}
	t.at.Offset = offset + 1
	if h.Epoch < t.at.Epoch {
		return void, 0, nil // invariant 3
	}
	// A batch of a higher epoch is as good as its marker: its owner wrote the marker elsewhere first.
	raised := h.Epoch > t.at.Epoch
	t.at.Epoch = h.Epoch
	switch h.Kind {
	case ingest.BatchRecord:
		return t.batch(h)
	case ingest.SealRecord:
		return t.seal(h)
	case ingest.EpochRecord:
		if !raised {
			return duplicate, 0, nil
		}
		return accepted, 0, nil
	}
	return 0, 0, integrity("record kind %d is unknown", h.Kind)
}

func (t *tracker) batch(h *ingest.Header) (verdict, int64, error) {
	if h.Rows < 1 || h.Seq < 1 {
		return 0, 0, integrity("a batch of %d rows from seq %d", h.Rows, h.Seq)
	}
	last := h.Seq + h.Rows - 1
	switch {
	case last <= t.at.Seq:
		return duplicate, 0, nil
	case h.Seq > t.at.Seq+1:
		return 0, 0, integrity("rows %d to %d are missing: seq jumps from %d to %d", t.at.Seq+1, h.Seq-1, t.at.Seq, h.Seq)
	}
	if err := t.enter(headerSlice(h)); err != nil {
		return 0, 0, err
	}
	skip := t.at.Seq + 1 - h.Seq
	t.at.Seq = last
	t.rows += h.Rows - skip
	return accepted, skip, nil
}

// enter checks that s is the slice that is open in this partition.
func (t *tracker) enter(s sliceID) error {
	if !s.start.Before(s.end) || s.k < 0 {
		return integrity("slice %s ends at %s", s, s.end.UTC().Format(time.RFC3339))
	}
	if t.open != nil {
		if s != *t.open {
			return integrity("slice %s begins before %s is sealed", s, *t.open)
		}
		return nil
	}
	// That no slice is missing is checked over all partitions together: a topic may leave the registry and come back.
	if t.sealed != nil && (s.compare(*t.sealed) <= 0 || t.final && s.start.Before(t.sealed.end)) {
		return integrity("slice %s comes after %s was sealed", s, *t.sealed)
	}
	t.open = &s
	return nil
}

func (t *tracker) seal(h *ingest.Header) (verdict, int64, error) {
	s, final := headerSlice(h), h.Flags&ingest.FlagFinal != 0
	mark := sealMark{h.Seq, h.Rows}
	if t.sealed != nil && s.compare(*t.sealed) <= 0 && h.Seq <= t.at.Seq {
		// An embedded broker that is killed may append a whole produce request again: rows, seals and all.
		if s == *t.sealed && (final != t.final || t.mark != nil && mark != *t.mark) {
			return 0, 0, integrity("slice %s is sealed twice: with %d rows and %d, final %v and %v", s, h.Rows, t.mark.rows, final, t.final)
		}
		return duplicate, 0, nil
	}
	if err := t.enter(s); err != nil {
		return 0, 0, err
	}
	if h.Seq != t.at.Seq || h.Rows != t.rows {
		return 0, 0, integrity("the seal of %s counts %d rows up to seq %d, read were %d rows up to seq %d", s, h.Rows, h.Seq, t.rows, t.at.Seq)
	}
	t.sealed, t.final, t.mark, t.open, t.rows = &s, final, &mark, nil, 0
	return accepted, 0, nil
}
