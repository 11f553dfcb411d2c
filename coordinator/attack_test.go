package coordinator

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker"
)

// A party that floods the coordinator must not keep the others' JOINs out: neither with nonsense as large as the broker
// lets through, nor with JOINs that cost a signature check each.
func TestOnePartysFloodLeavesRoomForOthers(t *testing.T) {
	patience := 2 * time.Second // far less than the flood's own answers would take
	if testing.Short() {
		patience = 10 * time.Second // the race detector makes both slow
	}
	for name, c := range map[string]struct {
		ahead    int // of the flood's messages are under way before alice's first
		messages func(h *hub) [][]byte
	}{
		"nonsense": {1000, func(*hub) [][]byte { return [][]byte{make([]byte, broker.MaxPayload-1024)} }},
		"forgeries": {50_000, func(h *hub) [][]byte {
			var forged [][]byte
			for range 1000 {
				b := h.join("mallory", h.common(uuid.New(), "mallory", "bob"))
				b[len(b)-1] ^= 1
				forged = append(forged, b)
			}
			return forged
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHub(t, "alice", "bob", "mallory")
			h.serve(t)
			flood := c.messages(h)
			ahead, stop, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				for i := 0; ; i++ {
					if i == c.ahead {
						close(ahead)
					}
					select {
					case <-stop:
						return
					default:
						_ = h.fabric.Conns["mallory"].Publish(broker.JoinSubject("mallory"), flood[i%len(flood)])
					}
				}
			}()
			<-ahead
			lost := 0
			const tries = 3
			for range tries {
				join := h.join("alice", h.common(uuid.New(), "alice", "bob"))
				m, err := h.fabric.Conns["alice"].Request(broker.JoinSubject("alice"), join, patience)
				if err != nil {
					lost++
				} else if a, err := DecodeAnswer(m.Data); err != nil || a.Kind != AnswerWaiting {
					t.Errorf("alice hears %s %s (%v)", a.Kind, a.Text, err)
				}
			}
			close(stop)
			<-done
			if lost > 0 {
				t.Errorf("%d of alice's %d JOINs were not answered within %s", lost, tries, patience)
			}
		})
	}
}

// One party's JOINs and LEAVEs must not make the coordinator forget what it knows about the others.
func TestMemoryOfOthersOutlivesOnePartysChurn(t *testing.T) {
	w := newWorld(t, "alice", "bob", "mallory")
	conf := w.config()
	conf.MaxOpen = 64 // so that the test is short: the bound on memories follows from it
	w.table = NewTable(conf)
	c := w.common(uuid.New(), "alice", "bob")
	alices, bobs := w.join("alice", c), w.join("bob", c)
	w.table.Join(alices)
	if r, _ := w.table.Join(bobs); r.Kind != AnswerStart {
		t.Fatal(r.Kind)
	}
	for range 5 * conf.MaxOpen {
		m := w.common(uuid.New(), "mallory", "bob")
		j := w.join("mallory", m)
		if r, _ := w.table.Join(j); r.Kind != AnswerWaiting {
			t.Fatal(r.Kind, r.Text)
		}
		if err := w.table.Leave(w.leave("mallory", m, j)); err != nil {
			t.Fatal(err)
		}
	}
	if r, _ := w.table.Join(alices); r.Kind != AnswerStart {
		t.Errorf("alice repeats her JOIN of a computation that has started and hears %v", r.Kind)
	}
}
