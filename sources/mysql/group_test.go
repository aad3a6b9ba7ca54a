package mysql

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/ingest"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// Each file of testdata/groups is a transcript: events at the margin, what the machine makes of them below, indented. Change
// one only if you understand why the effects changed.
func TestGroupTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/groups/*.txt")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d transcripts, %v", len(files), err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got := transcript(t, string(b))
			if *rewrite {
				if err := os.WriteFile(f, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(b) {
				t.Errorf("got\n%s", got)
			}
		})
	}
}

// transcript plays the events of a transcript and writes it with the effects that come now.
func transcript(t *testing.T, text string) string {
	t.Helper()
	c, err := newCapture(map[string]Table{"clinic.*": {}})
	if err != nil {
		t.Fatal(err)
	}
	world := newTables(c)
	g := &group{flavor: mariadb, world: world}
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "    ") {
			continue // effects of before
		}
		out.WriteString(line + "\n")
		word, rest, _ := strings.Cut(line, " ")
		e := event{}
		switch word {
		case "", "#":
			continue
		case "flavor":
			g.flavor = flavor(rest)
			continue
		case "table":
			world.add(parseTable(rest))
			continue
		case "parent": // of the table that follows
			above, below, _ := strings.Cut(rest, " ")
			child := world.byName[parseTable(below)]
			child.parents = append(child.parents, parseTable(above))
			continue
		case "triggers":
			world.triggers[parseTable(rest)] = true
			continue
		default:
			e = parseEvent(t, world, word, rest)
		}
		for _, f := range g.step(&e) {
			out.WriteString("    " + f.text() + "\n")
			switch f.do { // as the stream does
			case doPark, doAnew:
				world.byName[f.table].parked = f.reason.String()
			case doTrigger:
				world.triggers[f.table] = true
			case doView:
				world.views[f.table] = true
			}
		}
	}
	if g.open() {
		out.WriteString("    the group is open\n")
	}
	return strings.ReplaceAll(out.String(), "    the group is open\n    the group is open\n", "    the group is open\n")
}

func (e effect) text() string {
	out := effectNames[e.do]
	if e.table != (ingest.TableName{}) {
		out += " " + e.table.String()
	}
	if e.reason != reasonNone {
		out += ": " + e.reason.String()
	}
	return out
}

func parseTable(s string) ingest.TableName {
	schema, name, _ := strings.Cut(s, ".")
	return ingest.TableName{Schema: schema, Name: name}
}

func parseEvent(t *testing.T, w world, word, rest string) event {
	t.Helper()
	name, _, _ := strings.Cut(rest, " ")
	has := func(flag string) bool { return strings.Contains(" "+rest+" ", " "+flag+" ") }
	switch word {
	case "gtid":
		return event{kind: evGTID, standalone: has("standalone"), prepared: has("prepared")}
	case "query":
		return event{kind: evQuery, statement: parseStatement(rest, session{schema: "clinic"})}
	case "map":
		return event{kind: evTableMap, table: parseTable(name), captured: w.captured(parseTable(name)), child: has("child")}
	case "write", "update", "delete":
		return event{kind: evRows, table: parseTable(name), captured: w.captured(parseTable(name)), insert: word == "write", last: has("last")}
	case "fragment":
		return event{kind: evFragment, table: parseTable(name), captured: w.captured(parseTable(name))}
	}
	kind, ok := map[string]eventKind{"xid": evXID, "xa_prepare": evXAPrepare, "incident": evIncident, "anonymous": evAnonymous, "restart": evRestart}[word]
	if !ok {
		t.Fatalf("unknown event %q", word)
	}
	return event{kind: kind}
}
