package mysql

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/ingest"
)

// Every remedy that names resync is a command that tidemill takes: a table with its source, or the source. Whatever is
// printed is made by the one function that knows how, and its targets are parsed here as the command line does it.
func TestRemediesAreCommands(t *testing.T) {
	c := valid()
	c.source = "consult"
	odd := ingest.TableName{Schema: "clinic", Name: "we'ird. `ünï"}
	var texts []string
	for r := range reasons {
		texts = append(texts, c.parkReason(r, odd))
	}
	texts = append(texts, c.tableProblem(odd, os.ErrInvalid), c.withResync(odd, "there is no such table"))
	for _, text := range texts {
		_, command, found := strings.Cut(text, "tidemill resync ")
		source, table, err := ingest.ParseTarget(unquote(command))
		if !found || err != nil || source != "consult" || table != odd {
			t.Errorf("%q: target %s of %s, %v", text, table, source, err)
		}
	}
	for _, e := range []error{(&server{config: &c}).purged(), (&server{config: &c}).diverged(), (&stream{config: &c}).refused(reasonIncident), (&stream{config: &c}).refused(reasonAnonymous)} {
		if !strings.Contains(e.Error(), "tidemill resync consult") {
			t.Errorf("%v does not name the source", e)
		}
	}
	// Nobody writes the command by hand, in this package or any other.
	byHand := regexp.MustCompile("[\"`][^\"`]*tidemill resync")
	root := filepath.Join("..", "..")
	for _, dir := range []string{"ingest", "sources", "window", "sinks", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if found := byHand.Find(text); found != nil && !strings.HasSuffix(path, filepath.Join("ingest", "request.go")) {
				t.Errorf("%s: %s: use ingest.ResyncCommand", path, found)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// unquote takes one word off a shell's command line.
func unquote(s string) string {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\'':
			quoted = !quoted
		case !quoted && s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case !quoted && (s[i] == ' ' || s[i] == ';'):
			return b.String()
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
