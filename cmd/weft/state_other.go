//go:build !unix

package main

import "io/fs"

func owner(fs.FileInfo) (uid int, ok bool) { return 0, false }

func writable(string) error { return nil }
