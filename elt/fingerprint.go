package elt

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fingerprint says what an interval was built from, by table: the base of a pipeline's table, and the generations of a
// job's intervals. Inputs with need: latest are not in it: they move with every window.
type Fingerprint map[string]string

// generations writes the generations of consecutive intervals, 0 where one is missing, as 1x5,2,1x18.
func generations(list []int) string {
	var out []string
	for i := 0; i < len(list); {
		n := 1
		for i+n < len(list) && list[i+n] == list[i] {
			n++
		}
		text := strconv.Itoa(list[i])
		if n > 1 {
			text += "x" + strconv.Itoa(n)
		}
		out = append(out, text)
		i += n
	}
	return "g:" + strings.Join(out, ",")
}

// parseGenerations reads what generations writes; ok is false for anything else.
func parseGenerations(text string) (list []int, ok bool) {
	rest, ok := strings.CutPrefix(text, "g:")
	if !ok {
		return nil, false
	}
	if rest == "" {
		return []int{}, true
	}
	for item := range strings.SplitSeq(rest, ",") {
		value, times, repeated := strings.Cut(item, "x")
		v, err := strconv.Atoi(value)
		n := 1
		if err == nil && repeated {
			n, err = strconv.Atoi(times)
		}
		if err != nil || v < 0 || n < 1 || len(list)+n > 1<<20 {
			return nil, false
		}
		list = append(list, slices.Repeat([]int{v}, n)...)
	}
	return list, true
}

// changed says which input is not what it was; empty when all are. An interval of a job that was missing then and is there
// now has not changed: that is what provisional results wait for. name words the n-th interval of an input.
func (f Fingerprint) changed(now Fingerprint, name func(table string, n int) string) string {
	for _, table := range sorted(f) {
		then, is := f[table], now[table]
		if then == is || is == "" { // no longer an input: that is a change of the definition
			continue
		}
		old, ok1 := parseGenerations(then)
		cur, ok2 := parseGenerations(is)
		if !ok1 || !ok2 || len(old) != len(cur) {
			if ok1 != ok2 || ok1 {
				return table + " is made in another way"
			}
			return fmt.Sprintf("%s was loaded anew (%s, built from %s)", table, strings.TrimPrefix(is, "b:"), strings.TrimPrefix(then, "b:"))
		}
		for i := range old {
			if old[i] != 0 && cur[i] > old[i] {
				return fmt.Sprintf("%s: %s is of generation %d, built from %d", table, name(table, i), cur[i], old[i])
			}
		}
	}
	return ""
}

func sorted[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
