package postgres

import (
	"math/big"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

// FuzzNumeric: what is encoded is read back, and the digits on the wire are the value's.
func FuzzNumeric(f *testing.F) {
	for _, hi := range []int64{0, -1, 1, 1 << 62, -1 << 62, 0x4b3b4ca85a86c47a} {
		for _, lo := range []uint64{0, 1, 9999, 10000, 99999999, 1<<64 - 1, 0x098a223fffffffff} {
			for scale := range uint8(39) {
				f.Add(hi, lo, scale)
			}
		}
	}
	f.Fuzz(func(t *testing.T, hi int64, lo uint64, scale uint8) {
		if scale > 38 {
			return
		}
		b := appendNumeric(nil, hi, lo, int(scale))[4:]
		want := decimal128.New(hi, lo).BigInt()
		if got := wireValue(b, int(scale)); got.Cmp(want) != 0 {
			t.Fatalf("the digits on the wire say %s, want %s", got, want)
		}
		if hi == -1<<63 { // has no counterpart of the other sign
			return
		}
		gotHi, gotLo, err := parseNumeric(b, int(scale))
		if err != nil || gotHi != hi || gotLo != lo {
			t.Fatalf("read back %x %x, %v; want %x %x", gotHi, gotLo, err, hi, lo)
		}
		if scale < 38 && want.CmpAbs(big.NewInt(1e18)) < 0 { // a column with one digit more after the point
			gotHi, gotLo, err = parseNumeric(b, int(scale)+1)
			if ten := new(big.Int).Mul(want, big.NewInt(10)); err != nil || decimal128.New(gotHi, gotLo).BigInt().Cmp(ten) != 0 {
				t.Fatalf("with a larger scale: %v", err)
			}
		}
		if scale > 0 { // and one with a digit less: exact or refused
			gotHi, gotLo, err = parseNumeric(b, int(scale)-1)
			quotient, rest := new(big.Int).QuoRem(want, big.NewInt(10), new(big.Int))
			if exact := rest.Sign() == 0; exact != (err == nil) || exact && decimal128.New(gotHi, gotLo).BigInt().Cmp(quotient) != 0 {
				t.Fatalf("with a smaller scale: %v, exact %v", err, exact)
			}
		}
	})
}

// wireValue reads a numeric field by its definition.
func wireValue(b []byte, scale int) *big.Int {
	u16 := func(i int) int { return int(b[i])<<8 | int(b[i+1]) }
	sum := new(big.Rat)
	for i := range u16(0) {
		d := new(big.Rat).SetInt64(int64(u16(8 + 2*i)))
		exp := int(int16(u16(2))) - i
		base := new(big.Rat).SetInt64(10000)
		for ; exp > 0; exp-- {
			d.Mul(d, base)
		}
		for ; exp < 0; exp++ {
			d.Quo(d, base)
		}
		sum.Add(sum, d)
	}
	if u16(4) == 0x4000 {
		sum.Neg(sum)
	}
	if u16(6) != scale {
		return big.NewInt(-999)
	}
	sum.Mul(sum, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
	if !sum.IsInt() {
		return big.NewInt(-998)
	}
	return sum.Num()
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		have, want string
		fit        fit
	}{
		{"bigint", "bigint", same}, {"bigint", "integer", holds}, {"smallint", "bigint", widen}, {"numeric(20,0)", "bigint", holds}, {"bigint", "numeric(20,0)", widen},
		{"numeric(18,0)", "bigint", mismatch}, {"numeric(9,2)", "numeric(20,6)", widen}, {"numeric(9,2)", "numeric(9,4)", mismatch}, {"numeric", "numeric(38,30)", holds},
		{"numeric(38,0)", "numeric(38,38)", mismatch}, {"real", "double precision", widen}, {"double precision", "real", holds}, {"bigint", "double precision", mismatch},
		{"text", "json", holds}, {"jsonb", "json", holds}, {"json", "text", widen}, {"character varying(5)", "text", widen}, {"character varying", "text", holds},
		{"date", "timestamp without time zone", mismatch}, {"timestamp without time zone", "timestamp with time zone", mismatch}, {"boolean", "smallint", mismatch}, {"uuid", "text", mismatch},
		{"integer", "real", mismatch}, {"bytea", "text", mismatch},
	} {
		if got := compare(c.have, c.want); got != c.fit {
			t.Errorf("compare(%s, %s) = %d, want %d", c.have, c.want, got, c.fit)
		}
	}
}
