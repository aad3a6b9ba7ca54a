package mysql

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemill/tidemill/ingest"
)

// loadCase is a table whose rows are read in chunks while sessions change them.
type loadCase struct {
	name   string
	create string
	key    func(r *rand.Rand) string // a literal of the key columns, "k1, k2"
	where  func(key string) string
}

func oneColumn(literal func(*rand.Rand) string) (func(*rand.Rand) string, func(string) string) {
	return literal, func(key string) string { return "id = " + key }
}

func loadCases(f flavor) []loadCase {
	number, byID := oneColumn(func(r *rand.Rand) string { return strconv.Itoa(r.IntN(900) - 100) })
	word, _ := oneColumn(func(r *rand.Rand) string {
		return fmt.Sprintf("'%s%d'", []string{"a", "A", "é", "Z", "z", "ß"}[r.IntN(6)], r.IntN(150))
	})
	enum, _ := oneColumn(func(r *rand.Rand) string { return fmt.Sprintf("'%c'", 'a'+r.IntN(26)) })
	cases := []loadCase{
		{"int", "id INT PRIMARY KEY", number, byID},
		{"text_ci", "id VARCHAR(20) CHARACTER SET latin1 PRIMARY KEY", word, byID},
		{"text_utf8", "id VARCHAR(20) CHARACTER SET utf8mb4 PRIMARY KEY", word, byID},
		{"enum_in_one_go", "id ENUM('z','y','x','w','v','u','t','s','r','q','p','o','n','m','l','k','j','i','h','g','f','e','d','c','b','a') PRIMARY KEY", enum, byID},
		{"composite", "a SMALLINT UNSIGNED, b DATE, c VARCHAR(3) COLLATE utf8mb4_bin, PRIMARY KEY (b, c, a)",
			func(r *rand.Rand) string {
				return fmt.Sprintf("%d, '2026-01-%02d', '%c'", r.IntN(20), 1+r.IntN(10), 'a'+r.IntN(5))
			},
			nil},
	}
	if f == mariadb {
		uuid, _ := oneColumn(func(r *rand.Rand) string {
			return fmt.Sprintf("'%08x-1234-%x%03x-8123-%012x'", r.IntN(4), 1+r.IntN(7), r.IntN(4), r.IntN(100))
		})
		cases = append(cases, loadCase{"uuid", "id UUID PRIMARY KEY", uuid, byID})
	}
	return cases
}

// A table that changes while it is loaded in small chunks must end as the server has it, whatever the timing. A chunk's row
// that is older than one the stream has emitted would stay: most rows are changed once or twice only.
func TestLoadUnderWrites(t *testing.T) {
	seeds := 3
	if n, err := strconv.Atoi(os.Getenv("TIDEMILL_SEEDS")); err == nil {
		seeds = n
	}
	eachServer(t, nil, func(t *testing.T, l *lab) {
		for _, c := range loadCases(l.flavor) {
			t.Run(c.name, func(t *testing.T) {
				for seed := range seeds {
					c.check(t, l.in(t, "load_"+c.name), uint64(seed))
				}
			})
		}
	})
}

func (c loadCase) check(t *testing.T, l *lab, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	l.exec("CREATE TABLE t ("+c.create+", v INT, note VARCHAR(30))", "CREATE TABLE other (id INT PRIMARY KEY)")
	rows := make([]string, 1500)
	for i := range rows {
		rows[i] = fmt.Sprintf("(%s, %d, 'note %d')", c.key(r), r.IntN(1e6), r.IntN(100))
	}
	l.exec("INSERT IGNORE INTO t (" + c.columns() + ", v, note) VALUES " + strings.Join(rows, ", "))
	rec := newRecorder(t, 1+int(seed%3))
	cfg := l.config("t")
	cfg.ChunkRows = []int{7, 23, 111}[seed%3]
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() { c.write(ctx, t, l, rand.New(rand.NewPCG(seed, uint64(w)+100))) })
	}
	run := l.run(cfg, rec, ingest.Resume{})
	rec.await("the load", func() bool { return rec.loads[l.table("t")].Done })
	stop()
	writers.Wait()
	l.settle(rec)
	l.same(rec, "t")
	if t.Failed() {
		t.Fatalf("seed %d", seed)
	}
	if len(rec.parked) > 0 {
		t.Fatalf("parked: %v", rec.parked)
	}
	run.end(t)
}

func (c loadCase) columns() string {
	if c.where == nil {
		return "a, b, c"
	}
	return "id"
}

func (c loadCase) insert(r *rand.Rand) string {
	return fmt.Sprintf("INSERT INTO t (%s, v, note) VALUES (%s, %d, 'note %d') ON DUPLICATE KEY UPDATE v = v + 1", c.columns(), c.key(r), r.IntN(1e6), r.IntN(100))
}

