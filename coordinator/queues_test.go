package coordinator

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

// Whoever has sent most waits for itself: the others' few messages come in turn, and everybody's in order.
func TestQueuesGiveEachPartyItsTurn(t *testing.T) {
	q := newQueues()
	add := func(party string, n int) bool { return q.add(message{party: party, reply: fmt.Sprint(n)}) }
	for n := range maxQueued {
		if !add("mallory", n) {
			t.Fatal("refused with room left")
		}
	}
	if add("mallory", maxQueued) {
		t.Error("a full queue takes more")
	}
	for n := range 2 {
		if !add("alice", n) || !add("bob", n) {
			t.Fatal("one party's queue leaves no room for another's")
		}
	}
	var got []string
	q.serve(func(m message) {
		if got = append(got, m.party+m.reply); len(got) == maxQueued+4 {
			q.close()
		}
	})
	want := []string{"mallory0", "alice0", "bob0", "mallory1", "alice1", "bob1", "mallory2", "mallory3"}
	if !slices.Equal(got[:len(want)], want) || got[len(got)-1] != fmt.Sprintf("mallory%d", maxQueued-1) {
		t.Errorf("served %v", got)
	}
	if !add("alice", 3) {
		t.Error("a closed queue is said to be full")
	}
}

// However many workers there are, a party occupies one.
func TestQueuesServeOneMessageOfAParty(t *testing.T) {
	q := newQueues()
	for n := range 20 {
		q.add(message{party: "mallory", reply: fmt.Sprint(n)})
	}
	var wg sync.WaitGroup
	inside, served := make(chan struct{}, 1), make(chan string, 20)
	for range 4 {
		wg.Go(func() {
			q.serve(func(m message) {
				select {
				case inside <- struct{}{}:
				default:
					t.Error("two messages of one party at once")
				}
				<-inside
				served <- m.reply
			})
		})
	}
	for n := range 20 {
		if got := <-served; got != fmt.Sprint(n) {
			t.Errorf("message %s came as number %d", got, n)
		}
	}
	q.close()
	wg.Wait()
}
