package sim

import "sync"

// Record is a record of a simulated log.
type Record struct {
	Key   string
	Value []byte
}

// Log is an append-only log in memory: what is in it is durable. Trimmed records stay, for whoever checks the whole log; readers
// must not be given them.
type Log struct {
	mu     sync.Mutex
	Topics map[string][][]Record
	Starts map[Lane]int64 // of partitions that have been trimmed
	grown  int            // records appended
}

// NewLog makes an empty log.
func NewLog() *Log { return &Log{Topics: map[string][][]Record{}, Starts: map[Lane]int64{}} }

// Ensure makes a topic that is not there.
func (l *Log) Ensure(topic string, partitions int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Topics[topic] == nil {
		l.Topics[topic] = make([][]Record, partitions)
	}
}

// Append adds a record and returns its offset.
func (l *Log) Append(at Lane, r Record) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Topics[at.Topic] == nil { // a ghost of a topic: made by whoever asks first
		l.Topics[at.Topic] = make([][]Record, at.Partition+1)
	}
	parts := l.Topics[at.Topic]
	parts[at.Partition] = append(parts[at.Partition], r)
	l.grown++
	return int64(len(parts[at.Partition]) - 1)
}

// Records are all of a partition, by offset. They must not be changed.
func (l *Log) Records(at Lane) []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at.Partition >= len(l.Topics[at.Topic]) {
		return nil
	}
	r := l.Topics[at.Topic][at.Partition]
	return r[:len(r):len(r)]
}

// Partitions is how many a topic has.
func (l *Log) Partitions(topic string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.Topics[topic])
}

// Trim forgets the records before an offset.
func (l *Log) Trim(at Lane, to int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Starts[at] = max(l.Starts[at], min(to, int64(len(l.Topics[at.Topic][at.Partition]))))
}

// Start is the first offset that a reader may be given.
func (l *Log) Start(at Lane) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Starts[at]
}

// Grown is how many records have been appended.
func (l *Log) Grown() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.grown
}
