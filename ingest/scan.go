package ingest

import (
	"fmt"
	"slices"
	"time"

	"github.com/tidemill/tidemill/internal/grid"
)

// partScan follows one partition from a checkpoint's mark to the new owner's own marker, by the readers' rules: repeats
// are dropped, records of a lower epoch after a higher marker are void, a gap is an integrity error. It is pure.
type partScan struct {
	mark  PartMark
	open  sliceName // slice that the next row is in; zero when nothing is known
	rows  int64     // stream rows found
	ends  []batchEnd
	seals []foundSeal
	found bool  // there are rows behind the mark, of whatever kind
	void  int64 // records of superseded owners
	again int64 // repeated records
}

// sliceName names a slice: its window's start and its number.
type sliceName struct {
	start time.Time
	slice int32
}

func (a sliceName) compare(b sliceName) int {
	if c := a.start.Compare(b.start); c != 0 {
		return c
	}
	return int(a.slice) - int(b.slice)
}

// batchEnd is the end of a durable batch that closed a group.
type batchEnd struct {
	rows     int64 // stream rows since the checkpoint, up to and with the batch
	position Position
}

// foundSeal is a seal as it lies in one partition.
type foundSeal struct {
	header Header
	seal   Seal
	rows   int64 // stream rows since the checkpoint before the seal
}

// take reads the record at offset. done says that it was the marker of the epoch own.
func (s *partScan) take(offset int64, value []byte, own int64) (done bool, err error) {
	h, payload, err := ParseRecord(value)
	if err != nil {
		return false, fmt.Errorf("offset %d: %w", offset, err)
	}
	s.mark.Offset = offset + 1
	switch {
	case h.Epoch > own:
		return false, fmt.Errorf("%w: epoch %d is in the log, own epoch is %d", ErrSuperseded, h.Epoch, own)
	case h.Epoch < s.mark.Epoch:
		s.void++
		return false, nil
	}
	s.mark.Epoch = h.Epoch
	switch h.Kind {
	case EpochRecord:
		return h.Epoch == own, nil
	case SealRecord:
		return false, s.sealed(offset, &h, payload)
	}
	return false, s.batch(offset, &h)
}

func (s *partScan) batch(offset int64, h *Header) error {
	last := h.Seq + h.Rows - 1
	switch {
	case h.Seq < 1 || h.Rows < 1:
		return integrity("offset %d: a batch of %d rows from seq %d", offset, h.Rows, h.Seq)
	case last <= s.mark.Seq:
		s.again++
		return nil
	case h.Seq != s.mark.Seq+1:
		return integrity("offset %d: seq jumps from %d to %d", offset, s.mark.Seq, h.Seq)
	}
	s.mark.Seq, s.found = last, true
	s.mark.Rows += h.Rows
	if h.Flags&FlagLoad != 0 {
		return nil // load rows are extra rows: nothing generates them again, so nothing must skip them
	}
	s.rows += h.Rows
	if h.Flags&FlagInside == 0 {
		s.ends = append(s.ends, batchEnd{s.rows, h.Position})
	}
	return nil
}

func (s *partScan) sealed(offset int64, h *Header, payload []byte) error {
	name := sliceName{h.Window, h.Slice}
	if !s.open.start.IsZero() {
		switch c := name.compare(s.open); {
		case c < 0:
			s.again++
			return nil
		case c > 0:
			return integrity("offset %d: seal of %s.%d where %s.%d is open", offset, h.Window.Format(time.RFC3339), h.Slice, s.open.start.Format(time.RFC3339), s.open.slice)
		}
	}
	if h.Rows != s.mark.Rows || h.Seq != s.mark.Seq {
		return integrity("offset %d: the seal counts %d rows up to seq %d, the partition has %d up to seq %d", offset, h.Rows, h.Seq, s.mark.Rows, s.mark.Seq)
	}
	seal, err := ParseSeal(payload)
	if err != nil {
		return fmt.Errorf("offset %d: %w", offset, err)
	}
	s.seals = append(s.seals, foundSeal{*h, seal, s.rows})
	s.mark.Rows = 0
	s.open = sliceName{h.Window, h.Slice + 1}
	if h.Flags&FlagFinal != 0 {
		s.open = sliceName{h.WindowEnd, 0}
	}
	return nil
}

// durableSeal is a seal that lies in at least one partition behind the checkpoint. A replay applies it again at its ordinal.
type durableSeal struct {
	window   grid.Window
	slice    int32
	final    bool
	ordinal  int64
	position Position
	seal     Seal            // of any topic: what is said of the whole source
	topics   map[string]Seal // what the partitions of a topic say
	has      map[*part]int64 // partitions that have it: stream rows since the checkpoint before it
}

// gather orders the seals that the partitions have and checks that they agree.
func gather(parts []*part, scans []*partScan) ([]durableSeal, error) {
	byName := map[sliceName]*durableSeal{}
	for i, s := range scans {
		for _, f := range s.seals {
			h := &f.header
			name := sliceName{h.Window, h.Slice}
			d := byName[name]
			if d == nil {
				d = &durableSeal{grid.Window{Start: h.Window, End: h.WindowEnd}, h.Slice, h.Flags&FlagFinal != 0, h.Ordinal, h.Position, f.seal, map[string]Seal{}, map[*part]int64{}}
				byName[name] = d
			}
			if d.ordinal != h.Ordinal || d.position != h.Position || d.final != (h.Flags&FlagFinal != 0) || d.seal.Registry != f.seal.Registry {
				return nil, integrity("the seals of %s.%d in topic %s and elsewhere contradict each other", h.Window.Format(time.RFC3339), h.Slice, parts[i].topic)
			}
			d.topics[parts[i].topic] = f.seal
			d.has[parts[i]] = f.rows
		}
	}
	out := make([]durableSeal, 0, len(byName))
	for _, d := range byName {
		out = append(out, *d)
	}
	slices.SortFunc(out, func(a, b durableSeal) int {
		return sliceName{a.window.Start, a.slice}.compare(sliceName{b.window.Start, b.slice})
	})
	return out, nil
}
