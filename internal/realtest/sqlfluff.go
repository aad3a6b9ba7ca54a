package realtest

import (
	"testing"

	"github.com/tidemill/tidemill/internal/servers"
)

// Unparsable has sqlfluff parse Redshift statements and returns its complaints by the statement's index.
func Unparsable(t testing.TB, statements []string) map[int][]string {
	t.Helper()
	Need(t, "sqlfluff")
	found, err := servers.Unparsable(t.Context(), "redshift", statements)
	if err != nil {
		giveUp(t, err)
	}
	return found
}
