//go:build weft_test_clock

package main

import (
	"os"
	"time"
)

// machineTime is off by WEFT_TEST_CLOCK, a duration such as -10m: nobody can set a machine's clock for one process.
func machineTime() time.Time {
	off, err := time.ParseDuration(os.Getenv("WEFT_TEST_CLOCK"))
	if err != nil {
		return time.Now()
	}
	return time.Now().Add(off)
}
