package redshiftdouble

import (
	"bytes"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// discard is a client that nobody hears.
func discard() *pgproto3.Backend { return pgproto3.NewBackend(&bytes.Buffer{}, io.Discard) }

// FuzzPlan: no text makes the parsers panic, and what they pass is cut into tokens again.
func FuzzPlan(f *testing.F) {
	for _, c := range Corpus() {
		f.Add(c.Statement)
	}
	for _, s := range []string{"", ";", "'", `"`, "$$", "/*", "SET x TO", "MERGE INTO", "WITH x AS (", "COPY t FROM", "UNLOAD (", "CREATE TABLE t (", "ALTER TABLE t ALTER", "a" + "\x00", "#", "#t", "E'x'"} {
		f.Add(s)
	}
	server := &Server{config: Config{}.withDefaults(), names: newNames(), faults: newFaults(), admin: &admin{}}
	f.Fuzz(func(t *testing.T, sql string) {
		s := &session{server: server, settings: settings{}, wire: discard()}
		plans, err := s.plans(sql)
		if err != nil {
			return
		}
		for _, p := range plans {
			if p.verb == "" || p.sql == "" && p.do == nil {
				t.Fatalf("an empty plan for %q", sql)
			}
		}
	})
}
