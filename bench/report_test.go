package main

import (
	"strings"
	"testing"
)

const printed = `goos: linux
BenchmarkRows/mariadb/tidemill-1-2   100   1000 ns/op   4000000 rows/s   0 allocs/op
BenchmarkRows/mariadb/go-mysql-2     100   9000 ns/op   1000000 rows/s   9 allocs/op
a line of a server
BenchmarkRows/mariadb/tidemill-1-2   100   1000 ns/op   6000000 rows/s   0 allocs/op
BenchmarkRows/mariadb/go-mysql-2     100   9000 ns/op   1000000 rows/s   9 allocs/op
PASS
`

func TestReport(t *testing.T) {
	s := suites[0]
	results, err := parse(strings.NewReader(printed), s.units)
	if err != nil {
		t.Fatal(err)
	}
	s.ratios = s.ratios[:1]
	text := report(machine{cpu: "a cpu", cores: 2}, []measured{{s, results}})
	for _, want := range []string{
		"| Rows/mariadb/tidemill-1 | 5 M rows/s | 4 M – 6 M | 40.0 % | ≥ 3 M: yes |",
		"| Rows/mariadb/tidemill-1 | 0 allocs/op | 0 – 0 | 0 % | ≤ 0: yes |",
		"| Rows/mariadb/go-mysql | 1 M rows/s | 1 M – 1 M | 0.0 % |  |",
		"| Rows/mariadb/tidemill-1 against Rows/mariadb/go-mysql | 5.0 × | | | ≥ 5 ×: yes |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	results[0].values = []float64{1e6}
	if text = report(machine{}, []measured{{s, results}}); !strings.Contains(text, "≥ 3 M: **no**") || !strings.Contains(text, "≥ 5 ×: **no**") || !strings.Contains(text, "one run") {
		t.Errorf("a figure that is missed is not shown:\n%s", text)
	}
}
