package main

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

// machine is what the figures were measured on.
type machine struct {
	cpu    string
	cores  int
	memory uint64 // bytes
	load   float64
	commit string
	day    string
}

func thisMachine(ctx context.Context) (machine, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return machine{}, fmt.Errorf("describing the machine: %w", err)
	}
	m := machine{cores: runtime.NumCPU(), day: time.Now().UTC().Format(time.DateOnly)}
	cpus, err := fs.CPUInfo()
	if err != nil {
		return m, fmt.Errorf("describing the machine: %w", err)
	}
	if len(cpus) > 0 {
		m.cpu = cpus[0].ModelName
	}
	if mem, err := fs.Meminfo(); err == nil && mem.MemTotal != nil {
		m.memory = *mem.MemTotal << 10
	}
	if load, err := fs.LoadAvg(); err == nil {
		m.load = load.Load1
	}
	commit, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return m, fmt.Errorf("asking git for the commit: %w", err)
	}
	m.commit = strings.TrimSpace(string(commit))
	return m, nil
}

// String describes it in a line.
func (m machine) String() string {
	return fmt.Sprintf("%s, %d cores, %d GiB, %s/%s, %s, load %.1f at the beginning; commit %s, %s.",
		m.cpu, m.cores, m.memory>>30, runtime.GOOS, runtime.GOARCH, runtime.Version(), m.load, m.commit, m.day)
}
