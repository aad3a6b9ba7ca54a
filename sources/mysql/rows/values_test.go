package rows

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tidemill/tidemill/ingest"
)

// TestDays agrees with the time package on the ends of every month of MySQL's range, and knows where the months end.
func TestDays(t *testing.T) {
	for y := range 10000 {
		for m := 1; m <= 12; m++ {
			last := time.Date(y, time.Month(m)+1, 0, 0, 0, 0, 0, time.UTC)
			for _, d := range []int{1, 15, last.Day()} {
				want := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC).Unix() / 86400
				if got := int64(days(uint(y), uint(m), uint(d))); got != want || !validDate(uint(y), uint(m), uint(d)) {
					t.Fatalf("%04d-%02d-%02d: got %d, want %d", y, m, d, got, want)
				}
			}
			if validDate(uint(y), uint(m), uint(last.Day()+1)) {
				t.Fatalf("the day after %v is called valid", last)
			}
		}
	}
	for _, d := range [][3]uint{{2024, 0, 1}, {2024, 1, 0}, {2024, 13, 1}, {0, 0, 0}, {2023, 2, 29}, {1900, 2, 29}, {2024, 4, 31}} {
		if validDate(d[0], d[1], d[2]) {
			t.Errorf("%v is called valid", d)
		}
	}
}

// packDecimal is the storage form of a decimal, written from the format's description and by big numbers only.
func packDecimal(unscaled *big.Int, precision, scale int) []byte {
	digits := fmt.Sprintf("%0*s", precision, new(big.Int).Abs(unscaled).String())
	var out []byte
	add := func(s string) {
		n, _ := new(big.Int).SetString("0"+s, 10)
		b := make([]byte, groupBytes[len(s)])
		out = append(out, n.FillBytes(b)...)
	}
	whole, frac := digits[:precision-scale], digits[precision-scale:]
	for n := len(whole) % 9; len(whole) > 0; n = 9 {
		add(whole[:n])
		whole = whole[n:]
	}
	for len(frac) > 0 {
		n := min(9, len(frac))
		add(frac[:n])
		frac = frac[n:]
	}
	if unscaled.Sign() < 0 {
		for i := range out {
			out[i] = ^out[i]
		}
	}
	out[0] ^= 0x80
	return out
}

// TestDecimals decodes random decimals of every precision and scale, from the wire and from text.
func TestDecimals(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for precision := 1; precision <= 65; precision++ {
		for scale := 0; scale <= min(precision, 38); scale++ {
			col := column{family: famDecimal, precision: precision, scale: scale}
			s := &ingest.Schema{Columns: []ingest.Column{{Name: "d", Type: col.typ()}}}
			f := newField(&col, 0, decimalSize(precision, scale))
			b, st := ingest.NewBuilder(s), &scratch{invalid: make([]int64, 1)}
			var want []string
			for i := range 12 {
				n := randomDigits(r, precision)
				switch i {
				case 0:
					n.SetInt64(0)
				case 1:
					n.Exp(big.NewInt(10), big.NewInt(int64(precision)), nil).Sub(n, big.NewInt(1))
				}
				if i&1 == 1 {
					n.Neg(n)
				}
				raw := packDecimal(n, precision, scale)
				if ft := f.decode(&b.Cols[0], raw, st); ft != fine || len(raw) != f.size {
					t.Fatalf("decimal(%d,%d): %v", precision, scale, ft)
				}
				b.End(ingest.Upsert)
				text := decimalText(n, scale)
				if ft := f.parse(&b.Cols[0], []byte(text), st); ft != fine {
					t.Fatalf("decimal(%d,%d) %s: %v", precision, scale, text, ft)
				}
				b.End(ingest.Upsert)
				want = append(want, text, text)
			}
			for i, row := range render(t, b) {
				if row[0] != want[i] {
					t.Fatalf("decimal(%d,%d): got %s, want %s", precision, scale, row[0], want[i])
				}
			}
		}
	}
}

func randomDigits(r *rand.Rand, n int) *big.Int {
	var s strings.Builder
	s.WriteByte('0')
	for range 1 + r.IntN(n) {
		s.WriteByte('0' + byte(r.IntN(10)))
	}
	v, _ := new(big.Int).SetString(s.String(), 10)
	return v
}

func decimalText(n *big.Int, scale int) string {
	digits := fmt.Sprintf("%0*s", scale+1, new(big.Int).Abs(n).String())
	out := digits[:len(digits)-scale]
	if scale > 0 {
		out += "." + digits[len(digits)-scale:]
	}
	if n.Sign() < 0 {
		out = "-" + out
	}
	return out
}

func TestINET6(t *testing.T) {
	for in, want := range map[string]string{
		"00000000000000000000000000000000": "::", "00000000000000000000000000000001": "::1", "00000000000000000000000000010002": "::0.1.0.2",
		"00000000000000000000ffff01020304": "::ffff:1.2.3.4", "20010db8000000000000000000000000": "2001:db8::",
		"00010000000200000003000000040000": "1::2:0:3:0:4:0", "00010002000300040005000600070008": "1:2:3:4:5:6:7:8",
	} {
		var b [16]byte
		if _, err := fmt.Sscanf(in, "%x", new([]byte)); err != nil {
			t.Fatal(err)
		}
		for i := range b {
			fmt.Sscanf(in[2*i:2*i+2], "%02x", &b[i])
		}
		if got := string(appendINET6(nil, b)); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
