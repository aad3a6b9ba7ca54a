package realtest

import (
	"errors"
	"testing"

	"github.com/tidemill/tidemill/internal/servers"
)

// giveUp skips for a missing component and fails for any other error.
func giveUp(t testing.TB, err error) {
	t.Helper()
	var missing *servers.MissingError
	if errors.As(err, &missing) && !requireAll() {
		t.Skipf("SKIPPED: %v", err)
	}
	t.Fatal(err)
}
