package redshiftdouble

import (
	"context"
	"strings"
	"sync"
	"time"
)

// Point is a place at which a session can be cut: the client sees its connection end.
type Point int

const (
	BeforeCommit Point = iota // the transaction is rolled back
	LostReply                 // committed, and the client never hears of it
	AfterCommit               // committed, the client was told
	AfterCopy                 // COPY has loaded, its reply is lost
	DuringMerge               // MERGE has changed rows, its reply is lost
	DuringCopy                // some files are loaded
)

// CommitError is what a commit can fail with.
type CommitError int

const (
	Commit1023     CommitError = iota // serializable isolation violation
	CommitSnapshot                    // conflict under SNAPSHOT
	CommitDeadlock
)

// Faults breaks things on purpose. Everything is off until asked for; methods are safe for concurrent use.
type Faults struct {
	mu       sync.Mutex
	kills    map[Point]int // how many times to pass before the cut
	commits  []commitFault
	s3       []s3Fault
	slow     time.Duration
	binary   bool
	silent   bool
	failing  []statementFault
	gate     *gate
	gone     chan struct{}
	once     sync.Once
	happened map[string]int
}

// gate is a closed door that opens once.
type gate struct {
	opened chan struct{}
	once   sync.Once
}

func (g *gate) open() { g.once.Do(func() { close(g.opened) }) }

type commitFault struct {
	after int // commits to let pass
	err   CommitError
}

type s3Fault struct {
	key    string // substring
	status int
	times  int
}

func newFaults() *Faults {
	return &Faults{kills: map[Point]int{}, gone: make(chan struct{}), happened: map[string]int{}}
}

// Kill cuts the session that reaches the point for the nth time from now, counted over all sessions; n is 1 for the next.
func (f *Faults) Kill(p Point, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kills[p] = n
}

// FailCommit lets the nth commit from now fail. Only transactions that wrote something are counted.
func (f *Faults) FailCommit(n int, e CommitError) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.commits = append(f.commits, commitFault{after: n, err: e})
}

// FailS3 answers the next requests for keys that contain the text with an HTTP status such as 404 or 503.
func (f *Faults) FailS3(keyContains string, status, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.s3 = append(f.s3, s3Fault{key: keyContains, status: status, times: times})
}

// SlowCommits makes every commit wait in the cluster's commit queue, which holds one at a time.
func (f *Faults) SlowCommits(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.slow = d
}

// HoldCommits stops the commit queue until the returned function is called.
func (f *Faults) HoldCommits() (release func()) {
	g := &gate{opened: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gate = g
	return func() {
		f.mu.Lock()
		if f.gate == g {
			f.gate = nil
		}
		f.mu.Unlock()
		g.open()
	}
}

// FlipNumeric changes the binary form of NUMERIC, as versions 1.0.27554 and 1.0.29551 did.
func (f *Faults) FlipNumeric(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.binary = on
}

// NoLoadErrorRows leaves sys_load_error_detail empty after a failed COPY, as columnar loads often do.
func (f *Faults) NoLoadErrorRows(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silent = on
}

// Clear turns everything off.
func (f *Faults) Clear() {
	f.mu.Lock()
	if f.gate != nil {
		f.gate.open()
	}
	f.kills, f.commits, f.s3, f.slow, f.binary, f.silent, f.gate, f.failing = map[Point]int{}, nil, nil, 0, false, false, nil, nil
	f.mu.Unlock()
}

// Happened is how often a fault has fired: "kill", "commit", "s3", "statement".
func (f *Faults) Happened(what string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.happened[what]
}

// cut reports whether a session at the point is to be cut now.
func (f *Faults) cut(p Point) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, armed := f.kills[p]
	if !armed {
		return false
	}
	if n > 1 {
		f.kills[p] = n - 1
		return false
	}
	delete(f.kills, p)
	f.happened["kill"]++
	return true
}

// commit reports what a commit is to fail with.
func (f *Faults) commit() (CommitError, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var fired *CommitError
	kept := f.commits[:0]
	for _, c := range f.commits {
		c.after--
		if c.after == 0 && fired == nil {
			fired = &c.err
			continue
		}
		if c.after > 0 {
			kept = append(kept, c)
		}
	}
	f.commits = kept
	if fired == nil {
		return 0, false
	}
	f.happened["commit"]++
	return *fired, true
}

// queue waits as long as the commit queue makes a commit wait.
func (f *Faults) queue(ctx context.Context) error {
	f.mu.Lock()
	slow, held := f.slow, f.gate
	f.mu.Unlock()
	var opened <-chan struct{}
	var after <-chan time.Time
	switch {
	case held != nil:
		opened = held.opened
	case slow > 0:
		t := time.NewTimer(slow)
		defer t.Stop()
		after = t.C
	default:
		return nil
	}
	select {
	case <-opened:
	case <-after:
	case <-f.gone:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

type statementFault struct {
	contains string // of the statement, in lower case
	err      *refusal
}

// FailStatement lets the next statement that contains the text fail with an error, as Redshift's own: XX000 with "1018: Relation does not
// exist", "could not open relation with OID 1", 57014.
func (f *Faults) FailStatement(contains, code, message string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing = append(f.failing, statementFault{strings.ToLower(contains), refuse(code, "%s", message)})
}

// statement is the error that a statement is to fail with, or nil.
func (f *Faults) statement(sql string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, s := range f.failing {
		if strings.Contains(strings.ToLower(sql), s.contains) {
			f.failing = append(f.failing[:i:i], f.failing[i+1:]...)
			f.happened["statement"]++
			return s.err
		}
	}
	return nil
}

// s3Status is the status that a request for a key is to be answered with, or 0.
func (f *Faults) s3Status(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.s3 {
		if f.s3[i].matches(path) {
			f.s3[i].times--
			f.happened["s3"]++
			return f.s3[i].status
		}
	}
	return 0
}

func (f *Faults) flipped() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.binary
}

func (f *Faults) silentLoads() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.silent
}

func (f *Faults) release() { f.once.Do(func() { close(f.gone) }) }
