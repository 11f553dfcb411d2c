//go:build !unix

package main

// openAtOnce is for named pipes, which are no files in a folder here.
const openAtOnce = 0
