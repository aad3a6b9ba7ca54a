package duckdb

import (
	"context"
	"database/sql/driver"
	"errors"

	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// Quarantined lists the rows of the pipeline that are in quarantine.
func (s *Sink) Quarantined(ctx context.Context, pipeline string) (out []window.Quarantined, err error) {
	c, err := s.conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.release(c, err)) }()
	err = c.Rows(ctx, ledger.SelectQuarantined, func(row []driver.Value) error {
		out = append(out, window.Quarantined{Table: window.WarehouseTable{Schema: row[0].(string), Name: row[1].(string)}, Key: row[2].(string)})
		return nil
	}, pipeline)
	return out, classify(err)
}
