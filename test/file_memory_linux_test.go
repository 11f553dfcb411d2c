package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// A node computes the statistics of ten million values from a file that it reads itself, and never takes 64 MiB of memory
// more than it took before.
func TestFileOfTenMillionValues(t *testing.T) {
	const name = "secret-study.csv"
	values, most := 10_000_000, 64<<10 // KiB
	if testing.Short() {
		values = 1_000_000
	}
	r := prepareRack(t, rackOptions{})
	for _, party := range r.parties {
		must(t, os.Mkdir(r.path(party, "data"), 0o700))
		r.rewrite(party, "node.yaml", `files: ""`, "files: data")
		must(t, os.WriteFile(r.path(party, "data", name), []byte("value\n1\n2\n"), 0o600))
	}
	sum := manyNumbers(t, r.path("alice", "data", name), values)
	r.start()
	for range 5 {
		r.wantSum(r.sumAll("1", "2", "3"), "6")
	}
	pid := r.procs["alice"].cmd.Process.Pid
	before := statusKiB(t, pid, "VmHWM")

	id := uuid.NewString()
	jobs := map[string]string{}
	for _, party := range r.parties {
		jobs[party] = strings.TrimSpace(r.weft("run", "StatisticsUnivariate", "--gateway", r.urls[party], "--parties", strings.Join(r.parties, ","),
			"--uuid", id, "--data", "@"+r.path(party, "data", name), "--detach"))
	}
	for _, party := range r.parties {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		var got struct{ Samples, Sum json.Number }
		must(t, r.ask(ctx, party, "GET", "/v1/jobs/"+jobs[party]+"/result", "", http.StatusOK, &got))
		cancel()
		if got.Samples.String() != fmt.Sprint(values+4) || got.Sum.String() != fmt.Sprint(sum+6) {
			t.Errorf("%s: %s samples with the sum %s, want %d and %d", party, got.Samples, got.Sum, values+4, sum+6)
		}
	}
	after := statusKiB(t, pid, "VmHWM")
	t.Logf("%d values: at most %d MiB of memory, %d before", values, after>>10, before>>10)
	if after-before >= most {
		t.Errorf("%d values took %d MiB of memory, want less than %d", values, (after-before)>>10, most>>10)
	}
	for _, member := range r.members() {
		if strings.Contains(r.procs[member].log.String(), name) {
			t.Errorf("the log of %s holds the name of the file", member)
		}
	}
}
