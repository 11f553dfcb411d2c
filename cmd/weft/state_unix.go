//go:build unix

package main

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// owner is the user whom a file belongs to.
func owner(info fs.FileInfo) (uid int, ok bool) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(s.Uid), true
}

// writable asks the system whether files can be made in a folder, without making one.
func writable(dir string) error { return unix.Access(dir, unix.R_OK|unix.W_OK|unix.X_OK) }
