package daemon

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Info tells the command line where a running daemon is. It lies in the data folder while the daemon runs.
type Info struct {
	PID     int       `json:"pid"`
	API     string    `json:"api"`    // host:port
	Broker  string    `json:"broker"` // host:port of the embedded broker, empty on a cluster
	Started time.Time `json:"started"`
}

const infoFile = "daemon.json"

// ReadInfo reads the info of the data folder; errors.Is fs.ErrNotExist when no daemon runs.
func ReadInfo(data string) (Info, error) {
	var i Info
	b, err := os.ReadFile(filepath.Join(data, infoFile))
	if err != nil {
		return i, fmt.Errorf("finding the daemon: %w", err)
	}
	if err := json.Unmarshal(b, &i); err != nil {
		return i, fmt.Errorf("reading %s: %w", filepath.Join(data, infoFile), err)
	}
	return i, nil
}

// write replaces the info file at once, so that a reader never sees half of it.
func (i Info) write(data string) error {
	b, err := json.Marshal(i)
	if err != nil {
		return err
	}
	name := filepath.Join(data, infoFile)
	if err := os.WriteFile(name+".new", append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("writing the daemon's address: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("writing the daemon's address: %w", err)
	}
	return nil
}
