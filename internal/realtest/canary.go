package realtest

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
)

// Canary is a value to plant in rows, passwords and SQL parameters. It must come out of the warehouse and out of
// nothing else: no log line, error, metric or span may hold it (DESIGN §10.6).
const Canary = "canary7Qx2Zk9Vt"

// NoCanary fails the test for each line of a captured text that holds the canary, plain or as hex or base64, in
// whatever letter case.
func NoCanary(t testing.TB, what, text string) {
	t.Helper()
	for i, line := range strings.Split(text, "\n") {
		if holdsCanary(line) {
			t.Errorf("%s, line %d holds the planted value: %s", what, i+1, line)
		}
	}
}

func holdsCanary(line string) bool {
	low := strings.ToLower(line)
	for _, form := range []string{
		Canary,
		hex.EncodeToString([]byte(Canary)),
		base64.RawStdEncoding.EncodeToString([]byte(Canary)),
	} {
		if strings.Contains(low, strings.ToLower(form)) {
			return true
		}
	}
	return false
}
