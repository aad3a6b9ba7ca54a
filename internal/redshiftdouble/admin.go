package redshiftdouble

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// admin is the double's own connection to PostgreSQL: what it writes survives the rollback of any client (invariant 4).
type admin struct {
	mu   sync.Mutex
	conn *pgconn.PgConn

	super, varbyte uint32 // PostgreSQL's numbers of our types
}

func openAdmin(ctx context.Context, c *pgconn.Config) (*admin, error) {
	conn, err := pgconn.ConnectConfig(ctx, c.Copy())
	if err != nil {
		return nil, err
	}
	return &admin{conn: conn}, nil
}

// exec runs one statement with text parameters, or a script without any.
func (a *admin) exec(ctx context.Context, sql string, args ...string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(args) == 0 {
		_, err := a.conn.Exec(ctx, sql).ReadAll()
		return err
	}
	return a.conn.ExecParams(ctx, sql, bytesOf(args), nil, nil, nil).Read().Err
}

// rows are all values of a query, as text.
func (a *admin) rows(ctx context.Context, sql string, args ...string) ([][]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.conn.ExecParams(ctx, sql, bytesOf(args), nil, nil, nil).Read()
	return stringsOf(r), r.Err
}

func bytesOf(args []string) [][]byte {
	out := make([][]byte, len(args))
	for i, a := range args {
		out[i] = []byte(a)
	}
	return out
}

func stringsOf(r *pgconn.Result) [][]string {
	out := make([][]string, 0, len(r.Rows))
	for _, row := range r.Rows {
		values := make([]string, len(row))
		for i, v := range row {
			values[i] = string(v)
		}
		out = append(out, values)
	}
	return out
}

func (a *admin) close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := a.conn.Close(ctx); err != nil {
		return fmt.Errorf("closing the double's own connection: %w", err)
	}
	return nil
}
