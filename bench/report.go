package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

const heading = "\n## "

// report is the whole answer as Markdown. Of suites that were not measured now it keeps the sections of the report before: each
// says when, where and at which commit its figures were made.
func report(m machine, done []measured, before string) string {
	sections := map[string]string{}
	for _, old := range strings.Split(before, heading)[1:] {
		title, body, _ := strings.Cut(old, "\n")
		sections[title] = body
	}
	for _, d := range done {
		sections[d.title] = d.section(m)
	}
	var b strings.Builder
	b.WriteString("# Benchmarks\n\nWritten by `go run ./bench -write docs/bench.md`; not edited by hand. `-only REGEXP` replaces the sections of some suites.\n\n")
	b.WriteString("Median and range of the runs. A/A is the same code against itself, odd runs against even ones: a difference between two versions means something only well above it.\n")
	for _, s := range suites {
		if body, ok := sections[s.title]; ok {
			b.WriteString(heading + s.title + "\n" + strings.TrimRight(body, "\n") + "\n")
		}
	}
	return b.String()
}

// section is the table of one suite.
func (d measured) section(m machine) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n\n%s\n\n| benchmark | median | range | A/A | reach |\n|---|---|---|---|---|\n", d.limits, m)
	for _, s := range d.results {
		low, high := slices.Min(s.values), slices.Max(s.values)
		fmt.Fprintf(&b, "| %s | %s | %s – %s | %s | %s |\n", s.name, figure(median(s.values), s.unit), figure(low, ""), figure(high, ""), control(s.values), d.reach(s))
	}
	for _, r := range d.ratios {
		fmt.Fprintf(&b, "| %s against %s | %s | | | %s |\n", r.of, r.to, d.ratio(r), r.verdict(d.quotient(r)))
	}
	return b.String()
}

// verdict is empty where there is nothing to reach.
func (r ratio) verdict(q float64) string {
	if r.want == 0 {
		return ""
	}
	return verdict(q >= r.want, fmt.Sprintf("≥ %g ×", r.want))
}

// reach says what a figure has to reach and whether it does.
func (d measured) reach(s series) string {
	for _, r := range d.reaches {
		if r.unit != s.unit || !r.name.MatchString(s.name) {
			continue
		}
		m := median(s.values)
		if r.most {
			return verdict(m <= r.want, "≤ "+figure(r.want, ""))
		}
		return verdict(m >= r.want, "≥ "+figure(r.want, ""))
	}
	return ""
}

func verdict(ok bool, want string) string {
	if ok {
		return want + ": yes"
	}
	return want + ": **no**"
}

func (d measured) quotient(r ratio) float64 {
	find := func(name string) float64 {
		for _, s := range d.results {
			if s.name == name && s.unit == r.unit {
				return median(s.values)
			}
		}
		return math.NaN()
	}
	return find(r.of) / find(r.to)
}

func (d measured) ratio(r ratio) string { return fmt.Sprintf("%.1f ×", d.quotient(r)) }

// control is how far the medians of odd and even runs lie apart, as a part of all runs' median.
func control(values []float64) string {
	var halves [2][]float64
	for i, v := range values {
		halves[i%2] = append(halves[i%2], v)
	}
	if len(halves[1]) == 0 {
		return "one run"
	}
	m := median(values)
	if m == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.1f %%", 100*math.Abs(median(halves[0])-median(halves[1]))/m)
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// figure writes a number with three digits that count and its unit.
func figure(v float64, unit string) string {
	if unit == "ns/op" || unit == "sec/op" {
		return strings.TrimSpace(figure(v/map[string]float64{"ns/op": 1e9, "sec/op": 1}[unit], "s"))
	}
	suffix := ""
	for _, p := range []struct {
		at   float64
		mark string
	}{{1e9, " G"}, {1e6, " M"}, {1e3, " k"}} {
		if math.Abs(v) >= p.at {
			v, suffix = v/p.at, p.mark
			break
		}
	}
	return strings.TrimSpace(fmt.Sprintf("%.3g%s %s", v, suffix, unit))
}
