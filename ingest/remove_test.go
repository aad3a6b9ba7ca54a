package ingest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// What is left after Remove must be what a builder holds that never saw the removed rows, appends after it included.
func TestRemoveLeavesTheOtherRows(t *testing.T) {
	s := &Schema{Columns: []Column{
		{Name: "i", Type: Type{Kind: Int64}}, {Name: "d", Type: Type{Kind: Decimal, Precision: 20}}, {Name: "s", Type: Type{Kind: Int16}},
		{Name: "b", Type: Type{Kind: Bool}}, {Name: "t", Type: Type{Kind: Text}}, {Name: "n", Type: Type{Kind: Bytes}},
	}, Key: []string{"i"}}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		total := r.IntN(70)
		type row struct {
			i        int64
			flag     bool
			text     string
			nullText bool
			nullFlag bool
		}
		all := make([]row, total+20)
		for i := range all {
			all[i] = row{r.Int64(), r.IntN(2) == 0, fmt.Sprint(r.Int64N(1e6)), r.IntN(3) == 0, seed%3 == 0 && r.IntN(4) == 0}
		}
		add := func(b *Builder, x row) {
			b.Cols[0].Int64(x.i)
			b.Cols[1].Decimal(-1, uint64(x.i))
			b.Cols[2].Int16(int16(x.i))
			if x.nullFlag {
				b.Cols[3].Null()
			} else {
				b.Cols[3].Bool(x.flag)
			}
			b.Cols[4].Bytes([]byte(x.text))
			if x.nullText {
				b.Cols[5].Null()
			} else {
				b.Cols[5].Bytes([]byte(x.text))
			}
			b.End(Upsert)
		}
		got, want := NewBuilder(s), NewBuilder(s)
		var removed []int
		for i := range total {
			add(got, all[i])
			if r.IntN(3) == 0 {
				removed = append(removed, i)
			} else {
				add(want, all[i])
			}
		}
		got.Remove(removed)
		for _, x := range all[total:] { // appends go on as if nothing had happened
			add(got, x)
			add(want, x)
		}
		g, w := got.Record(), want.Record()
		if g.NumRows() != w.NumRows() {
			t.Fatalf("seed %d: %d rows, want %d", seed, g.NumRows(), w.NumRows())
		}
		for i := range g.Columns() {
			if a, b := fmt.Sprint(g.Column(i)), fmt.Sprint(w.Column(i)); a != b || g.Column(i).NullN() != w.Column(i).NullN() {
				t.Fatalf("seed %d column %d: got %s (%d NULLs), want %s (%d)", seed, i, a, g.Column(i).NullN(), b, w.Column(i).NullN())
			}
		}
		if !slices.Equal(got.ops, want.ops) {
			t.Fatalf("seed %d: ops differ", seed)
		}
	}
}
