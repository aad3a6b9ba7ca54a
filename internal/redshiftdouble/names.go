package redshiftdouble

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"unicode/utf8"
)

const postgresName = 63 // bytes of the longest name that PostgreSQL keeps

// names keeps the names that are too long for PostgreSQL, which knows them by a shortened form with a hash.
type names struct {
	mu    sync.Mutex
	long  map[string]string // short -> long
	fresh []string          // short forms that the side table does not have yet
}

func newNames() *names { return &names{long: map[string]string{}} }

func (n *names) short(name string) string {
	if len(name) <= postgresName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	end := 50
	for end > 0 && !utf8.RuneStart(name[end]) {
		end--
	}
	s := name[:end] + "~" + hex.EncodeToString(sum[:6])
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, known := n.long[s]; !known {
		n.long[s] = name
		n.fresh = append(n.fresh, s)
	}
	return s
}

// original is the name that a short form stands for, or the name itself.
func (n *names) original(name string) string {
	if !strings.Contains(name, "~") {
		return name
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if long, ok := n.long[name]; ok {
		return long
	}
	return name
}

// originals replaces every short form in a message.
func (n *names) originals(message string) string {
	if !strings.Contains(message, "~") {
		return message
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for short, long := range n.long {
		message = strings.ReplaceAll(message, short, long)
	}
	return message
}

// save writes new names to the side table, outside every client's transaction, so that catalogue views can show them.
func (n *names) save(ctx context.Context, a *admin) error {
	n.mu.Lock()
	fresh := n.fresh
	n.fresh = nil
	long := make([]string, len(fresh))
	for i, s := range fresh {
		long[i] = n.long[s]
	}
	n.mu.Unlock()
	for i, s := range fresh {
		if err := a.exec(ctx, "INSERT INTO rs.long_names VALUES ($1, $2) ON CONFLICT DO NOTHING", s, long[i]); err != nil {
			return err
		}
	}
	return nil
}

func (n *names) load(ctx context.Context, a *admin) error {
	rows, err := a.rows(ctx, "SELECT short, long FROM rs.long_names")
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range rows {
		n.long[r[0]] = r[1]
	}
	return nil
}
