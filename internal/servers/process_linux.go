package servers

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// descendants lists the processes below pid. PostgreSQL's helpers each open a session of their own, so a signal to
// the process group would miss them.
func descendants(pid int) []int {
	var all []int
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid)) // gone already: no descendants we could name
	for _, task := range tasks {
		list, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		for _, field := range strings.Fields(string(list)) {
			if kid, err := strconv.Atoi(field); err == nil {
				all = append(all, kid)
				all = append(all, descendants(kid)...)
			}
		}
	}
	return all
}

// running says whether the process still executes. A zombie does not: it holds no memory, and who reaps an orphan
// is not our business (in a container often nobody does).
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	after := stat[bytes.LastIndexByte(stat, ')')+1:]
	state := bytes.TrimSpace(after)
	return len(state) > 0 && state[0] != 'Z' && state[0] != 'X'
}
