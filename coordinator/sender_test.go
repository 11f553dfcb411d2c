package coordinator

import (
	"testing"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go/micro"

	"github.com/weftmpc/weft/broker"
)

// A JOIN or LEAVE counts under its signer's own name only, the first time and when it is repeated.
func TestTableRefusesAnothersName(t *testing.T) {
	w := newWorld(t, "alice", "bob")
	c := w.common(first, "alice", "bob")
	j := w.join("alice", c)
	refused := func(when string) {
		t.Helper()
		for _, from := range []string{"bob", "", "Alice", "alice.x"} {
			if a, push := w.table.JoinFrom(from, j); a.Kind != AnswerRefused || a.Code != CodeSender || len(push) != 0 {
				t.Errorf("%s, from %q: %+v", when, from, a)
			}
		}
	}
	refused("unknown")
	if n := w.table.Counts(); n.Open != 0 {
		t.Errorf("held: %+v", n)
	}
	if a, _ := w.table.JoinFrom("alice", j); a.Kind != AnswerWaiting {
		t.Fatalf("%+v", a)
	}
	refused("held")
	l := w.leave("alice", c, j)
	for _, from := range []string{"bob", ""} {
		if err := w.table.LeaveFrom(from, l); err == nil {
			t.Errorf("the LEAVE of alice is taken from %q", from)
		}
	}
	if n := w.table.Counts(); n.Open != 1 {
		t.Errorf("after others' LEAVEs: %+v", n)
	}
	if err := w.table.LeaveFrom("alice", l); err != nil || w.table.Counts().Open != 0 {
		t.Errorf("her own: %v", err)
	}
}

// The name is the subject's.
func TestServiceRefusesAnothersName(t *testing.T) {
	h := newHub(t, "alice", "bob")
	h.serve(t)
	c := h.common(first, "alice", "bob")
	j := h.join("alice", c)
	if a := h.ask(t, "bob", j); a.Code != CodeSender {
		t.Errorf("bob shows alice's JOIN: %+v", a)
	}
	h.ask(t, "alice", j)
	m := must(h.fabric.Conns["bob"].Request(broker.LeaveSubject("bob"), h.leave("alice", c, j), patience))(t)
	if m.Header.Get(micro.ErrorCodeHeader) != "400" || h.status(t).Open != 1 {
		t.Errorf("bob withdraws alice's JOIN: %v", m.Header)
	}
	if a := h.ask(t, "bob", make([]byte, maxJoin+1)); a.Code != CodeMalformed || h.status(t).Dropped != 1 {
		t.Errorf("too long: %+v, %+v", a, h.status(t))
	}
}

// A START stays for a party that has room for it, however many its other party has since had.
func TestMemoryOfAStartOutlivesTheOtherPartysChurn(t *testing.T) {
	w := newWorld(t, "alice", "mallory", "bob")
	conf := w.config()
	conf.MaxKept = 20_000
	w.table = NewTable(conf)
	start := func(a, b string) []byte {
		c := w.common(uuid.New(), a, b)
		j := w.join(a, c)
		w.table.Join(j)
		if r, _ := w.table.Join(w.join(b, c)); r.Kind != AnswerStart {
			t.Fatal(r.Kind, r.Text)
		}
		return j
	}
	alices, bobs := start("alice", "mallory"), start("bob", "mallory")
	for range 20 {
		start("bob", "mallory")
	}
	if r, _ := w.table.Join(alices); r.Kind != AnswerStart {
		t.Errorf("alice hears %s %s", r.Kind, r.Text)
	}
	if r, _ := w.table.Join(bobs); r.Code != CodeOver {
		t.Errorf("the bound does not hold: bob hears %s %s", r.Kind, r.Text)
	}
	if n := w.table.Counts(); n.KeptBytes > 3*conf.MaxKept {
		t.Errorf("%+v", n)
	}
}
