//go:build unix

package main

import "syscall"

// openAtOnce keeps a named pipe that nobody writes to from being waited for.
const openAtOnce = syscall.O_NONBLOCK
