package rows

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// testJSON renders random documents and compares with the server's text, byte for byte.
func testJSON(t *testing.T, s *server) {
	from := s.position()
	s.exec("CREATE TABLE js (id INT PRIMARY KEY, j JSON)")
	r := rand.New(rand.NewPCG(5, 6))
	const n, batch = 2000, 200
	for i := 0; i < n; i += batch {
		var vals []string
		for k := range batch {
			doc := randomJSON(r, 4)
			vals = append(vals, fmt.Sprintf("(%d, CONVERT(0x%x USING utf8mb4))", i+k, doc))
		}
		s.exec("INSERT INTO js VALUES " + strings.Join(vals, ","))
	}
	cat := s.catalogue("js")
	_, wire := decodeAll(t, s.events(from, "js"), &cat)
	want := s.strings("SELECT j FROM js ORDER BY id")
	got := wire.render(t)
	if len(got) != n || len(want) != n {
		t.Fatalf("%d and %d documents", len(got), len(want))
	}
	for i := range got {
		if got[i][1] != want[i][0] {
			t.Errorf("document %d:\n%s\n%s", i, short(got[i][1]), short(want[i][0]))
		}
		if !json.Valid([]byte(got[i][1])) {
			t.Errorf("document %d is not JSON", i)
		}
	}
}

func randomJSON(r *rand.Rand, depth int) string {
	kinds := 8
	if depth > 0 {
		kinds = 10
	}
	switch r.IntN(kinds) {
	case 0:
		return []string{"null", "true", "false"}[r.IntN(3)]
	case 1:
		return fmt.Sprint(int64(r.Uint64()) >> r.IntN(64))
	case 2:
		return fmt.Sprint(r.Uint64() >> r.IntN(64))
	case 3, 4:
		f := math.Float64frombits(r.Uint64())
		if math.IsNaN(f) || math.IsInf(f, 0) {
			f = 0.5
		}
		return fmt.Sprintf("%e", f)
	case 5:
		return fmt.Sprintf("%.*f", r.IntN(20), (r.Float64()-0.5)*math.Pow10(r.IntN(20)))
	case 6, 7:
		b, _ := json.Marshal(randomText(r))
		return string(b)
	case 8:
		var parts []string
		for range r.IntN(6) {
			parts = append(parts, randomJSON(r, depth-1))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	var parts []string
	for range r.IntN(6) {
		k, _ := json.Marshal(randomText(r))
		parts = append(parts, string(k)+":"+randomJSON(r, depth-1))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func randomText(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(12) {
		b.WriteRune([]rune{'a', 'Z', '"', '\\', '/', '\n', '\t', 0, 1, 0x1f, 0x7f, 'é', '日', '🐟', 0x2028, '<', '&'}[r.IntN(17)])
	}
	return b.String()
}

func TestJSONDoubles(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0.0", math.Copysign(0, -1): "-0.0", 1: "1.0", 100: "100.0", 1.5: "1.5", -0.001: "-0.001", 1e14: "100000000000000.0", 1e15: "1e15", 1866765755986412.5: "1866765755986412.5", 9876543210987654: "9.876543210987654e15", 123456789012345: "123456789012345.0",
		1e-5: "0.00001", 1.5e-14: "0.000000000000015", 1.5e-15: "0.0000000000000015", 1e-16: "1e-16", 1.25e300: "1.25e300", 5e-324: "5e-324", 1234.5678: "1234.5678",
	} {
		if got := string(appendDouble(nil, f)); got != want {
			t.Errorf("%g: got %s, want %s", f, got, want)
		}
	}
}

// TestJSONRefuses damaged documents, among them one that holds itself.
func TestJSONRefuses(t *testing.T) {
	self := []byte{2, 2, 0, 10, 0, 2, 0, 0, 2, 0, 0}
	deep := []byte{}
	for range 200 {
		deep = append(deep, 2, 1, 0, 255, 255)
	}
	nan := binary.LittleEndian.AppendUint64([]byte{11}, math.Float64bits(math.NaN()))
	for name, doc := range map[string][]byte{
		"self": self, "deep": deep, "nan": nan, "type": {77, 0}, "literal": {4, 9}, "cut literal": {4}, "cut int": {9, 1, 2}, "cut string": {12, 5, 'a'}, "endless length": {12, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80},
		"cut object": {0, 1, 0, 40, 0}, "count": {2, 255, 255, 4, 0}, "opaque": {15}, "decimal": {15, 246, 1, 9}, "date": {15, 10, 2, 0, 0},
	} {
		var j jsonRenderer
		if j.render(doc) {
			t.Errorf("%s: rendered as %d bytes", name, len(j.out))
		}
	}
}
