package mysql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidemill/tidemill/ingest"
	"github.com/tidemill/tidemill/internal/grid"
	"github.com/tidemill/tidemill/internal/kafka"
)

// logged is a source that writes into a log, as its owner runs it.
type logged struct {
	l       *lab
	cfg     kafka.Config
	client  *kafka.Client
	config  Config
	running []*loggedRun
}

type loggedRun struct {
	stop context.CancelFunc
	done chan struct{}
	err  error
}

func newLogged(t *testing.T, l *lab, tables ...string) *logged {
	t.Helper()
	broker, err := kafka.OpenEmbedded(kafka.EmbeddedOptions{})
	if err != nil {
		t.Fatal(err)
	}
	g := &logged{l: l, cfg: broker.Config(), config: l.config(tables...)}
	g.config.ChunkRows = 50
	if g.client, err = kafka.New(g.cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, r := range g.running {
			r.stop()
			<-r.done
		}
		g.client.Close()
		if err := broker.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// own starts an owner. One that runs already is not told: it is a zombie until it sees the claim.
func (g *logged) own(t *testing.T) *loggedRun {
	t.Helper()
	length, err := grid.New(time.Second)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &loggedRun{stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for r.err = ingest.ErrAnew; errors.Is(r.err, ingest.ErrAnew); {
			src, err := New("test", g.config, nil)
			if err != nil {
				r.err = err
				return
			}
			src.interval = 20 * time.Millisecond
			r.err = ingest.Stream(ctx, ingest.Config{Source: "test", Owner: "test", Grid: length, Kafka: g.cfg, Partitions: 2, Replication: 1}, src)
		}
	}()
	g.running = append(g.running, r)
	return r
}

func (g *logged) ask(t *testing.T, table string) {
	t.Helper()
	r := ingest.Request{ID: fmt.Sprint(time.Now().UnixNano()), Source: "test", At: time.Now()}
	if table != "" {
		r.Table = g.l.table(table).String()
	}
	if err := ingest.Ask(t.Context(), g.client, r); err != nil {
		t.Fatal(err)
	}
}

// until polls the checkpoint that counts.
func (g *logged) until(t *testing.T, what string, ok func(ingest.Checkpoint) bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(60 * time.Second)
	var last ingest.Checkpoint
	for {
		points, err := ingest.Checkpoints(t.Context(), g.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if last = points["test"]; ok(last) {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited for %s; the checkpoint is at %s, loads %v, parked %v, requests %v", what, last.Position, last.Loads, last.Parked, last.Requests)
		}
	}
}

func (g *logged) loaded(table string) func(ingest.Checkpoint) bool {
	name := g.l.table(table).String()
	return func(c ingest.Checkpoint) bool { return c.Parked[name] == "" && c.Loads[name].Done }
}

func (g *logged) parked(table string) func(ingest.Checkpoint) bool {
	name := g.l.table(table).String()
	return func(c ingest.Checkpoint) bool {
		return strings.Contains(c.Parked[name], g.l.resync(table)) // it says what to run
	}
}

// anew says that a table's load has been asked for and has come through, for the n-th time.
func (g *logged) anew(t *testing.T, table string, n int) {
	t.Helper()
	g.until(t, "the load of "+table, func(c ingest.Checkpoint) bool {
		v := g.newest(t)
		for i := range v.Tables {
			if v.Tables[i].Schema.Table == g.l.table(table) {
				return c.Registry >= v.Version && v.Tables[i].Generation() == n && g.loaded(table)(c)
			}
		}
		return false
	})
}

func (g *logged) newest(t *testing.T) (v ingest.Registry) {
	t.Helper()
	records, err := kafka.ReadAll(t.Context(), g.cfg, ingest.RegistryTopic)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		var x ingest.Registry
		if err := json.Unmarshal(r.Value, &x); err != nil {
			t.Fatal(err)
		}
		if x.Version >= v.Version {
			v = x
		}
	}
	return v
}

// same waits until the rows of the table's generation in the log are what the server holds.
func (g *logged) same(t *testing.T, table string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for {
		got, want := g.content(t, table), g.l.rowsOf(table)
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s: %d rows in the log, the server has %d; first difference: %s", table, len(got), len(want), firstDifference(got, want))
		}
	}
}

// content reads a table's generation as any reader does.
func (g *logged) content(t *testing.T, table string) []string {
	t.Helper()
	rec := newRecorder(t, 2)
	name := g.l.table(table)
	rec.rows[name] = map[string]string{}
	v := g.newest(t)
	i := slices.IndexFunc(v.Tables, func(x ingest.RegistryTable) bool { return x.Schema.Table == name })
	bounds, err := kafka.Offsets(t.Context(), g.client, v.Tables[i].Topic)
	if err != nil {
		t.Fatal(err)
	}
	for p, b := range bounds[v.Tables[i].Topic] {
		at := ingest.PartMark{Offset: b.Start}
		if base := v.Tables[i].Base; base != nil {
			at = base.Parts[p]
		}
		err := kafka.ReadPartition(t.Context(), g.cfg, v.Tables[i].Topic, p, at.Offset, b.End, func(r *kgo.Record) error {
			h, payload, err := ingest.ParseRecord(r.Value)
			if err != nil || h.Epoch < at.Epoch {
				return err
			}
			at.Epoch = h.Epoch
			if h.Kind != ingest.BatchRecord || h.Seq+h.Rows-1 <= at.Seq {
				return nil
			}
			if h.Seq != at.Seq+1 {
				return fmt.Errorf("seq %d after %d", h.Seq, at.Seq)
			}
			at.Seq = h.Seq + h.Rows - 1
			batch, err := ingest.DecodeBatch(payload)
			if err != nil {
				return err
			}
			defer batch.Release()
			s, err := ingest.SchemaOf(batch.Schema())
			if err != nil {
				return err
			}
			rec.applyRecord(s, batch)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return slices.Sorted(maps.Values(rec.rows[name]))
}

// A parked table comes back by a request, beside a stream that goes on and over owners that come and go; rows that went
// while nobody looked are gone. So does a whole source whose log was purged.
func TestResync(t *testing.T) {
	eachServer(t, nil, func(t *testing.T, l *lab) {
		l = l.in(t, "resync")
		l.exec("CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)", "CREATE TABLE hot (id INT PRIMARY KEY, v INT)",
			"INSERT INTO t (v) VALUES (1),(2),(3),(4),(5),(6),(7),(8)", "INSERT INTO hot SELECT id, v FROM t")
		for range 6 {
			l.exec("INSERT INTO t (v) SELECT v + 1 FROM t")
		}
		l.exec("INSERT IGNORE INTO hot SELECT id, v FROM t")
		g := newLogged(t, l, "t", "hot")
		g.own(t)
		g.until(t, "the first loads", func(c ingest.Checkpoint) bool { return g.loaded("t")(c) && g.loaded("hot")(c) })
		g.same(t, "t")

		t.Log("truncated, then filled again")
		stop := g.heat(t)
		l.exec("TRUNCATE t")
		g.until(t, "the table is parked", g.parked("t"))
		l.exec("INSERT INTO t (v) SELECT v FROM hot")
		g.ask(t, "t")
		g.own(t) // a new owner takes over somewhere between the request and the load's end; the old one does not know
		g.anew(t, "t", 1)
		stop()
		g.same(t, "t")
		g.same(t, "hot")

		t.Log("another primary key, and a column that became something else")
		stop = g.heat(t)
		l.exec("ALTER TABLE t DROP PRIMARY KEY, MODIFY v VARCHAR(20) NOT NULL, ADD COLUMN w INT NULL, ADD PRIMARY KEY (id, v)", "UPDATE t SET v = CONCAT('was ', v)")
		g.until(t, "the table is parked", g.parked("t"))
		l.exec("DELETE FROM t WHERE id % 3 = 0")
		g.ask(t, "t")
		g.anew(t, "t", 2)
		l.exec("UPDATE t SET w = id WHERE id % 2 = 0")
		g.ask(t, "hot") // a table that is not parked, and hot
		g.anew(t, "hot", 1)
		stop()
		g.same(t, "t")
		g.same(t, "hot")

		t.Log("the log is purged behind a stopped owner")
		for _, r := range g.running {
			r.stop()
			<-r.done
		}
		l.exec("DELETE FROM t WHERE id % 3 = 1", "FLUSH BINARY LOGS")
		l.purge(l.lastLog())
		lost := g.own(t)
		<-lost.done
		if causeOf(lost.err) != Purged || !strings.Contains(lost.err.Error(), ingest.ResyncCommand("test")) {
			t.Fatalf("the owner ended with %v, want one that names resync", lost.err)
		}
		g.ask(t, "")
		g.own(t)
		g.anew(t, "t", 3)
		g.anew(t, "hot", 2)
		l.exec("INSERT INTO t (v) VALUES ('after')", "UPDATE hot SET v = v + 1 WHERE id < 20")
		g.same(t, "t")
		g.same(t, "hot")

		t.Log("a table that is not there any more")
		l.exec("DROP TABLE t")
		g.until(t, "the table is parked", g.parked("t"))
		g.ask(t, "t")
		g.until(t, "it is parked again, since it is not there", func(c ingest.Checkpoint) bool {
			return g.parked("t")(c) && strings.Contains(c.Parked[l.table("t").String()], "no such table")
		})
		l.exec("CREATE TABLE t (id INT PRIMARY KEY, x INT)", "INSERT INTO t VALUES (7, 8)")
		g.ask(t, "t")
		g.until(t, "the table is loaded", g.loaded("t"))
		g.same(t, "t")
	})
}

// heat changes the hot table until stop is called.
func (g *logged) heat(t *testing.T) (stop func()) {
	t.Helper()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			g.l.try(fmt.Sprintf("UPDATE hot SET v = v + 1 WHERE id %% 7 = %d", i%7), fmt.Sprintf("DELETE FROM hot WHERE id = %d", 20+i%200),
				fmt.Sprintf("INSERT IGNORE INTO hot VALUES (%d, %d)", 20+(i+100)%200, i))
		}
	})
	stop = sync.OnceFunc(func() { close(done); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

// lastLog is the server's present log file.
func (l *lab) lastLog() (name string) {
	l.t.Helper()
	var rest any
	into := []any{&name, &rest, &rest, &rest, &rest}
	statement := map[flavor]string{mariadb: "SHOW MASTER STATUS", mysql: "SHOW BINARY LOG STATUS"}[l.flavor]
	if l.flavor == mariadb {
		into = into[:4]
	}
	if err := l.db.QueryRow(statement).Scan(into...); err != nil {
		l.t.Fatal(err)
	}
	return name
}
