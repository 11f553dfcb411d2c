//go:build weft_insecure_unsealed

package test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker"
)

// TestObserverWouldFindUnsealedValues runs these: they prove that its neighbours, which find nothing, look in the right
// place.

func TestUnsealedInputsAreFound(t *testing.T) {
	for _, data := range []map[string]rows{scalars, vectors} {
		c := newConsortium(t, false)
		id := uuid.UUID{1}
		c.compute("ClearSum", id, data)
		found := map[string]bool{} // needle, and who sent it to whom
		for _, s := range c.sightings(secrets(t, data)) {
			u, to, from, ok := broker.ParseShare(s.Subject)
			if !ok || u != id.String() {
				t.Errorf("outside of share messages: %s", s)
			}
			found[fmt.Sprintf("%s from %s to %s", s.needle, from, to)] = true
		}
		for _, from := range three {
			for _, to := range three {
				for col, sum := range data[from].sums(t) {
					// A party with one sample has its input as its sum.
					names := []string{fmt.Sprintf("the sum %d of %s", col, from), fmt.Sprintf("%s's input 0, %d", from, col)}
					if from != to && !slices.ContainsFunc(names, func(name string) bool {
						return found[fmt.Sprintf("%s as q of 192 bits LE from %s to %s", name, from, to)]
					}) {
						t.Errorf("%s from %s to %s is not found", sum, from, to)
					}
				}
			}
		}
	}
}

// Masks alone hide inputs and result from an observer: sealing is the second wall.
func TestUnsealedMaskedSumsHideInputs(t *testing.T) {
	c := newConsortium(t, false)
	for i, data := range []map[string]rows{scalars, vectors} {
		c.compute("SecureSum", uuid.UUID{1, byte(i)}, data)
		for _, s := range c.sightings(secrets(t, data)) {
			t.Error(s)
		}
	}
}

func TestUnsealedBlocksRepeat(t *testing.T) {
	c := newConsortium(t, false)
	var bodies [][]byte
	for i := range byte(2) {
		c.compute("ClearSum", uuid.UUID{1, i}, equal)
		bodies = append(bodies, c.bodies(uuid.UUID{1, i})...)
	}
	if n := repeatedBlocks(bodies); n < 2*6*64 {
		t.Errorf("only %d blocks of 16 bytes occur again", n)
	}
}
