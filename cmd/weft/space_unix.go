//go:build unix

package main

import "golang.org/x/sys/unix"

// freeSpace is what an unprivileged process may still write on the disk of path, in bytes.
func freeSpace(path string) (uint64, bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, false
	}
	return uint64(s.Bavail) * uint64(s.Bsize), true
}
