package node

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/simon"
)

// A request is sent again where another party's says what it lacks, and where the same is told once more, late; not where that
// says nothing new, is of another microprotocol or party, or does so again and again.
func TestRequestsAreCompleted(t *testing.T) {
	bob, stranger := identity.Fingerprint{2}, identity.Fingerprint{9}
	said := func(parameters string, issued int64) *seat.Conflict {
		return &seat.Conflict{Party: "bob", FP: bob, Microprotocol: "Fit", Version: 1, Parameters: []byte(parameters), Issued: time.Unix(issued, 0)}
	}
	fresh := func() *runner {
		r := &runner{parties: []seat.Peer{{FP: identity.Fingerprint{1}}, {FP: bob}}, job: jobs.Job{Parameters: []byte("mine"), Parties: []string{"alice", "bob"}}}
		r.m = simon.Microprotocol{Name: "Fit", Version: 1, Complete: func(p simon.Placed) ([]byte, error) {
			switch {
			case p.Other == nil:
				return append([]byte(nil), p.Parameters...), nil
			case string(p.Other) == "bad":
				return nil, &simon.InputError{Path: "data", Reason: "does not fit"}
			case string(p.Other) == "unfit":
				return []byte("mine"), nil
			case string(p.Other) == "panic":
				panic("a defect")
			}
			return fmt.Appendf(nil, "%s+%s of %d", p.Parameters, p.Other, p.OtherPosition), nil
		}}
		if err := r.complete(); err != nil || string(r.parameters()) != "mine" {
			t.Fatalf("%s, %v", r.parameters(), err)
		}
		return r
	}

	r := fresh()
	if err := r.completedBy(said("theirs", 5)); !errors.Is(err, errCompleted) || string(r.parameters()) != "mine+theirs of 1" {
		t.Errorf("%s, %v", r.parameters(), err)
	}
	if err := r.completedBy(said("theirs", 5)); !errors.Is(err, errCompleted) {
		t.Errorf("told twice: %v", err)
	}
	if err := r.completedBy(said("theirs", 6)); errors.Is(err, errCompleted) {
		t.Error("a request that says nothing new is sent again")
	}
	if err := r.completedBy(said("others", 7)); !errors.Is(err, errCompleted) || string(r.parameters()) != "mine+others of 1" {
		t.Errorf("another request of the same party: %s, %v", r.parameters(), err)
	}
	for i := range 2 * mostCompleted {
		if err := r.completedBy(said(fmt.Sprint(i), int64(10+i))); !errors.Is(err, errCompleted) && i < mostCompleted-3 {
			t.Errorf("round %d: %v", i, err)
		} else if errors.Is(err, errCompleted) && i >= mostCompleted-3 {
			t.Errorf("round %d goes on", i)
		}
	}

	for name, c := range map[string]error{
		"does not fit":          said("unfit", 1),
		"another microprotocol": &seat.Conflict{FP: bob, Microprotocol: "Other", Version: 1, Parameters: []byte("theirs")},
		"another version":       &seat.Conflict{FP: bob, Microprotocol: "Fit", Version: 2, Parameters: []byte("theirs")},
		"a stranger":            &seat.Conflict{FP: stranger, Microprotocol: "Fit", Version: 1, Parameters: []byte("theirs")},
		"no conflict":           errDrained,
	} {
		r := fresh()
		if err := r.completedBy(c); !errors.Is(err, c) || string(r.parameters()) != "mine" {
			t.Errorf("%s: %v, %s", name, err, r.parameters())
		}
	}
	var input *simon.InputError
	if err := fresh().completedBy(said("bad", 1)); !errors.As(err, &input) {
		t.Errorf("data that do not fit: %v", err)
	}
	if err := fresh().completedBy(said("panic", 1)); err == nil || errors.Is(err, errCompleted) {
		t.Errorf("a panic: %v", err)
	}
	none := fresh()
	none.m.Complete = nil
	if err := none.completedBy(said("theirs", 1)); errors.Is(err, errCompleted) {
		t.Error("a microprotocol that completes nothing is asked for again")
	}
}

// A party that was restarted has forgotten what it had read: its request lacks that again, and the other one waits for it.
func TestLackingRequests(t *testing.T) {
	for _, c := range []struct {
		parameters, others string
		want               bool
	}{
		{`{"left":[1,2],"right":null}`, `{"left":[1,2],"right":[2,3]}`, true},
		{`{"left":null,"right":null}`, `{"left":[1,2],"right":[2,3]}`, true},
		{`{"left":null,"right":[2,1]}`, `{"left":[1,3],"right":null}`, false},
		{`{"left":[1,2],"right":[2,4]}`, `{"left":[1,2],"right":[2,3]}`, false},
		{`{"decimals":3,"left":[1,2],"right":null}`, `{"decimals":4,"left":[1,2],"right":[2,3]}`, false},
		{`{"left":[1,2]}`, `{"left":[1,2],"right":[2,3]}`, false},
		{`{"left":[1,2],"wrong":null}`, `{"left":[1,2],"right":[2,3]}`, false},
		{`[`, `{}`, false}, {`{}`, `[`, false},
	} {
		if got := lacking([]byte(c.parameters), []byte(c.others)); got != c.want {
			t.Errorf("%s of %s: %v", c.parameters, c.others, got)
		}
	}
}
