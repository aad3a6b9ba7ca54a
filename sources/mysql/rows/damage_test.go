package rows

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"
)

// damage flips, cuts, doubles and moves bytes.
func damage(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for range 1 + r.IntN(4) {
		if len(b) == 0 {
			return b
		}
		at := r.IntN(len(b))
		switch r.IntN(6) {
		case 0:
			b[at] ^= 1 << r.IntN(8)
		case 1:
			b[at] = byte(r.Uint32())
		case 2:
			b[at] = []byte{0, 0xff, 0x80, 0x7f, 0xfb, 0xfe}[r.IntN(6)]
		case 3:
			b = b[:at]
		case 4:
			b = append(b[:at:at], b[min(len(b), at+1+r.IntN(8)):]...)
		case 5:
			b = append(b[:at:at], append(bytes.Clone(b[at:min(len(b), at+r.IntN(40))]), b[at:]...)...)
		}
	}
	return b
}

// typed reports whether an error is one of the package's.
func typed(err error) bool {
	var a *UnsupportedError
	var b *MetadataError
	var c *ImageError
	var d *ValueError
	var e *MalformedError
	return errors.As(err, &a) || errors.As(err, &b) || errors.As(err, &c) || errors.As(err, &d) || errors.As(err, &e)
}

// TestDamagedRows decodes many damaged events of every type (invariants 4 and 6): the fuzzer's work, in small and always.
func TestDamagedRows(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	good, bad := 0, 0
	for _, flavor := range flavors {
		f := loadFixture(t, flavor, "types")
		events := f.events(t)
		p := planFixture(t, f, events[0])
		to := newTarget(p.Schema(), 2)
		for i := range 10000 {
			e := events[r.IntN(len(events))]
			n, err := p.Rows(e.Kind, damage(r, e.Body), to)
			switch {
			case err == nil:
				good++
			case !typed(err):
				t.Fatalf("after %d rows: untyped error %v", n, err)
			default:
				bad++
			}
			if i%200 == 0 {
				for _, b := range to.builders {
					checkWhole(t, b)
					b.Reset()
				}
				to.touched = nil
			}
		}
	}
	t.Logf("%d damaged events decoded, %d refused", good, bad)
	if good == 0 || bad == 0 {
		t.Error("the damage is too small or too great to test anything")
	}
}

// TestDamagedTableMaps plans with damaged table maps and decodes sound events with what comes of them.
func TestDamagedTableMaps(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	plans := 0
	for _, flavor := range flavors {
		f := loadFixture(t, flavor, "types")
		events := f.events(t)
		seed := f.raw[0][replication.EventHeaderSize : len(f.raw[0])-f.sums]
		for range 5000 {
			tm, ok := f.tableMap(damage(r, seed))
			if !ok {
				continue
			}
			p, err := NewPlan(tm, nil)
			if err != nil {
				if !typed(err) {
					t.Fatalf("untyped error %v", err)
				}
				continue
			}
			plans++
			to := newTarget(p.Schema(), 2)
			e := events[r.IntN(len(events))]
			if _, err := p.Rows(e.Kind, e.Body, to); err != nil && !typed(err) {
				t.Fatalf("untyped error %v", err)
			}
			if plans%50 == 0 {
				checkWhole(t, to.builders[0])
			}
		}
	}
	if t.Logf("%d plans", plans); plans == 0 {
		t.Error("no damaged table map could be planned with")
	}
}
