package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// Quarantined lists the rows of the pipeline that are in quarantine.
func (s *Sink) Quarantined(ctx context.Context, pipeline string) ([]window.Quarantined, error) {
	pool, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := pool.Query(ctx, ledger.SelectQuarantined, pipeline)
	if err != nil {
		return nil, classify(err)
	}
	out, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (q window.Quarantined, err error) {
		return q, r.Scan(&q.Table.Schema, &q.Table.Name, &q.Key)
	})
	return out, classify(err)
}

// stageQuarantine brings the parts of the quarantine into staging. No primary key will meet a key that is there twice: it
// is counted here.
func (l *tableLoad) stageQuarantine(ctx context.Context, tx pgx.Tx) error {
	if err := l.makeStage(ctx, tx); err != nil {
		return err
	}
	if err := l.copyTo(ctx, tx, l.stage, true); err != nil {
		return err
	}
	counts := ledger.Counts{Upserts: l.Upserts, Deletes: l.Deletes}
	if err := tx.QueryRow(ctx, "SELECT count(*) - count(DISTINCT ("+idents(l.Key)+")) FROM "+l.stage).Scan(&counts.RepeatedKeys); err != nil {
		return err
	}
	return ledger.CheckCounts(l.TableLoad, counts)
}
