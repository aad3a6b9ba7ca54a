package arch

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tidemill/tidemill/sources/dynamodb/item"
)

// Names that a warehouse keeps for itself must not become columns of a table without a schema: its publish would be refused, and nothing
// at the source can be renamed.
func TestReservedNamesAreTheWarehouses(t *testing.T) {
	files, err := filepath.Glob("../../sinks/*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	list, name := regexp.MustCompile(`NoColumns:\s+\[\]string\{([^}]*)\}`), regexp.MustCompile(`"([^"]+)"`)
	found := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		for _, m := range list.FindAllStringSubmatch(string(text), -1) {
			for _, n := range name.FindAllStringSubmatch(m[1], -1) {
				if found++; !item.Reserved(n[1]) {
					t.Errorf("%s keeps the name %s: add it to reserved in sources/dynamodb/item/table.go", f, n[1])
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("%d reserved names found in the sinks", found)
	}
}
