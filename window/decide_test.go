package window

import (
	"errors"
	"testing"
	"time"
)

func step(minutes, k int, final bool) Step {
	s := t0.Add(time.Duration(minutes) * time.Minute)
	return Step{Start: s, End: s.Add(minute15), Slice: k, Final: final}
}

// Rule 27, with the holes of the commit protocol (H numbers) that a row closes.
func TestRecoverFrom(t *testing.T) {
	w1, w2, w3 := step(0, 0, true), step(15, 0, true), step(30, 0, true)
	pending := func(prev, s Step, hash string) *Publication { return &Publication{Prev: prev, Step: s, Hash: hash} }
	fence := func(s Step, hash string) Fence { return Fence{Lineage: "l", Step: s, Manifest: hash} }
	elsewhere := Step{Start: w2.Start.In(time.FixedZone("wib", 7*3600)), End: w2.End, Final: true}
	for name, c := range map[string]struct {
		local *local
		fence Fence
		want  recovery
	}{
		"L=F":                                {&local{lineage: "l", step: w2}, fence(w2, "h2"), goOn},
		"L=F, both at the beginning":         {&local{lineage: "l"}, fence(Step{}, ""), goOn},
		"L=F in another time zone":           {&local{lineage: "l", step: elsewhere}, fence(w2, "h2"), goOn},
		"H13 L=F+1 with pending":             {&local{lineage: "l", step: w3, pending: pending(w2, w3, "h3")}, fence(w2, "h2"), publishOnce},
		"H13 first publish pending":          {&local{lineage: "l", step: w1, pending: pending(Step{}, w1, "h1")}, fence(Step{}, ""), publishOnce},
		"H14 pending is committed":           {&local{lineage: "l", step: w3, pending: pending(w2, w3, "h3")}, fence(w3, "h3"), settle},
		"H6 pending was published otherwise": {&local{lineage: "l", step: w3, pending: pending(w2, w3, "h3")}, fence(w3, "other"), restore},
		"L<F":                                {&local{lineage: "l", step: w1}, fence(w3, "h3"), catchUp},
		"L<F inside a window":                {&local{lineage: "l", step: step(15, 0, false)}, fence(step(15, 2, true), "h"), catchUp},
		"L at the beginning, F not":          {&local{lineage: "l"}, fence(w1, "h1"), catchUp},
		"pending, and the fence went past":   {&local{lineage: "l", step: w2, pending: pending(w1, w2, "h2")}, fence(w3, "h3"), restore},
		"H12 L>F without pending":            {&local{lineage: "l", step: w3}, fence(w2, "h2"), restore},
		"H12 L=F+2":                          {&local{lineage: "l", step: w3, pending: pending(w2, w3, "h3")}, fence(w1, "h1"), restore},
		"H12 warehouse set to the beginning": {&local{lineage: "l", step: w3}, fence(Step{}, ""), restore},
		"H12 another lineage":                {&local{lineage: "k", step: w2}, fence(w2, "h2"), restore},
		"H12 another lineage, pending":       {&local{lineage: "k", step: w2, pending: pending(w1, w2, "h2")}, fence(w1, "h1"), restore},
		"no state file":                      {nil, fence(w2, "h2"), restore},
		"no state file, nothing published":   {nil, fence(Step{}, ""), restore},
	} {
		if got := recoverFrom(c.local, c.fence); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// Rules 24 and 25: only the fence says what a publish without a reply has done.
func TestJudge(t *testing.T) {
	w1, w2, w3 := step(0, 0, true), step(15, 0, true), step(30, 0, true)
	p := &Publication{Prev: w1, Step: w2, Epoch: 5, Lineage: "l", Hash: "h2"}
	lost := errors.New("connection reset")
	fence := func(s Step, epoch int64, lineage, hash string) Fence {
		return Fence{Step: s, Epoch: epoch, Lineage: lineage, Manifest: hash}
	}
	before, after := fence(w1, 5, "l", "h1"), fence(w2, 5, "l", "h2")
	for name, c := range map[string]struct {
		publish error
		fence   Fence
		read    error
		want    outcome
	}{
		"success":                             {nil, Fence{}, nil, committed},
		"H14 commit succeeded, reply lost":    {lost, after, nil, committed},
		"H14 commit did not happen":           {lost, before, nil, again},
		"nothing is known yet":                {lost, Fence{}, errors.New("refused"), askAgain},
		"H6 fenced by another owner":          {ErrFenced, fence(w1, 6, "l", "h1"), nil, stepDown},
		"H6 another owner after a lost reply": {lost, fence(w1, 6, "l", "h1"), nil, stepDown},
		"H6 another owner published it":       {lost, fence(w2, 6, "l", "h2"), nil, stepDown},
		"H7 the fence went past":              {lost, fence(w3, 5, "l", "h3"), nil, stepDown},
		"H8 a retry of what is committed":     {ErrFenced, after, nil, committed},
		"the same step with other rows":       {lost, fence(w2, 5, "l", "other"), nil, stepDown},
		"H12 another lineage":                 {lost, fence(w1, 5, "k", "h1"), nil, stepDown},
		"H12 the fence row is gone":           {lost, Fence{}, ErrNoFence, stepDown},
		"H12 the warehouse was set back":      {lost, fence(Step{}, 5, "l", ""), nil, stepDown},
		"an older owner's epoch came back":    {lost, fence(w1, 4, "l", "h1"), nil, stepDown},
		"fenced, and yet the fence is ours":   {ErrFenced, before, nil, stepDown},
		"refused":                             {&RefusedError{What: "no space"}, before, nil, refused},
	} {
		if got := judge(p, c.publish, c.fence, c.read); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestManifestHash(t *testing.T) {
	fresh := func() *Manifest {
		return &Manifest{Pipeline: "p", Step: step(0, 0, true), Attempt: "a1", Tables: []TableLoad{
			{Table: WarehouseTable{"s", "a"}, Key: []string{"id"}, Upserts: 3, Parts: []Part{{Key: "p/s.a/a1/part-0", SHA256: "x"}, {Key: "p/s.a/a1/part-1", SHA256: "y"}}},
			{Table: WarehouseTable{"s", "b"}, Key: []string{"id"}},
		}}
	}
	want := fresh().Hash()
	for name, c := range map[string]struct {
		same   bool
		change func(*Manifest)
	}{
		"another attempt":   {true, func(m *Manifest) { m.Attempt, m.Tables[0].Parts[0].Key = "a2", "p/s.a/a2/part-0" }},
		"tables reordered":  {true, func(m *Manifest) { m.Tables[0], m.Tables[1] = m.Tables[1], m.Tables[0] }},
		"another time zone": {true, func(m *Manifest) { m.Step.Start = m.Step.Start.In(time.FixedZone("wib", 7*3600)) }},
		"other rows":        {false, func(m *Manifest) { m.Tables[0].Parts[1].SHA256 = "z" }},
		"other order of keys": {false, func(m *Manifest) {
			m.Tables[0].Parts[0].SHA256, m.Tables[0].Parts[1].SHA256 = "y", "x"
		}},
		"a part less":    {false, func(m *Manifest) { m.Tables[0].Parts = m.Tables[0].Parts[:1] }},
		"another step":   {false, func(m *Manifest) { m.Step.Slice = 1 }},
		"a base":         {false, func(m *Manifest) { m.Tables[1].Replace = true }},
		"another column": {false, func(m *Manifest) { m.Tables[1].Key = []string{"id", "at"} }},
	} {
		m := fresh()
		c.change(m)
		if (m.Hash() == want) != c.same {
			t.Errorf("%s: same hash is %v, want %v", name, m.Hash() == want, c.same)
		}
	}
}
