package rslint_test

import (
	"regexp"
	"testing"

	"github.com/tidemill/tidemill/internal/redshiftdouble"
	"github.com/tidemill/tidemill/internal/rslint"
)

// catalogue is what only a server knows: which tables and columns there are, of which types, and what depends on them. And
// what several statements in one request may be: files are run one by one.
var catalogue = regexp.MustCompile(`^(42P01|42P07|42701|42703|23502|2BP01) |Value too long|must be a table|same columns|target column size|^0A000 (default|bytedict|key|view|distkey|sortkey|only column)|at least one column|unsupported type|VARBYTE|multi-command|holds values of`)

// TestCorpus compares the linter with the double, which shares no code with it: two readings of one manual. Where they differ,
// one is wrong, or it takes a catalogue to know.
func TestCorpus(t *testing.T) {
	cases := redshiftdouble.Corpus()
	if len(cases) < 100 {
		t.Fatalf("%d statements", len(cases))
	}
	for _, c := range cases {
		var refused []rslint.Finding
		for _, f := range rslint.Check(c.Statement, rslint.Options{InTransaction: !c.Alone}) {
			if !f.Warning {
				refused = append(refused, f)
			}
		}
		if c.Valid && len(refused) > 0 {
			t.Errorf("corpus.txt:%d is valid (proven: %v), and rslint says %v\n%s", c.Line, c.Proven, refused, c.Statement)
		}
		if !c.Valid && len(refused) == 0 && !catalogue.MatchString(c.Code+" "+c.Text) {
			t.Errorf("corpus.txt:%d is invalid (proven: %v, %s %s), and rslint finds nothing\n%s", c.Line, c.Proven, c.Code, c.Text, c.Statement)
		}
	}
}
