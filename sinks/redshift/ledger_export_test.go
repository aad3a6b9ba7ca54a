package redshift

import (
	"context"
	"time"

	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// recorder takes the ledger's statements instead of a warehouse.
type recorder struct{ sql []string }

func (r *recorder) Exec(_ context.Context, sql string, _ ...any) (int64, error) {
	r.sql = append(r.sql, sql)
	return 1, nil
}

func ledgerTemplates(p *window.Publication) ([]string, error) {
	r := &recorder{sql: []string{dialect.SelectFence(false), dialect.InsertFence(), ledger.TakeFence, dialect.SelectTable(), ledger.SelectQuarantined, "SELECT SYSDATE"}}
	if err := dialect.Record(context.Background(), r, p, &p.Manifest.Tables[0]); err != nil {
		return nil, err
	}
	err := dialect.Move(context.Background(), r, p, `"tidemill_stage"`, ledger.Outcome{}, time.Time{})
	return r.sql, err
}
