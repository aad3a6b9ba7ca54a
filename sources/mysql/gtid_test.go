package mysql

import (
	"math/rand/v2"
	"slices"
	"testing"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/google/uuid"

	"github.com/tidemill/tidemill/ingest"
)

// randomGTID draws from few origins and a small range, so that spans grow, touch, merge and are added twice.
func randomGTID(r *rand.Rand) gtid {
	sid := uuid.UUID{15: byte(r.IntN(3))}
	tag := []string{"", "", "a", "b"}[r.IntN(4)]
	return gtid{sid: sid, tag: tag, seq: 1 + uint64(r.IntN(25))}
}

// Our set must be the one that go-mysql computes, in text and in what it contains, after every addition.
func TestMySQLSetAgainstGoMySQL(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		ours, theirs := &mysqlSet{hot: -1}, gomysql.NewMysqlGTIDSet()
		next := map[string]uint64{}
		for step := range 120 {
			g := randomGTID(r)
			if r.IntN(2) == 0 { // as a stream does: the next one of an origin
				k := g.sid.String() + g.tag
				next[k]++
				g.seq = 30 + next[k]
			}
			ours.add(g)
			if theirs[g.sid] == nil { // AddGTIDWithTag needs the inner map
				theirs[g.sid] = map[gomysql.Tag]gomysql.IntervalSlice{}
			}
			theirs.AddGTIDWithTag(g.sid, gomysql.NewTag(g.tag), int64(g.seq))
			if got, want := string(ours.appendText(nil)), theirs.String(); got != want {
				t.Fatalf("seed %d step %d: %s, want %s", seed, step, got, want)
			}
			back, err := parseMySQLSet(theirs.String())
			if err != nil || string(back.appendText(nil)) != theirs.String() {
				t.Fatalf("seed %d: parsed back %s, %v", seed, back.appendText(nil), err)
			}
			if probe := randomGTID(r); ours.contains(probe) != containsByText(t, theirs, probe) {
				t.Fatalf("seed %d: contains %+v", seed, probe)
			}
		}
		part := ours.clone().(*mysqlSet)
		extra := gtid{sid: uuid.UUID{15: 9}, seq: 1}
		if !part.within(ours) || !ours.within(part) {
			t.Fatal("a set is not within its clone")
		}
		part.add(extra)
		if part.within(ours) || !ours.within(part) || ours.contains(extra) {
			t.Fatal("a clone shares memory or within is wrong")
		}
		encoded, err := ours.encode()
		if err != nil || !slices.Equal(encoded, theirs.Encode()) {
			t.Fatalf("seed %d: encoded form differs (%v)", seed, err)
		}
	}
}

func containsByText(t *testing.T, s gomysql.MysqlGTIDSet, g gtid) bool {
	t.Helper()
	one := gomysql.NewMysqlGTIDSet()
	one.AddGTIDWithTag(g.sid, gomysql.NewTag(g.tag), int64(g.seq))
	return s.Contain(&one)
}

func TestMariaSet(t *testing.T) {
	s, err := parseMariaSet("7-3-10,0-1-4711")
	if err != nil {
		t.Fatal(err)
	}
	text := func() string { return string(s.appendText(nil)) }
	if text() != "0-1-4711,7-3-10" {
		t.Errorf("got %s", text())
	}
	before := s.clone()
	s.add(gtid{domain: 0, server: 2, seq: 4712}) // after a failover
	s.add(gtid{domain: 3, server: 2, seq: 1})
	if text() != "0-2-4712,3-2-1,7-3-10" {
		t.Errorf("got %s", text())
	}
	if !before.within(s) || s.within(before) || !s.contains(gtid{domain: 0, server: 9, seq: 4712}) || s.contains(gtid{domain: 0, seq: 4713}) || s.contains(gtid{domain: 1, seq: 1}) {
		t.Error("contains or within is wrong")
	}
}

func TestPositions(t *testing.T) {
	const id = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	for _, c := range []struct {
		f    flavor
		text ingest.Position
	}{
		{mariadb, "none"}, {mariadb, "0-1-4711"}, {mariadb, "0-1-4711,5-2-9"},
		{mysql, "none"}, {mysql, id + ":1-5"}, {mysql, id + ":1-5:7,4e11fa47-71ca-11e1-9e33-c80aa9429562:1-9"}, {mysql, id + ":1-5:tag:2-3"},
	} {
		p, err := parsePosition(c.f, c.text)
		if err != nil || p.text() != c.text {
			t.Errorf("%s: got %v, %v", c.text, p, err)
		}
	}
	p, err := parsePosition(mariadb, "0-1-4711")
	if err != nil {
		t.Fatal(err)
	}
	p.rows = 250
	if p.text() != "0-1-4711+250" {
		t.Errorf("got %s", p.text())
	}
	for _, bad := range []ingest.Position{"0-1-4711+250", "x", "0-1"} {
		if _, err := parsePosition(mariadb, bad); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
	for _, bad := range []ingest.Position{"x:1", id, id + ":5-1"} {
		if _, err := parsePosition(mysql, bad); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestCoordinatesInFilesOver4GB(t *testing.T) {
	c := coord{7, 4}
	for _, step := range []struct {
		low  uint32
		want uint64
	}{{100, 100}, {1 << 31, 1 << 31}, {1<<32 - 5, 1<<32 - 5}, {20, 1<<32 + 20}, {10, 1<<32 + 20}, {3 << 30, 1<<32 + 3<<30}, {3, 2<<32 + 3}} {
		if c = c.advance(step.low); c.pos != step.want {
			t.Errorf("advance(%d) is %d, want %d", step.low, c.pos, step.want)
		}
	}
	if !c.less(coord{8, 4}) || c.less(coord{7, 5}) {
		t.Error("order of coordinates")
	}
	if _, err := parseCoord("binlog", "4"); err == nil {
		t.Error("a file name without a number was taken")
	}
}

// A one-row transaction must not pay for the size of the set.
func BenchmarkSetOfManyServers(b *testing.B) {
	s := &mysqlSet{hot: -1}
	for i := range 200 {
		for seq := range uint64(20) {
			s.add(gtid{sid: uuid.UUID{0: byte(i)}, seq: 1 + 2*seq})
		}
	}
	p := position{done: s}
	g := gtid{sid: uuid.UUID{0: 77}, seq: 100}
	b.ReportAllocs()
	for b.Loop() {
		g.seq++
		s.add(g)
		p.text()
	}
}

func BenchmarkSetOfOneServer(b *testing.B) {
	s := &mysqlSet{hot: -1}
	p := position{done: s}
	g := gtid{sid: uuid.New()}
	b.ReportAllocs()
	for b.Loop() {
		g.seq++
		s.add(g)
		p.text()
	}
}
