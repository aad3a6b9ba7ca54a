package servers_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidemill/tidemill/internal/servers"
)

// orphanVariable makes this test binary play the parent that is killed: see TestServersDieWithTheirParent.
const orphanVariable = "TIDEMILL_TEST_ORPHAN"

func constructors() map[string]func(servers.Options) *servers.Server {
	return map[string]func(servers.Options) *servers.Server{
		"mariadb": servers.NewMariaDB, "postgres": servers.NewPostgres, "mysql": servers.NewMySQL,
		"kafka": servers.NewKafka, "s3": servers.NewS3, "moto": servers.NewMoto,
	}
}

// TestOrphanHelper starts a server, says its process id and waits to be killed.
func TestOrphanHelper(t *testing.T) {
	name := os.Getenv(orphanVariable)
	if name == "" {
		return // only a helper of TestServersDieWithTheirParent
	}
	s := constructors()[name](servers.Options{Dir: os.Getenv(orphanVariable + "_DIR")})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\npid=%d\n", s.Pid())
	<-s.Done()
}

func TestServersDieWithTheirParent(t *testing.T) {
	// MariaDB and PostgreSQL change their account, which makes the kernel forget a request made too early.
	for _, name := range []string{"s3", "mariadb", "postgres"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			need(t, name)
			dir, err := os.MkdirTemp("", "tm-orphan-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			// The server's account must get through to the folder below.
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			parent := exec.Command(os.Args[0], "-test.run=^TestOrphanHelper$")
			parent.Env = append(os.Environ(), orphanVariable+"="+name, orphanVariable+"_DIR="+dir+"/s")
			out, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			pid := awaitPid(t, bufio.NewScanner(out))
			if err := parent.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = parent.Wait() // "killed" is what we want to hear
			awaitDeath(t, pid)
		})
	}
}

func awaitPid(t *testing.T, lines *bufio.Scanner) int {
	t.Helper()
	var said []string
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "pid="); ok {
			pid, err := strconv.Atoi(text)
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
		said = append(said, lines.Text())
	}
	t.Fatalf("the helper started no server:\n%s", strings.Join(said, "\n"))
	return 0
}

func awaitDeath(t *testing.T, pid int) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for {
		// A zombie waits for init to reap it; it serves nobody any more.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return
		}
		select {
		case <-deadline:
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("process %d outlived its parent", pid)
		case <-ticker.C:
		}
	}
}
