package cases

import (
	"slices"
	"testing"
	"time"
)

// A seed is a case; a case can be written down and read; its views can be evaluated at every moment, with keys that are keys.
func TestNew(t *testing.T) {
	modes, joins := map[Mode]int{}, map[int]int{}
	for seed := range uint64(300) {
		c := New(seed, Options{MySQL: seed%2 == 0})
		if again := New(seed, Options{MySQL: seed%2 == 0}); again.String() != c.String() {
			t.Fatalf("seed %d makes two cases", seed)
		}
		if back, err := Parse(c.String()); err != nil || back.String() != c.String() {
			t.Fatalf("seed %d: %v", seed, err)
		}
		now := c.Start()
		for i := range c.Groups {
			now = c.Groups[i].Apply(now)
		}
		for i := range c.Views {
			v := &c.Views[i]
			modes[v.Mode]++
			joins[len(v.Rels)]++
			if !v.valid() {
				t.Errorf("seed %d: view %d reads what it does not join", seed, i)
			}
			for _, at := range [][]*Content{c.Start(), now} {
				if _, err := v.Evaluate(c, at); err != nil {
					t.Errorf("seed %d, view %d: %v\n%s", seed, i, err, v.SQL(c))
				}
			}
		}
	}
	for _, m := range []Mode{Rows, Distinct, Groups, Ranks} {
		if modes[m] < 20 {
			t.Errorf("%d views are %s", modes[m], m)
		}
	}
	for n := 1; n <= 4; n++ {
		if joins[n] < 20 {
			t.Errorf("%d views join %d tables", joins[n], n)
		}
	}
}

// A failure that needs a delete of table 1 and a LEFT JOIN shrinks to nothing else.
func TestShrink(t *testing.T) {
	needs := func(c *Case) bool {
		return len(c.Tables) > 1 && slices.ContainsFunc(c.Groups, func(g Group) bool {
			return slices.ContainsFunc(g.Changes, func(ch Change) bool { return ch.Table == 1 && ch.Row == nil })
		}) && slices.ContainsFunc(c.Views, func(v View) bool {
			return slices.ContainsFunc(v.Rels, func(r Rel) bool { return r.Left })
		})
	}
	shrunk := 0
	for seed := range uint64(60) {
		c := New(seed, Options{})
		if !needs(c) {
			continue
		}
		shrunk++
		small, tries := Shrink(c, time.Minute, needs)
		if !needs(small) || len(small.Groups) != 1 || len(small.Groups[0].Changes) != 1 || len(small.Views) != 1 || len(small.Views[0].Rels) > 4 || small.Groups[0].Wait+small.Groups[0].Late > 0 {
			t.Errorf("seed %d, after %d tries:\n%s", seed, tries, small.Describe())
		}
		if back, err := Parse(small.String()); err != nil || back.valid() == nil {
			t.Errorf("seed %d: the smallest case is none: %v", seed, err)
		}
		for i := range small.Views {
			small.Views[i].SQL(small)
		}
	}
	if shrunk < 10 {
		t.Errorf("only %d cases needed shrinking", shrunk)
	}
}

// SQL's words, where an evaluator goes wrong: NULL is equal to nothing, NOT of unknown is unknown, a LEFT JOIN that finds nothing
// stays, places count from one.
func TestEvaluate(t *testing.T) {
	c := &Case{Tables: []Table{
		{Name: "t0", Key: 1, Columns: []Column{{"id0", Int64}, {"fk0", Int64}}, Rows: [][]int{{0, 1}, {1, -1}, {2, 3}}},
		{Name: "t1", Source: 1, Key: 1, Columns: []Column{{"id0", Int64}, {"p0", Int32}}, Rows: [][]int{{1, 2}, {2, -1}, {5, 0}}},
	}}
	on := []Eq{{Own: "id0", Other: Ref{0, "fk0"}}}
	zero := 1
	for name, x := range map[string]struct {
		v    View
		want []string // of sorted rows
	}{
		"left":  {View{Mode: Rows, Rels: []Rel{{}, {Table: 1, Left: true, On: on}}, Outs: []Out{{Op: "column", A: Ref{1, "p0"}}}}, []string{"0 1 2", "1 -7 NULL", "2 -7 NULL"}},
		"inner": {View{Mode: Rows, Rels: []Rel{{}, {Table: 1, On: on}}, Outs: []Out{{Op: "column", A: Ref{1, "p0"}}}}, []string{"0 1 2"}},
		"else":  {View{Mode: Rows, Rels: []Rel{{}, {Table: 1, On: []Eq{{Own: "id0", Other: Ref{0, "fk0"}, Else: &zero}}}}}, []string{"0 1", "1 1"}},
		"not unknown": {View{Mode: Rows, Rels: []Rel{{}}, Where: &Cond{Op: "not", Of: []*Cond{{Op: "=", A: Ref{0, "fk0"}, Lits: []int{1}}}}},
			[]string{"2"}},
		"groups": {View{Mode: Groups, Rels: []Rel{{}, {Table: 1, Left: true, On: []Eq{{Own: "p0", Other: Ref{0, "id0"}}}}}, Outs: []Out{{Op: "rows"}, {Op: "sum", A: Ref{1, "p0"}}, {Op: "count", A: Ref{1, "p0"}}}},
			[]string{"0 1 0 1", "1 1 NULL 0", "2 1 2 1"}},
	} {
		rows, err := x.v.Evaluate(c, c.Start())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, row := range rows {
			text := ""
			for _, v := range row {
				if text != "" {
					text += " "
				}
				if v.Null {
					v.Text = "NULL"
				}
				text += v.Text
			}
			got = append(got, text)
		}
		slices.Sort(got)
		if !slices.Equal(got, x.want) {
			t.Errorf("%s: %q, want %q", name, got, x.want)
		}
	}
}
