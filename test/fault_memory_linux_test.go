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
		if kib := statusKiB(t, r.procs[party].cmd.Process.Pid, "VmRSS"); kib >= 60<<10 {
			t.Errorf("%s has %d MiB", party, kib>>10)
		}
	}
}

// statusKiB is a size of a process's memory: VmRSS, what it takes now, or VmHWM, the most that it took.
func statusKiB(t *testing.T, pid int, field string) int {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if v, ok := strings.CutPrefix(lines.Text(), field+":"); ok {
			n, err := strconv.Atoi(strings.Fields(v)[0])
			must(t, err)
			return n
		}
	}
	t.Fatalf("no %s", field)
	return 0
}
