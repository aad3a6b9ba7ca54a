package redshiftdouble

import (
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"testing"
)

// TestBrokenStatements cuts, doubles and swaps the words of the corpus: whatever comes, the parsers answer and do not panic.
func TestBrokenStatements(t *testing.T) {
	t.Parallel()
	server := &Server{config: Config{}.withDefaults(), names: newNames(), faults: newFaults(), admin: &admin{}}
	r := rand.New(rand.NewPCG(1, 2))
	var vocabulary []string
	for _, c := range Corpus() {
		vocabulary = append(vocabulary, strings.Fields(c.Statement)...)
	}
	n := 200
	if testing.Short() {
		n = 20
	}
	for _, c := range Corpus() {
		words := strings.Fields(c.Statement)
		for range n {
			broken := breakUp(r, words, vocabulary)
			try(t, server, broken)
		}
		for i := range c.Statement {
			try(t, server, c.Statement[:i])
		}
	}
}

// try reads a text and reports a panic with its place.
func try(t *testing.T, server *Server, sql string) {
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("%s: %v\n%s", sql, p, debug.Stack())
		}
	}()
	s := &session{server: server, settings: settings{}, wire: discard()}
	if _, err := s.plans(sql); err != nil && s.translate(err).message == "" {
		t.Errorf("an error without a text: %s", sql)
	}
}

func breakUp(r *rand.Rand, words, vocabulary []string) string {
	out := append([]string(nil), words...)
	for range 1 + r.IntN(3) {
		i := r.IntN(len(out))
		switch r.IntN(4) {
		case 0:
			out = append(out[:i], out[i+1:]...)
		case 1:
			out[i] = vocabulary[r.IntN(len(vocabulary))]
		case 2:
			j := r.IntN(len(out))
			out[i], out[j] = out[j], out[i]
		default:
			out = append(out[:i+1], append([]string{vocabulary[r.IntN(len(vocabulary))]}, out[i+1:]...)...)
		}
		if len(out) == 0 {
			return ""
		}
	}
	return strings.Join(out, " ")
}
