//go:build !weft_test_clock

package main

import "time"

// machineTime is the clock of this machine. The tests of what a wrong clock does build the program with another.
func machineTime() time.Time { return time.Now() }
