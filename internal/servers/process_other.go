//go:build !linux

package servers

import "syscall"

// Elsewhere the kernel offers no "die with the parent": a killed test leaves its servers behind.
func dieWithParent(*syscall.SysProcAttr) {}

func descendants(int) []int { return nil }

func running(pid int) bool { return syscall.Kill(pid, 0) == nil }
