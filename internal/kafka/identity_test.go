package kafka

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// The embedded broker's ids are those of its folder: they outlive a stop, and a kill, of which a copy of the folder stands
// for the moment. A topic that is made again has another.
func TestEmbeddedKeepsItsIDs(t *testing.T) {
	o := EmbeddedOptions{Dir: t.TempDir()}
	topics := []Topic{{Name: "tm.a", Partitions: 2, Replication: 1}, {Name: "tm.b", Partitions: 1, Replication: 1}}
	e, err := OpenEmbedded(o)
	if err != nil {
		t.Fatal(err)
	}
	first := client(t, e.Config())
	if err := EnsureTopics(limit(t), first, topics...); err != nil {
		t.Fatal(err)
	}
	before := identify(t, first)
	if before.Cluster == "" || len(before.Topics) != 2 || before.Topics["tm.a"] == before.Topics["tm.b"] {
		t.Fatalf("ids: %+v", before)
	}
	killed := EmbeddedOptions{Dir: filepath.Join(t.TempDir(), "copy")}
	if err := os.CopyFS(killed.Dir, os.DirFS(o.Dir)); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]EmbeddedOptions{"a stop": o, "a kill": killed} {
		cl := client(t, broker(t, o).Config())
		now := identify(t, cl)
		if now.Cluster != before.Cluster || !maps.Equal(now.Topics, before.Topics) {
			t.Errorf("after %s: %+v, before %+v", name, now, before)
		}
		if _, err := kadm.NewClient(cl.Client).DeleteTopics(limit(t), "tm.a"); err != nil {
			t.Fatal(err)
		}
		if err := EnsureTopics(limit(t), cl, topics...); err != nil {
			t.Fatal(err)
		}
		if cluster, topic := before.Changed(identify(t, cl)); cluster || topic != "tm.a" {
			t.Errorf("after the topic was made again: %v %q", cluster, topic)
		}
	}
}

func identify(t *testing.T, cl *Client) Identity {
	t.Helper()
	id, err := Identify(limit(t), cl, "tm.a", "tm.b", "tm.unknown")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestIdentityChanges(t *testing.T) {
	was := Identity{Cluster: "c", Topics: map[string]string{"a": "1", "b": "2"}}
	for _, x := range []struct {
		name    string
		now     Identity
		cluster bool
		topic   string
	}{
		{"the same", was, false, ""},
		{"more topics", was.And(Identity{Topics: map[string]string{"c": "3"}}), false, ""},
		{"nothing known", Identity{}, false, ""},
		{"a topic", Identity{Cluster: "c", Topics: map[string]string{"a": "1", "b": "9"}}, false, "b"},
		{"both topics", Identity{Cluster: "c", Topics: map[string]string{"a": "8", "b": "9"}}, false, "a"},
		{"the cluster", Identity{Cluster: "d", Topics: map[string]string{"a": "8"}}, true, ""},
	} {
		if cluster, topic := was.Changed(x.now); cluster != x.cluster || topic != x.topic {
			t.Errorf("%s: %v %q", x.name, cluster, topic)
		}
	}
	if cluster, topic := (Identity{}).Changed(was); cluster || topic != "" {
		t.Error("what was not noted cannot have changed")
	}
}
