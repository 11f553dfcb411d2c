package test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// A running node takes a new profile, a new list of parties and a new TLS certificate over, says what needs a restart, and
// goes on as before when the configuration cannot be used.
func TestReload(t *testing.T) {
	t.Parallel()
	r := newRack(t, rackOptions{})
	waits := r.give(r.sum(5*time.Minute), "alice")
	pair := func() (int, map[string]any) {
		body := fmt.Sprintf(`{"microprotocol":"SecureSum","data":1,"parties":["alice","bob"],"uuid":%q,"deadline":"60s"}`, uuid.New())
		_, job := call(t, "POST", r.urls["alice"]+"/v1/jobs", body)
		other := strings.Replace(body, `"data":1`, `"data":2`, 1)
		if code, v := call(t, "POST", r.urls["bob"]+"/v1/jobs", other); code != http.StatusAccepted {
			t.Fatalf("%d %v", code, v)
		}
		return call(t, "GET", r.urls["alice"]+"/v1/jobs/"+job["id"].(string)+"/result", "")
	}
	if code, v := pair(); code != http.StatusForbidden || !strings.Contains(fmt.Sprint(v), "profile strict") {
		t.Errorf("two parties under the profile strict: %d %v", code, v)
	}
	for _, party := range []string{"alice", "bob"} {
		r.rewrite(party, "node.yaml", "profile: strict", "profile: teaching")
		r.rewrite(party, "node.yaml", "level: info", "level: debug")
		out := r.weft("node", "reload", "--config", party+"/node.yaml")
		wantWords(t, "the command", out, party+"/node.yaml is read again by process")
		r.procs[party].says(`reloaded="profile, parties, helpers, exclude_evaluators, disclose, approval" needs_restart=log.level`)
	}
	if code, v := pair(); code != http.StatusOK || fmt.Sprint(v["sum"]) != "3" {
		t.Errorf("two parties under the profile teaching: %d %v", code, v)
	}

	// A renewed certificate is used by a new connection; the request that waits goes on.
	count := func() (n int) { // a node that was there before the hub has one already
		_, after, _ := strings.Cut(r.metrics("alice"), "\nweft_hub_reconnects_total ")
		text, _, _ := strings.Cut(after, "\n")
		n, err := strconv.Atoi(text)
		must(t, err)
		return n
	}
	before := count()
	r.recertify("alice", false, true, time.Now().Add(-time.Minute), time.Now().Add(48*time.Hour))
	r.weft("node", "reload", "--config", "alice/node.yaml")
	r.procs["alice"].says("reloaded=hub.cert", "broker connection is back")
	if n := count() - before; n != 1 {
		t.Errorf("there are %d new connections to the hub", n)
	}

	// What cannot be used changes nothing.
	r.rewrite("alice", "node.yaml", "profile: teaching", "profile: none")
	must(t, r.procs["alice"].cmd.Process.Signal(syscall.SIGHUP))
	r.procs["alice"].says("nothing is reloaded: the configuration cannot be used")
	refused := func(words ...string) {
		t.Helper()
		cmd := exec.Command(binary, "node", "reload", "--config", "alice/node.yaml")
		cmd.Dir, cmd.Env = r.dir, rackEnviron()
		out, err := cmd.CombinedOutput()
		if err == nil {
			t.Errorf("weft node reload succeeds: %s", out)
		}
		wantWords(t, "weft node reload", string(out), words...)
	}
	refused("profile", "none")
	for party, j := range r.give(task{uuid: waits["alice"].UUID, data: map[string]string{"bob": "2", "carol": "3"}, deadline: "5m0s"}, "bob", "carol") {
		waits[party] = j
	}
	r.wantSum(r.ended(waits), "6")

	r.rewrite("alice", "node.yaml", "profile: none", "profile: strict")
	r.procs["alice"].stop()
	if _, err := os.Stat(r.path("alice", "state", "pid")); err == nil {
		t.Error("the process number outlives the process")
	}
	refused("no node runs over the state folder")
}
