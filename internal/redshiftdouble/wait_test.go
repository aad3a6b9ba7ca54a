package redshiftdouble_test

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// eventually waits for a condition.
func (l *lab) eventually(what string, holds func() bool) {
	l.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-limit:
			l.Fatalf("never: %s", what)
		}
	}
}

// waiting is how many sessions of the double's database wait for a lock.
func waiting(l *lab) int {
	l.Helper()
	c, err := pgx.Connect(context.Background(), l.dsn)
	if err != nil {
		l.Fatal(err)
	}
	defer c.Close(context.Background())
	var n int
	if err := c.QueryRow(context.Background(), "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&n); err != nil {
		l.Fatal(err)
	}
	return n
}
