package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Component is a piece of foreign software that servers need.
type Component struct {
	Name  string // as given to Install: "mariadb"
	Title string // for people: "MariaDB"
	Bring string // the command that a human types to get it
	check func() error
}

// MissingError says that a component is not on this machine. Its text is one line and ends with the remedy.
type MissingError struct {
	Component Component
	Reason    string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is missing (%s); bring it with: %s", e.Component.Title, e.Reason, e.Component.Bring)
}

// Check returns nil when the component is there, else a *MissingError.
func (c Component) Check() error {
	if err := c.check(); err != nil {
		return &MissingError{Component: c, Reason: err.Error()}
	}
	return nil
}

// Components lists everything that Install knows, cheapest first.
func Components() []Component {
	return []Component{mariadbComponent(), postgresComponent(), mysqlComponent(), kafkaComponent(), s3Component(), motoComponent()}
}

// ComponentByName finds a component; the error lists the names there are.
func ComponentByName(name string) (Component, error) {
	all := Components()
	i := slices.IndexFunc(all, func(c Component) bool { return c.Name == name })
	if i >= 0 {
		return all[i], nil
	}
	var names []string
	for _, c := range all {
		names = append(names, c.Name)
	}
	return Component{}, fmt.Errorf("no component is called %q; there are: %s", name, strings.Join(names, ", "))
}

// ComponentsByName finds components, or returns all when none is named.
func ComponentsByName(names ...string) ([]Component, error) {
	if len(names) == 0 {
		return Components(), nil
	}
	var wanted []Component
	for _, name := range names {
		c, err := ComponentByName(name)
		if err != nil {
			return nil, err
		}
		wanted = append(wanted, c)
	}
	return wanted, nil
}

// fetchCommand is what brings a component into the cache folder.
func fetchCommand(name string) string { return "go run ./cmd/clinic install " + name }

// Cache is the folder that unpacked components live in: $TIDEMILL_CACHE, or ~/.cache/tidemill.
//
// For root the default is /var/cache/tidemill where root's home is closed to others, as it usually is: a database
// that drops to its own account must still be able to read its own program.
func Cache() string {
	if dir := os.Getenv("TIDEMILL_CACHE"); dir != "" {
		if abs, err := filepath.Abs(dir); err == nil {
			return abs
		}
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return filepath.Join(os.TempDir(), "tidemill-cache")
	}
	dir := filepath.Join(home, ".cache", "tidemill")
	const nobody = 65534
	if os.Geteuid() == 0 && closedAbove(filepath.Join(dir, "x"), nobody) != "" {
		return "/var/cache/tidemill"
	}
	return dir
}

// find looks a program up in PATH and where Debian keeps servers, which an ordinary user's PATH often lacks.
func find(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"} {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no %s in PATH", program)
}

func findAll(programs ...string) error {
	for _, p := range programs {
		if _, err := find(p); err != nil {
			return err
		}
	}
	return nil
}

// inCache is the path of a file in the cache, or an error when it is not there. The pattern may hold wildcards for
// version and processor.
func inCache(pattern string) (string, error) {
	full := filepath.Join(Cache(), pattern)
	found, err := filepath.Glob(full)
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", fmt.Errorf("no %s", full)
	}
	return found[len(found)-1], nil
}

// accountThere turns a missing system account into a reason.
func accountThere(name string) error {
	if _, err := accountFor(name); err != nil {
		return errors.New("no system account " + name)
	}
	return nil
}
