package mysql

import (
	"context"
	"database/sql"
	"fmt"
)

// checkHistory makes sure that the server can go on from our position, both ways: what it has purged we must have, and
// what we have it must have executed. A server sends the log of another history without a word.
func (s *server) checkHistory(ctx context.Context, done gtidSet) error {
	if s.flavor == mariadb {
		return s.checkMariaHistory(ctx, done.(*mariaSet))
	}
	return s.checkMySQLHistory(ctx, done.(*mysqlSet))
}

func (s *server) checkMySQLHistory(ctx context.Context, done *mysqlSet) error {
	var purgedText, executedText string
	if err := s.db.QueryRowContext(ctx, "SELECT @@global.gtid_purged, @@global.gtid_executed").Scan(&purgedText, &executedText); err != nil {
		return s.config.failure("asking for the GTID position", err)
	}
	purged, err := parseMySQLSet(purgedText)
	if err != nil {
		return err
	}
	executed, err := parseMySQLSet(executedText)
	if err != nil {
		return err
	}
	switch {
	case !done.within(executed):
		return s.diverged()
	case !purged.within(done):
		return s.purged()
	}
	return nil
}

func (s *server) diverged() error {
	return &Error{Cause: Diverged, Server: s.config.Address, What: "the server has not executed what was read before: it was restored, reset or replaced by one with another history",
		Remedy: "point the source at the server it was read from, or run: " + s.config.resyncSource()}
}

func (s *server) purged() error {
	return &Error{Cause: Purged, Server: s.config.Address, What: "the server has purged its binlog past our position",
		Remedy: "run: " + s.config.resyncSource() + "; and keep the binlog longer than the longest outage (binlog_expire_logs_seconds; on RDS: CALL mysql.rds_set_configuration('binlog retention hours', 72))"}
}

// checkMariaHistory compares domain by domain. The GTID state at the head of the oldest log file is what was purged.
func (s *server) checkMariaHistory(ctx context.Context, done *mariaSet) error {
	end, err := s.position(ctx)
	if err != nil {
		return err
	}
	if !done.within(end) {
		return s.diverged()
	}
	var first string
	err = s.each(ctx, "listing the binlog files", "SHOW BINARY LOGS", nil, func(scan func(...any) error) error {
		var name string
		var size sql.NullInt64
		if err := scan(&name, &size); err != nil {
			return err
		}
		if first == "" {
			first = name
		}
		return nil
	})
	if err != nil {
		return err
	}
	var text sql.NullString
	if err := s.db.QueryRowContext(ctx, "SELECT BINLOG_GTID_POS(?, 4)", first).Scan(&text); err != nil {
		return s.config.failure("asking for the oldest GTID position", err)
	}
	head, err := parseMariaSet(text.String)
	if err != nil {
		return fmt.Errorf("reading the oldest GTID position: %w", err)
	}
	if !head.within(done) {
		return s.purged()
	}
	return nil
}
