package sources_test

import (
	"slices"
	"testing"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources"
)

func TestWantMatchesStarsAlone(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "a", true}, {"*", "a/b", true}, {"a*", "ab", true}, {"a*", "ba", false}, {"a?", "ab", false}, {"a?", "a?", true},
		{"[a]", "a", false}, {"[a]", "[a]", true}, {`a\b`, `a\b`, true}, {"p*_x*", "pay_x1", true}, {"a", "A", false}, {"a/b", "a/b", true},
	} {
		w := sources.Want{Schema: "s", Table: c.pattern}
		if got := w.Matches(ingest.TableName{Schema: "s", Name: c.name}); got != c.want {
			t.Errorf("%s matches %q: %v", w, c.name, got)
		}
		w = sources.Want{Schema: c.pattern, Table: "t"}
		if got := w.MatchesSchema(c.name); got != c.want {
			t.Errorf("%s matches schema %q: %v", w, c.name, got)
		}
	}
	sql := sources.Want{Schema: "*", Table: "Visits", AnyCase: true}
	if !sql.Matches(ingest.TableName{Schema: "clinic", Name: "visits"}) || sql.Exact() || !sql.Named() || sql.String() != "Visits" {
		t.Errorf("a name of SQL: %+v", sql)
	}
}

func TestDistinctForgetsOrderAndAuthors(t *testing.T) {
	a := sources.Want{Schema: "c", Table: "a", By: "x.yaml"}
	again := sources.Want{Schema: "c", Table: "a", By: "y.yaml"}
	sql := sources.Want{Schema: "c", Table: "a", AnyCase: true}
	all := sources.Want{Schema: "c", Table: "*"}
	one := sources.Distinct([]sources.Want{sql, a, all, again})
	two := sources.Distinct([]sources.Want{all, again, sql})
	if len(one) != 3 || !slices.Equal(one, two) {
		t.Errorf("%v and %v", one, two)
	}
	if a.By == "" {
		t.Error("the list itself was changed")
	}
}
