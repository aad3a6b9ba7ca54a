package e2e_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/oracle"
)

const accounts, deposit = 40, 1000

// bank is two tables of one server between which money moves; no transaction changes how much there is.
func bank(e *env) {
	e.session = time.Second
	for _, table := range []string{"checking", "savings"} {
		e.extra = append(e.extra, "create table clinic."+table+" (account int primary key, balance int not null)")
		var rows []string
		for i := range accounts {
			rows = append(rows, fmt.Sprintf("(%d, %d)", i, deposit))
		}
		e.extra = append(e.extra, "insert into clinic."+table+" values "+strings.Join(rows, ", "))
		e.outputs = append(e.outputs, oracle.Output{Name: "raw_consult." + table, Source: "consult", Table: table})
	}
	e.outputs = append(e.outputs, oracle.Output{Name: "mart.wealth", SQL: wealth})
}

// wealth joins both tables: the sum over it is kept, too.
const wealth = `SELECT c.account, c.balance + s.balance AS owned FROM consult.checking c JOIN consult.savings s ON s.account = c.account`

// TestBank: four clients transfer money between accounts of two tables, all the time. The sum is the same in every window:
// in what each window published, and in the warehouse itself, which is read all the time, tables and fence in one snapshot,
// while the daemon is killed and comes back.
func TestBank(t *testing.T) {
	for _, c := range []combo{
		{"kafka", "postgres", "s3", "mysql", "mariadb", ""},
		{"embedded", "duckdb", "folder", "mariadb", "mariadb", ""},
	} {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, c, bank)
			e.counted(t)
			write(t, e.dir, "pipelines/wealth.sql", wealth)
			care := "pipelines/care.yaml"
			replace(t, e.dir, care, "  - name: mart.visits", "  - name: mart.wealth\n    sql: wealth.sql\n    key: [account]\n  - name: mart.visits")
			stop := e.transfers(t)
			d := e.run(t)
			e.recovered(t)
			w := watchBank(t, e)
			rng := rand.New(rand.NewPCG(*seed, 95))
			for range 5 * *rounds {
				wait(t, time.Duration(rng.Int64N(int64(3*length))))
				e.kill(t, d)
				d = e.run(t)
				e.recovered(t)
				e.bankJudge(t)
			}
			moved := stop()
			e.settled(t, patience)
			seen := w.stop()
			e.bankJudge(t)
			e.warehouseEquals(t)
			d.stop(t)
			t.Logf("%d transfers; %d of %d windows were seen in the warehouse, %d times in all", moved, len(seen), e.checker.Windows, w.looks)
			if len(seen) < e.checker.Windows/2 {
				t.Error("too few windows were seen: the test did not test")
			}
		})
	}
}

// transfers moves money until stop, which says how often it did.
func (e *env) transfers(t *testing.T) (stop func() int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var moved atomic.Int64
	for i := range 4 {
		rng := rand.New(rand.NewPCG(*seed, uint64(i)))
		wg.Go(func() {
			pace := time.NewTicker(15 * time.Millisecond)
			defer pace.Stop()
			for ctx.Err() == nil {
				if transfer(ctx, e.db[0], rng) == nil { // a deadlock is one of the things that happen
					moved.Add(1)
				}
				select {
				case <-pace.C:
				case <-ctx.Done():
				}
			}
		})
	}
	stop = func() int64 { cancel(); wg.Wait(); return moved.Load() }
	t.Cleanup(func() { stop() })
	return stop
}

func transfer(ctx context.Context, db *sql.DB, rng *rand.Rand) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // done already when it was committed
	tables := [2]string{"checking", "savings"}
	amount := 1 + rng.IntN(50)
	for i, sign := range []int{-1, 1} {
		table := tables[(i+rng.IntN(2))%2]
		if _, err := tx.ExecContext(ctx, fmt.Sprintf("update clinic.%s set balance = balance + %d where account = %d", table, sign*amount, rng.IntN(accounts))); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// bankJudge judges window by window, and counts the money in each.
func (e *env) bankJudge(t *testing.T) {
	t.Helper()
	e.each = func(r receiptRow) {
		for names, want := range map[string]int{"raw_consult.checking balance raw_consult.savings balance": 2 * accounts * deposit, "mart.wealth owned": 2 * accounts * deposit} {
			words := strings.Fields(names)
			total := 0
			for i := 0; i < len(words); i += 2 {
				total += e.sum(t, words[i], words[i+1])
			}
			if total != want {
				t.Errorf("window %s: %s sum up to %d, want %d", r.Start, names, total, want)
			}
		}
	}
	e.judge(t)
}

// sum adds up a column of what has been published so far.
func (e *env) sum(t *testing.T, table, column string) int {
	t.Helper()
	cols, _, rows := e.checker.Content(table)
	total := 0
	for _, row := range rows {
		for i, c := range cols {
			var n int
			if c != column {
				continue
			}
			if _, err := fmt.Sscan(row[i].Text, &n); err != nil {
				t.Fatal(err)
			}
			total += n
		}
	}
	return total
}

// bankWatch reads the warehouse again and again.
type bankWatch struct {
	cancel context.CancelFunc
	done   chan struct{}
	seen   map[string]bool
	looks  int
}

func watchBank(t *testing.T, e *env) *bankWatch {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &bankWatch{cancel: cancel, done: make(chan struct{}), seen: map[string]bool{}}
	go func() {
		defer close(w.done)
		pace := time.NewTicker(20 * time.Millisecond)
		defer pace.Stop()
		for ctx.Err() == nil {
			w.look(ctx, t, e)
			select {
			case <-pace.C:
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() { w.stop() })
	return w
}

func (w *bankWatch) stop() map[string]bool {
	w.cancel()
	<-w.done
	return w.seen
}

// look reads fence and sums in one statement, which is one snapshot.
func (w *bankWatch) look(ctx context.Context, t *testing.T, e *env) {
	rows, err := e.ask(ctx, `select cast(extract(epoch from f.window_start) as bigint) as s, cast(f.slice as bigint) as k,
 (select cast(sum(balance) as bigint) from raw_consult.checking) as c, (select cast(sum(balance) as bigint) from raw_consult.savings) as v,
 (select cast(sum(owned) as bigint) from mart.wealth) as w
 from tidemill.fence f where f.pipeline = 'care'`)
	if err != nil || len(rows) != 1 { // the daemon that DuckDB is asked through is away now and then
		return
	}
	var c, v, o int
	if _, err := fmt.Sscan(rows[0]["c"]+" "+rows[0]["v"]+" "+rows[0]["w"], &c, &v, &o); err != nil {
		t.Errorf("reading sums: %v", err)
		return
	}
	w.looks++
	w.seen[rows[0]["s"]+"."+rows[0]["k"]] = true
	if c+v != 2*accounts*deposit || o != 2*accounts*deposit {
		t.Errorf("in the warehouse at window %s: %d + %d in the tables, %d in the view, want %d", rows[0]["s"], c, v, o, 2*accounts*deposit)
	}
}
