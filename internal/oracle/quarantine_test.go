package oracle

import (
	"strings"
	"testing"
)

func TestKeyOfJSON(t *testing.T) {
	for text, want := range map[string]string{
		`[17]`: "2:17,", `[9223372036854775807,"a\u0000b"]`: "19:9223372036854775807,3:a\x00b,", `["12.50",true]`: "5:12.50,4:true,",
	} {
		if got, err := keyOfJSON(text); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`17`, `[null]`, `[[1]]`, `["a"`} {
		if got, err := keyOfJSON(text); err == nil {
			t.Errorf("%s: %q", text, got)
		}
	}
}

// The quarantine excuses exactly the rows that are there, and bad in what it says.
func TestWithout(t *testing.T) {
	want := map[string][]Val{"1:1,": {{Text: "1"}, {Text: `{"a": 1}`}}, "1:2,": {{Text: "2"}, {Text: "no"}}}
	for name, c := range map[string]struct {
		bad  map[string]quarantined
		word string // empty: row 2 is excused
	}{
		"bad":              {map[string]quarantined{"1:2,": {"doc", "invalid_json"}}, ""},
		"not bad":          {map[string]quarantined{"1:1,": {"doc", "invalid_json"}}, "is not bad"},
		"of no column":     {map[string]quarantined{"1:2,": {"gone", "invalid_json"}}, "is not bad"},
		"of another fault": {map[string]quarantined{"1:2,": {"doc", "nul_in_key"}}, "is not bad"},
		"not there":        {map[string]quarantined{"1:2,": {"doc", "invalid_json"}, "1:3,": {"doc", "invalid_json"}}, "2 rows are in quarantine, of which the table would hold 1"},
	} {
		checker := Checker{bad: map[string]map[string]quarantined{"raw.forms": c.bad}}
		got, err := checker.without("raw.forms", []string{"id", "doc"}, want)
		if c.word == "" && (err != nil || len(got) != 1 || got["1:1,"] == nil) || c.word != "" && (err == nil || !strings.Contains(err.Error(), c.word)) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestSpaced(t *testing.T) {
	for doc, want := range map[string]string{
		`[1,2]`: `[1, 2]`, `{"a":1,"b":[true,null]}`: `{"a": 1, "b": [true, null]}`, `{"a": 1}`: `{"a": 1}`, `"x,y:z"`: `"x,y:z"`, `["a\",b",2]`: `["a\",b", 2]`,
	} {
		if got := spaced(doc); got != want {
			t.Errorf("%s: %s, want %s", doc, got, want)
		}
	}
}
