package test

import (
	"os"
	"testing"
	"time"
)

// Two processes run with one identity and one key at the hub, over different state folders. Whichever of them is asked, or
// both at once, every job ends; nobody signs anything twice or for the other, and somebody is told.
func TestFaultTwins(t *testing.T) {
	t.Parallel()
	r := newRack(t, rackOptions{observed: true})
	twin := r.twin("alice")

	// One of the two is asked.
	first := r.sum(5 * time.Minute)
	given := r.give(first, "alice")
	r.comesTo("alice", given["alice"].ID, "waiting", "bob", "carol") // so that the START is pushed, which both hear
	for party, j := range r.give(first, "bob", "carol") {
		given[party] = j
	}
	r.wantSum(r.ended(given), "6")
	r.procs[twin].says("another process uses this party's identity")

	// The same computation is asked of both, with other data.
	both := r.sum(4 * time.Second)
	both.data[twin] = "101"
	ended := r.ended(r.give(both, "alice", twin, "bob", "carol"))
	sums := map[string]string{}
	for party, j := range ended {
		switch {
		case j.State == "done" && (j.Result.Sum == "6" || j.Result.Sum == "106"):
			sums[j.Result.Sum.String()] += " " + party
		case j.State != "failed" || j.Error == nil || j.Error.Message == "":
			t.Errorf("%s: %s %+v %+v", party, j.State, j.Result, j.Error)
		}
	}
	if len(sums) > 1 {
		t.Errorf("one computation has several results: %v", sums)
	}
	r.auditAll()

	r.procs[twin].stop()
	r.wantSum(r.sumAll("1", "2", "4"), "7")
}

// twin starts another process with a party's keys over a state folder of its own, and returns its name.
func (r *rack) twin(party string) string {
	r.t.Helper()
	name := party + "-twin"
	must(r.t, os.Mkdir(r.path(name), 0o700))
	for _, file := range []string{"identity.crt", "identity.key", "tls.crt", "tls.key", "nats.nk", "ca.crt", "node.yaml"} {
		r.copyFile(party, name, file)
	}
	listen := freeAddress(r.t)
	r.add(name, "node", "--config", name+"/node.yaml").env = []string{"WEFT_GATEWAY_LISTEN=" + listen}
	r.urls[name] = "http://" + listen
	r.procs[name].start()
	r.ready(name)
	return name
}
