package mysql

import (
	"strings"
	"testing"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/sources"
)

// Two projects that read one server by sources of one name must not show it the same replica id: the server ends the older
// reader. The id of one source never changes.
func TestServerIDIsOfTheProject(t *testing.T) {
	id := func(project, name string, own uint32) uint32 {
		c := Default()
		c.ServerID = own
		c.Tables = map[string]Table{"a.b": {}}
		src, err := Kind().New(sources.Env{Project: project, Name: name}, &c)
		if err != nil {
			t.Fatal(err)
		}
		return src.(*Source).serverID()
	}
	seen := map[uint32]string{}
	for _, n := range []string{"care/consult", "night/consult", "care/pharmacy", "care2/consult"} {
		project, name, _ := strings.Cut(n, "/")
		got := id(project, name, 0)
		if other := seen[got]; other != "" || got < 1<<31 {
			t.Errorf("%s has the id %d, as %q has", n, got, other)
		}
		if seen[got] = n; got != id(project, name, 0) {
			t.Errorf("%s has two ids", n)
		}
	}
	if got := id("care", "consult", 7); got != 7 {
		t.Errorf("server_id 7 became %d", got)
	}
}

// Whoever cannot be reached says what to look at.
func TestUnreachableSaysWhatToLookAt(t *testing.T) {
	c := Default()
	c.Address, c.User, c.Tables = "127.0.0.1:1", "tm", map[string]Table{"a.b": {}}
	src, err := New("test", c, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = src.Prepare(t.Context())
	if causeOf(err) != Unreachable || !ingest.Retryable(err) {
		t.Fatalf("%v", err)
	}
	for _, want := range []string{"127.0.0.1:1", "refused", "the server runs", "address", "firewall", "security group"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}
