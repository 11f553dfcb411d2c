package node

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/policy"
	"github.com/weftmpc/weft/simon/simontest"
)

// New rules judge what has not started, and leave alone what runs.
func TestSetRules(t *testing.T) {
	f := newFleet(t, simontest.Faults{}, three...)
	alice := f.members["alice"]
	two := f.submit("alice", uuid.New(), data["alice"], patience, "alice", "bob")
	allowed := f.submit("alice", uuid.New(), data["alice"], patience)
	alice.reached(two, jobs.Waiting)
	alice.reached(allowed, jobs.Waiting)
	at, proceed := make(chan struct{}), make(chan struct{})
	alice.onStep(func(step string) {
		if step == "job played" {
			alice.onStep(nil)
			close(at)
			<-proceed
		}
	})
	running := f.submitAll(uuid.New(), data)
	<-at

	// Strict: two parties are too few.
	must(t, alice.node.SetRules(policy.Policy{Profile: policy.Strict}, f.peers))
	if j := alice.ended(two.ID, patience); j.Problem == nil || j.Problem.Reason != "policy" {
		t.Errorf("two parties under the profile strict: %v", j)
	}
	// Without carol: what runs with her goes on, and nothing else begins.
	must(t, alice.node.SetRules(policy.Policy{Profile: policy.Teaching}, f.peers[:2]))
	if j := alice.ended(allowed.ID, patience); j.Problem == nil || j.Problem.Reason != "policy" || !strings.Contains(j.Problem.Message, "carol") {
		t.Errorf("with a party that is not allowed any more: %v", j)
	}
	close(proceed)
	f.wantSum(f.endedAll(running), "85", "3")
	if j, err := alice.current().Get(t.Context(), running["alice"].ID); err != nil || j.Attempt != 1 {
		t.Errorf("%v, %v", j, err)
	}
	if err := alice.node.SetRules(policy.Policy{}, f.peers[1:]); err == nil {
		t.Error("a list without the own party is accepted")
	}
	// With carol again: a request that stays allowed is sent again under rules that come while it waits.
	must(t, alice.node.SetRules(policy.Policy{Profile: policy.Teaching}, f.peers))
	waits := f.submit("alice", uuid.New(), data["alice"], patience)
	alice.reached(waits, jobs.Waiting)
	must(t, alice.node.SetRules(policy.Policy{Profile: policy.Teaching}, f.peers))
	all := map[string]jobs.Job{"alice": waits}
	for _, name := range []string{"bob", "carol"} {
		all[name] = f.submit(name, waits.UUID, data[name], patience)
	}
	ended := f.endedAll(all)
	f.wantSum(ended, "85", "3")
	if n := ended["alice"].Attempt; n != 1 {
		t.Errorf("%d attempts", n)
	}
	f.checkInvariants()
}
