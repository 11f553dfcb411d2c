//go:build unix

package test

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup lets signals reach what the command itself starts, as `go run` does.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func signalGroup(p *os.Process, s syscall.Signal) error { return syscall.Kill(-p.Pid, s) }
