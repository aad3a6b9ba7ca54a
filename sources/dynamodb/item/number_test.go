package item

import (
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// B7.11: 38 digits, -0, 1E+125, leading zeros: one exact text for each value.
func TestB7Row11NumbersAreExact(t *testing.T) {
	nines := strings.Repeat("9", 38)
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "0.0": "0", "-0E+5": "0", "007": "7", "+7": "7", "1.50": "1.5", "-1.50": "-1.5", "100": "100",
		"1E+2": "100", "1e2": "100", "12.5E-3": "0.0125", "0.000": "0", ".5": "0.5", "5.": "5", "-.5": "-0.5",
		"1E+125": "1" + strings.Repeat("0", 125), "1E-130": "0." + strings.Repeat("0", 129) + "1",
		nines: nines, "-" + nines: "-" + nines, "0." + nines: "0." + nines, nines + "E-10": nines[:28] + "." + nines[28:],
		"9007199254740993": "9007199254740993", "10.10": "10.1", "1000000000000000000000": "1000000000000000000000",
	} {
		n, ok := parseNumber([]byte(in), nil)
		if got := string(n.AppendText(nil)); !ok || got != want {
			t.Errorf("%s is %s, %v; want %s", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "-", ".", "1e", "1e+", "e5", "1.2.3", "0x1", "1 ", "NaN", "Infinity", "1E99999", "--1"} {
		if n, ok := parseNumber([]byte(in), nil); ok {
			t.Errorf("%q is taken for %s", in, n.AppendText(nil))
		}
	}
}

func TestIntegersAndDecimals(t *testing.T) {
	for in, want := range map[string]string{
		"9223372036854775807": "9223372036854775807", "9223372036854775808": "", "-9223372036854775808": "-9223372036854775808",
		"-9223372036854775809": "", "1.5": "", "15E1": "150", "1E+18": "1000000000000000000", "1E+19": "", "0": "0",
	} {
		n, _ := parseNumber([]byte(in), nil)
		v, ok := n.Int64()
		if got := fmt.Sprint(v); ok != (want != "") || ok && got != want {
			t.Errorf("%s as int64: %s, %v", in, got, ok)
		}
	}
	for in, want := range map[string]string{
		"1.5": "1500000000", "-1.5": "-1500000000", "0": "0", "1E-9": "1", "1E-10": "",
		strings.Repeat("9", 29): strings.Repeat("9", 29) + "000000000", strings.Repeat("9", 30): "", "-" + strings.Repeat("9", 29): "-" + strings.Repeat("9", 29) + "000000000",
	} {
		n, _ := parseNumber([]byte(in), nil)
		hi, lo, ok := n.Decimal(38, 9)
		v := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(hi), 64), new(big.Int).SetUint64(lo))
		if ok != (want != "") || ok && v.String() != want {
			t.Errorf("%s as decimal(38,9): %s, %v; want %s", in, v, ok, want)
		}
	}
}

func TestNumbersInJSON(t *testing.T) {
	for in, want := range map[string]string{
		"1": "1", "9007199254740992": "9007199254740992", "9007199254740993": `"9007199254740993"`, "-9007199254740993": `"-9007199254740993"`,
		"0.1": "0.1", "1.50": "1.5", "0.1234567890123456": `"0.1234567890123456"`, "1E+125": `"1` + strings.Repeat("0", 125) + `"`, "1E-30": `"0.` + strings.Repeat("0", 29) + `1"`,
	} {
		n, _ := parseNumber([]byte(in), nil)
		if got := string(n.appendJSON(nil)); got != want {
			t.Errorf("%s in JSON is %s, want %s", in, got, want)
		}
	}
}

// A number means what math/big says, and its text is a fixed point.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"0", "-0", "1E+125", "007.50", "9223372036854775808", "-1.2e-7", ".5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		n, ok := parseNumber([]byte(in), nil)
		if !ok || len(in) > 200 {
			return
		}
		text := string(n.AppendText(nil))
		want, fine := new(big.Rat).SetString(in)
		got, _ := new(big.Rat).SetString(text)
		if !fine || want.Cmp(got) != 0 {
			t.Fatalf("%q became %q", in, text)
		}
		if v, ok := n.Int64(); ok != (got.IsInt() && got.Num().IsInt64()) || ok && got.Num().Int64() != v {
			t.Fatalf("%q as int64: %d, %v", in, v, ok)
		}
		again, _ := parseNumber([]byte(text), nil)
		if s := string(again.AppendText(nil)); s != text {
			t.Fatalf("%q became %q and then %q", in, text, s)
		}
	})
}
