//go:build !unix

package test

import (
	"os"
	"os/exec"
	"syscall"
)

func ownGroup(*exec.Cmd) {}

func signalGroup(p *os.Process, s syscall.Signal) error { return p.Signal(s) }
