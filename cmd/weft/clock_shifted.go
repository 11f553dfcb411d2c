//go:build weft_test_clock

package main

import (
	"os"
	"strings"
	"time"
)

// machineTime is off by WEFT_TEST_CLOCK, a duration such as -10m, or @ and the path of a file that holds one and is read at
// each look at the clock: nobody can set a machine's clock for one process.
func machineTime() time.Time {
	text := os.Getenv("WEFT_TEST_CLOCK")
	if path, ok := strings.CutPrefix(text, "@"); ok {
		b, err := os.ReadFile(path)
		if err != nil {
			panic("WEFT_TEST_CLOCK: " + err.Error()) // a test without the clock that it wants
		}
		text = strings.TrimSpace(string(b))
	}
	off, err := time.ParseDuration(text)
	if err != nil {
		return time.Now()
	}
	return time.Now().Add(off)
}
