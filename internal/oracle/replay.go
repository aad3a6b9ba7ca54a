package oracle

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
)

// Server is where a source's change log is read again.
type Server struct {
	Flavor   string // mysql.MariaDBFlavor or mysql.MySQLFlavor
	Host     string
	Port     uint16
	User     string
	Password string
	Database string // the one database that is replayed
	ServerID uint32 // unlike any other reader's
}

// Replay is a server's change log applied, group by group, from its birth.
type Replay struct {
	Tables map[string]*Table // by table name

	server   Server
	syncer   *replication.BinlogSyncer
	stream   *replication.BinlogStreamer
	executed mysql.GTIDSet
	group    string
	pending  []func()
	touched  map[string]map[string]bool // table -> keys changed since the last Touched call
}

// NewReplay opens the change log at its birth.
func NewReplay(s Server) (*Replay, error) {
	executed, err := mysql.ParseGTIDSet(s.Flavor, "")
	if err != nil {
		return nil, fmt.Errorf("making an empty GTID set: %w", err)
	}
	r := &Replay{Tables: map[string]*Table{}, server: s, executed: executed, touched: map[string]map[string]bool{}}
	return r, r.open(executed)
}

// open reads the change log behind what was executed.
func (r *Replay) open(executed mysql.GTIDSet) error {
	if r.syncer != nil {
		r.syncer.Close()
	}
	s := r.server
	r.group, r.pending = "", nil
	r.syncer = replication.NewBinlogSyncer(replication.BinlogSyncerConfig{
		ServerID: s.ServerID, Flavor: s.Flavor, Host: s.Host, Port: s.Port, User: s.User, Password: s.Password,
		TimestampStringLocation: time.UTC, HeartbeatPeriod: time.Second, RenderJSONAsMySQLText: true,
		Logger: slog.New(slog.DiscardHandler),
	})
	var err error
	if r.stream, err = r.syncer.StartSyncGTID(executed.Clone()); err != nil {
		return fmt.Errorf("reading the change log from its birth: %w", err)
	}
	return nil
}

// Close ends the reading.
func (r *Replay) Close() { r.syncer.Close() }

// To applies whole groups until exactly the position is contained. A position that skips part of the log's order fails
// by a later group that should not be there: the caller compares contents.
func (r *Replay) To(ctx context.Context, position string) error {
	target, err := mysql.ParseGTIDSet(r.server.Flavor, position)
	if err != nil {
		return fmt.Errorf("reading cut position %q: %w", position, err)
	}
	for !r.executed.Contain(target) {
		ev, err := r.stream.GetEvent(ctx)
		if err != nil && strings.Contains(err.Error(), "truncated in the middle of event") { // a server was killed there: the log goes on in its next file
			err = r.open(r.executed)
			if err == nil {
				continue
			}
		}
		if err != nil {
			return fmt.Errorf("replaying to %s (at %s): %w", position, r.executed, err)
		}
		if err := r.apply(ev); err != nil {
			return err
		}
	}
	if !target.Contain(r.executed) {
		return fmt.Errorf("cut %s is not a prefix of the change log: the log's prefix that holds it is %s", position, r.executed)
	}
	return nil
}

// At is To: a position says all.
func (r *Replay) At(ctx context.Context, position string, _ time.Time) error {
	return r.To(ctx, position)
}

// Content is part of Log.
func (r *Replay) Content() map[string]*Table { return r.Tables }

func (r *Replay) apply(ev *replication.BinlogEvent) error {
	switch e := ev.Event.(type) {
	case *replication.MariadbGTIDEvent:
		r.begin(e.GTID.String())
	case *replication.GTIDEvent:
		next, err := e.GTIDNext()
		if err != nil {
			return fmt.Errorf("reading GTID: %w", err)
		}
		r.begin(next.String())
	case *replication.RowsEvent:
		if string(e.Table.Schema) == r.server.Database {
			return r.rows(ev.Header.EventType, e)
		}
	case *replication.XIDEvent:
		return r.end()
	case *replication.QueryEvent:
		if q := string(e.Query); q != "BEGIN" && !isSavepoint(q) {
			r.dropColumn(string(e.Schema), q)
			return r.end() // COMMIT of a non-transactional group, or DDL
		}
	}
	return nil
}

// The one definition that shows before the next row of its table does: every other change of columns brings NULLs.
var dropped = regexp.MustCompile("(?i)^ALTER TABLE (?:`?([a-z0-9_]+)`?\\.)?`?([a-z0-9_]+)`? DROP COLUMN `?([a-z0-9_]+)`?$")

func (r *Replay) dropColumn(schema, query string) {
	m := dropped.FindStringSubmatch(query)
	if m == nil || cmp.Or(m[1], schema) != r.server.Database {
		return
	}
	r.pending = append(r.pending, func() {
		t := r.Tables[m[2]]
		if t == nil {
			return
		}
		var cols []Column
		key := slices.Clone(t.Key)
		for i, c := range t.Columns {
			switch {
			case c.Name != m[3]:
				cols = append(cols, c)
			default:
				for k := range key {
					if key[k] > i {
						key[k]--
					}
				}
			}
		}
		t.widen(cols, key)
	})
}

func isSavepoint(q string) bool { return len(q) >= 9 && (q[:9] == "SAVEPOINT" || q[:9] == "savepoint") }

func (r *Replay) begin(gtid string) { r.group, r.pending = gtid, nil }

func (r *Replay) end() error {
	if r.group == "" {
		return nil
	}
	for _, f := range r.pending {
		f()
	}
	if err := r.executed.Update(r.group); err != nil {
		return fmt.Errorf("adding %s to the replayed set: %w", r.group, err)
	}
	r.group, r.pending = "", nil
	return nil
}

func (r *Replay) rows(typ replication.EventType, e *replication.RowsEvent) error {
	name := string(e.Table.Table)
	cols, key, err := columnsOf(e.Table)
	if err != nil {
		return fmt.Errorf("replaying %s: %w", name, err)
	}
	images := make([][]Val, len(e.Rows))
	for i, row := range e.Rows {
		if images[i], err = canonicalRow(e.Table, row); err != nil {
			return fmt.Errorf("replaying %s: %w", name, err)
		}
	}
	update := typ == replication.UPDATE_ROWS_EVENTv1 || typ == replication.UPDATE_ROWS_EVENTv2
	del := typ == replication.DELETE_ROWS_EVENTv1 || typ == replication.DELETE_ROWS_EVENTv2
	r.pending = append(r.pending, func() {
		t := r.table(name, cols, key)
		for i, row := range images {
			k := t.keyOf(row)
			if del || update && i%2 == 0 {
				delete(t.Rows, k)
			} else {
				t.Rows[k] = row
			}
			if r.touched[name] == nil {
				r.touched[name] = map[string]bool{}
			}
			r.touched[name][k] = true
		}
	})
	return nil
}

func (r *Replay) table(name string, cols []Column, key []int) *Table {
	t := r.Tables[name]
	if t == nil {
		t = &Table{Columns: cols, Key: key, Rows: map[string][]Val{}}
		r.Tables[name] = t
	} else if len(cols) != len(t.Columns) || !sameColumns(cols, t.Columns) {
		t.widen(cols, key)
	}
	return t
}

func sameColumns(a, b []Column) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// Touched returns, per table, the keys changed since it was last called.
func (r *Replay) Touched() map[string]map[string]bool {
	t := r.touched
	r.touched = map[string]map[string]bool{}
	return t
}
