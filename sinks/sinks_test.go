package sinks

import (
	"net/url"
	"strings"
	"testing"
)

// Warehouses and stores are values that somebody hands around: a set that was given none serves none (invariant 1). What it says
// of an address names the scheme and never the rest, which may be a password (invariant 2).
func TestAddressesStayOutOfErrors(t *testing.T) {
	var s Set
	for _, address := range []string{"oracle://tidemill:canary-7f3a@db/x", "mysql:canary-7f3a", "redshift://h/db?password=canary-7f3a"} {
		_, err := s.Warehouse(address)
		if err == nil {
			t.Fatalf("%s is served by an empty set", Scheme(address))
		}
		if strings.Contains(err.Error(), "7f3a") || !strings.Contains(err.Error(), Scheme(address)) {
			t.Errorf("the error shows more than the scheme: %v", err)
		}
	}
}

// An option that is not known, or that is given twice, is an error (invariant 3).
func TestCheckOptions(t *testing.T) {
	for query, word := range map[string]string{"region=a": "", "regoin=a": `unknown option "regoin"; known: endpoint, region`, "region=a&region=b": `option "region" is given 2 times`} {
		options, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		err = CheckOptions(options, "endpoint", "region")
		if word == "" && err != nil || word != "" && (err == nil || !strings.Contains(err.Error(), word)) {
			t.Errorf("%s: %v", query, err)
		}
	}
	if err := CheckOptions(url.Values{"a": {"1"}}); err == nil || !strings.Contains(err.Error(), "takes no options") {
		t.Errorf("no options are known, and one is taken: %v", err)
	}
}
