package test

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// A node that has computed a few sums and idles takes less than 60 MiB of memory, what it shares with others included.
func TestFaultIdleMemory(t *testing.T) {
	r := newRack(t, rackOptions{})
	for range 5 {
		r.wantSum(r.sumAll("1", "2", "3"), "6")
	}
	for _, party := range r.parties {
		if kib := residentKiB(t, r.procs[party].cmd.Process.Pid); kib >= 60<<10 {
			t.Errorf("%s has %d MiB", party, kib>>10)
		}
	}
}

// residentKiB is VmRSS of a process.
func residentKiB(t *testing.T, pid int) int {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.Fields(v)[0])
			must(t, err)
			return n
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
