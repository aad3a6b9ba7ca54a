package redshift

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/tidemill/tidemill/sinks/ledger"
	"github.com/tidemill/tidemill/window"
)

// Quarantined lists the rows of the pipeline that are in quarantine.
func (s *Sink) Quarantined(ctx context.Context, pipeline string) (out []window.Quarantined, err error) {
	err = s.session(ctx, func(c *session) error {
		rows, err := c.conn.Query(ctx, ledger.SelectQuarantined, pipeline)
		if err != nil {
			return classify(err)
		}
		out, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (q window.Quarantined, err error) {
			return q, r.Scan(&q.Table.Schema, &q.Table.Name, &q.Key)
		})
		return classify(err)
	})
	return out, err
}