func (c loadCase) match(r *rand.Rand) string {
	return "(" + c.columns() + ") = (" + c.key(r) + ")"
}

// write changes random rows until ctx ends: single statements, transactions, changes of keys, groups of another table.
func (c loadCase) write(ctx context.Context, t *testing.T, l *lab, r *rand.Rand) {
	for ctx.Err() == nil {
		tx, err := l.db.Begin()
		if err != nil {
			t.Error(err)
			return
		}
		for range 1 + r.IntN(3) {
			q := c.insert(r)
			switch r.IntN(6) {
			case 0, 1:
				q = fmt.Sprintf("UPDATE t SET v = %d WHERE %s", r.IntN(1e6), c.match(r))
			case 2:
				q = "DELETE FROM t WHERE " + c.match(r)
			case 3:
				if c.where != nil {
					q = fmt.Sprintf("UPDATE IGNORE t SET id = %s WHERE %s", c.key(r), c.match(r))
				}
			case 4:
				q = fmt.Sprintf("REPLACE INTO other VALUES (%d)", r.IntN(100))
			}
			if _, err := tx.Exec(q); err != nil {
				if code, _ := serverCode(err); code != codeDeadlock && code != codeLockWait {
					t.Errorf("%s: %v", q, err)
				}
				break
			}
		}
		if r.IntN(10) == 0 {
			err = tx.Rollback()
		} else {
			err = tx.Commit()
		}
		if err != nil {
			if code, _ := serverCode(err); code != codeDeadlock {
				t.Error(err)
			}
		}
	}
}

// Each row counts its own changes. What is emitted for a key must never go back: a chunk is neither older than what the stream
// has emitted nor newer than the place where it is emitted. The commits are made slow in turns, so that the log sends groups
// long before they can be seen.
func TestLoadNeverGoesBack(t *testing.T) {
	check := func(t *testing.T, l *lab, slow, fast string) {
		l = l.in(t, "monotone")
		l.exec("CREATE TABLE t (id INT PRIMARY KEY, v INT)", "CREATE TABLE other (id INT PRIMARY KEY, v INT)", "INSERT INTO other VALUES (1, 1)")
		l.exec("INSERT INTO t WITH RECURSIVE n AS (SELECT 0 i UNION ALL SELECT i + 1 FROM n WHERE i < 399) SELECT i, 0 FROM n")
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				r := rand.New(rand.NewPCG(5, uint64(w)))
				for ctx.Err() == nil {
					a, b := r.IntN(400), r.IntN(400)
					l.try(fmt.Sprintf("UPDATE t SET v = v + 1 WHERE id BETWEEN %d AND %d", a, min(a+2, 399)), fmt.Sprintf("UPDATE t SET v = v + 1 WHERE id = %d", b))
				}
			})
		}
		writers.Go(func() { // the server waits for an acknowledgement that nobody gives, then gives up until it is told again
			for ctx.Err() == nil {
				l.try(slow, "UPDATE other SET v = v + 1", fast)
			}
		})
		for round := range 8 {
			rec := newRecorder(t, 1+round%2)
			rec.slow = time.Duration(round%2) * 500 * time.Microsecond
			last := map[string]int{}
			rec.onRow = func(table ingest.TableName, key string, values []string) {
				v, err := strconv.Atoi(values[1])
				if before, ok := last[key]; err != nil || ok && v < before {
					t.Errorf("round %d: key %s went from %d to %s", round, key, before, values[1])
				}
				last[key] = v
			}
			cfg := l.config("t")
			cfg.ChunkRows = 9
			run := l.run(cfg, rec, ingest.Resume{})
			rec.await("the load", func() bool { return rec.loads[l.table("t")].Done })
			run.end(t)
		}
		stop()
		writers.Wait()
	}
	t.Run("mariadb", func(t *testing.T) {
		l := serverLab(t, mariadb, "rpl_semi_sync_master_timeout=15", "rpl_semi_sync_master_wait_point=AFTER_SYNC")
		check(t, l, "SET GLOBAL rpl_semi_sync_master_enabled=ON", "SET GLOBAL rpl_semi_sync_master_enabled=OFF")
	})
	t.Run("mysql", func(t *testing.T) {
		l := serverLab(t, mysql, "plugin-load-add=semisync_source.so", "rpl-semi-sync-source-timeout=15")
		check(t, l, "SET GLOBAL rpl_semi_sync_source_enabled=ON", "SET GLOBAL rpl_semi_sync_source_enabled=OFF")
	})
}
