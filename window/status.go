package window

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Status is a snapshot of a pipeline for the CLI and the console. It holds no row value.
type Status struct {
	Pipeline  string        `json:"pipeline"`
	Phase     string        `json:"phase"` // "starting", "restoring", "loading", "waiting", "preparing", "publishing", "stopped"
	Epoch     int64         `json:"epoch"`
	Published Step          `json:"published"` // last published step; zero before the base
	At        time.Time     `json:"at"`        // when it was published
	Tables    []TableStatus `json:"tables"`
	// Missing is what the next step waits for, Since since when.
	Missing []Missing         `json:"missing,omitempty"`
	Since   time.Time         `json:"since,omitzero"`
	Loads   []LoadStatus      `json:"loads,omitempty"`
	Parked  map[string]string `json:"parked,omitempty"` // source.schema.table -> reason
	Stands  []Standing        `json:"stands,omitempty"` // outputs that did not move with the last step
	Memory  int64             `json:"memory"`           // bytes of open windows in memory
	Spilled int64             `json:"spilled"`          // bytes of open windows in local runs
	Error   string            `json:"error,omitempty"`  // last error, until the next success
}

// TableStatus is what the last publish that touched a table did.
type TableStatus struct {
	Table   string `json:"table"`
	Window  Step   `json:"window"`
	Upserts int64  `json:"upserts"`
	Deletes int64  `json:"deletes"`
	Total   int64  `json:"total"` // upserts and deletes since the process started
	// Quarantined are rows that are not in the table because the warehouse cannot hold one of their values.
	Quarantined int64 `json:"quarantined,omitempty"`
}

// LoadStatus is a table whose first load is not complete.
type LoadStatus struct {
	Source string `json:"source"`
	Table  string `json:"table"`
	Rows   int64  `json:"rows"` // rows gathered so far
}

// board holds the status; every field behind its lock.
type board struct {
	mu     sync.Mutex
	now    Status
	tables map[string]TableStatus
	need   map[string][]int64
}

func (b *board) set(fn func(*Status)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fn(&b.now)
}

func (b *board) phase(p string) { b.set(func(s *Status) { s.Phase = p }) }

// waiting notes what is missing, and keeps since when as long as the pipeline waits for the same step.
func (b *board) waiting(missing []Missing, phase string) {
	b.set(func(s *Status) {
		if s.Missing == nil {
			s.Since = time.Now().UTC()
		}
		s.Missing, s.Phase = missing, phase
	})
}

// published notes a success.
func (b *board) published(p *Publication, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now.Published, b.now.At, b.now.Error = p.Step, at, ""
	b.now.Parked, b.now.Stands = p.Stats.Parked, p.Stats.Stands
	for _, t := range p.Manifest.Tables {
		name := t.Table.String()
		old := b.tables[name]
		b.tables[name] = TableStatus{name, p.Step, t.Upserts, t.Deletes, old.Total + t.Upserts + t.Deletes, old.Quarantined}
	}
}

// quarantined notes how many rows of each table are in quarantine.
func (b *board) quarantined(rows map[string]int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, t := range b.tables {
		t.Quarantined = rows[name]
		b.tables[name] = t
	}
	for name, n := range rows {
		t := b.tables[name]
		t.Table, t.Quarantined = name, n
		b.tables[name] = t
	}
}

func (b *board) snapshot() Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.now
	s.Parked, s.Stands, s.Missing, s.Loads = maps.Clone(s.Parked), slices.Clone(s.Stands), slices.Clone(s.Missing), slices.Clone(s.Loads)
	for _, name := range slices.Sorted(maps.Keys(b.tables)) {
		s.Tables = append(s.Tables, b.tables[name])
	}
	return s
}

// needed notes the lowest offsets that the pipeline may still read.
func (b *board) needed(need map[string][]int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.need = need
}
