package main

import (
	"strings"
	"testing"
)

const printed = `goos: linux
BenchmarkRows/mariadb/tidemill-1-2   100   1000 ns/op   4000000 rows/s   400 MB/s   0 allocs/op
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
	before := "# Benchmarks\n\n## " + suites[1].title + "\n\nkept\n\n## " + s.title + "\n\nreplaced\n\n## A suite that is no more\n\ngone\n"
	text := report(machine{cpu: "a cpu", cores: 2}, []measured{{s, results}}, before)
	for _, want := range []string{
		"| Rows/mariadb/tidemill-1 | 5 M rows/s | 4 M – 6 M | 40.0 % | ≥ 3 M: yes |",
		"| Rows/mariadb/tidemill-1 | 0 allocs/op | 0 – 0 | 0 % | ≤ 0: yes |",
		"| Rows/mariadb/go-mysql | 1 M rows/s | 1 M – 1 M | 0.0 % |  |",
		"| Rows/mariadb/tidemill-1 against Rows/mariadb/go-mysql | 5.0 × | | | ≥ 5 ×: yes |",
		"\n## " + suites[1].title + "\n\nkept\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "replaced\n") || strings.Contains(text, "gone") || strings.Index(text, s.title) > strings.Index(text, suites[1].title) {
		t.Errorf("the sections are not those of this run and of the one before, in order:\n%s", text)
	}
	if _, err := parse(strings.NewReader(printed), []string{"rows/s", "cpu-s"}); err == nil {
		t.Error("a unit that no benchmark printed is not missed")
	}
	results[0].values = []float64{1e6}
	if text = report(machine{}, []measured{{s, results}}, ""); !strings.Contains(text, "≥ 3 M: **no**") || !strings.Contains(text, "≥ 5 ×: **no**") || !strings.Contains(text, "one run") {
		t.Errorf("a figure that is missed is not shown:\n%s", text)
	}
}
