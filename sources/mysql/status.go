package mysql

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tidemill/tidemill/ingest"
)

// Status is what a running source tells about itself.
type Status struct {
	Server   string          `json:"server"`
	Version  string          `json:"version"`
	Position ingest.Position `json:"position"`
	// Lag is how far the last group read lies behind the server's clock; 0 when everything has been read.
	Lag    time.Duration `json:"lag"`
	AsOf   time.Time     `json:"as_of"` // everything the server committed before has been read
	Tables []TableStatus `json:"tables"`
}

// TableStatus is one captured table.
type TableStatus struct {
	Table  ingest.TableName `json:"table"`
	Load   ingest.Load      `json:"load"`
	Parked string           `json:"parked,omitempty"`
}

// board is where the stream writes down its status for others to read.
type board struct {
	mu     sync.Mutex
	status Status
	commit time.Time
	caught bool // the last proof was met: nothing is waiting
	tables map[ingest.TableName]*TableStatus
}

func newBoard(server, version string) *board {
	return &board{status: Status{Server: server, Version: version}, tables: map[ingest.TableName]*TableStatus{}}
}

func (b *board) table(n ingest.TableName) *TableStatus {
	t := b.tables[n]
	if t == nil {
		t = &TableStatus{Table: n}
		b.tables[n] = t
	}
	return t
}

func (b *board) park(n ingest.TableName, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.table(n).Parked = why
}

func (b *board) load(n ingest.TableName, l ingest.Load) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.table(n).Load = l
}

// read notes how far the stream has come.
func (b *board) read(position ingest.Position, commit time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status.Position, b.commit = position, commit
	b.caught = false
}

// proven notes that everything before t was read.
func (b *board) proven(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status.AsOf, b.caught = t, true
}

func (b *board) lag(now time.Time) time.Duration {
	if b.caught || b.commit.IsZero() {
		return 0
	}
	return max(0, now.Sub(b.commit))
}

// snapshot copies the status.
func (b *board) snapshot(now time.Time) Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.status
	s.Lag = b.lag(now)
	for _, n := range slices.SortedFunc(maps.Keys(b.tables), compareNames) {
		s.Tables = append(s.Tables, *b.tables[n])
	}
	return s
}
