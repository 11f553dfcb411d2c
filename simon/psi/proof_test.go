package psi

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/gtank/ristretto255"
)

// rogue is a party that has seen the public points and the lists of two others. Its part of the public point makes the sum one
// whose scalar it knows, and what it answers fits: it has asked the others for what they make of the same lists.
func rogue(t *testing.T, known *Scalar, alice, bob *Keyed, list []byte, n int) (public, answer []byte) {
	t.Helper()
	sum := new(ristretto255.Element).ScalarBaseMult(&known.s)
	for _, p := range []*Keyed{alice, bob} {
		var e ristretto255.Element
		if err := e.Decode(p.Public()); err != nil {
			t.Fatal(err)
		}
		sum.Subtract(sum, &e)
	}
	asked := [][]byte{}
	for _, p := range []*Keyed{alice, bob} {
		a, err := p.Answer(list, n, steady)
		if err != nil {
			t.Fatal(err)
		}
		asked = append(asked, a)
	}
	for i := range n {
		var e, a ristretto255.Element
		if err := e.Decode(list[i*PointSize:][:PointSize]); err != nil {
			t.Fatal(err)
		}
		e.ScalarMult(&known.s, &e)
		for _, o := range asked {
			if err := a.Decode(o[i*PointSize:][:PointSize]); err != nil {
				t.Fatal(err)
			}
			e.Subtract(&e, &a)
		}
		answer = e.Encode(answer)
	}
	return sum.Encode(nil), answer
}

// TestRogueKey: a public point that was made from the others' would give all pseudonyms to who made it, and has no proof.
func TestRogueKey(t *testing.T) {
	const n = 4
	alice, bob, known := keyed(t, seeded(1), 1, "x"), keyed(t, seeded(2), 1, "x"), keyed(t, seeded(3), 1, "x")
	blinded, err := alice.Blind(seeded(4), texts("a", "b"), n, steady)
	if err != nil {
		t.Fatal(err)
	}
	public, answer := rogue(t, known.key, alice, bob, blinded.List, n)
	honest, err := bob.Answer(blinded.List, n, steady)
	if err != nil {
		t.Fatal(err)
	}
	names, at, err := blinded.Pseudonyms([][]byte{bob.Public(), public}, [][]byte{honest, answer}, steady)
	if err != nil {
		t.Fatal(err)
	}
	alone := &Blinded{List: make([]byte, 0, PointSize), keyed: known, blind: make([]ristretto255.Scalar, 1)}
	var wide [64]byte
	known.hash.uniform(wide[:], texts("a")[0])
	alone.List = new(ristretto255.Element).FromUniformBytes(wide[:]).Encode(alone.List)
	guessed, _, err := alone.Pseudonyms(nil, nil, steady)
	if err != nil || guessed[0] != names[at[0]] {
		t.Fatalf("the attack is not the attack: %v", err)
	}
	for _, prover := range []*Keyed{known, bob} {
		proof, err := prover.Prove(seeded(5), 2)
		if err != nil {
			t.Fatal(err)
		}
		if err := alice.CheckPublic(public, proof, 2); err != ErrProof {
			t.Errorf("the rogue point is taken: %v", err)
		}
	}
	if err := alice.CheckPublic(public, make([]byte, ProofSize), 2); err != ErrProof {
		t.Errorf("the rogue point is taken with a proof of zeros: %v", err)
	}
}

// TestProof: a proof is for one point, one seat and one intersection, and has one encoding.
func TestProof(t *testing.T) {
	alice, bob := keyed(t, seeded(1), 1, "x"), keyed(t, seeded(2), 1, "x")
	proof, err := bob.Prove(seeded(3), 1)
	if err != nil || alice.CheckPublic(bob.Public(), proof, 1) != nil {
		t.Fatalf("an honest proof is refused: %v", err)
	}
	again, err := bob.Prove(seeded(3), 1)
	if err != nil || !bytes.Equal(proof, again) {
		t.Errorf("one randomness gives two proofs: %v", err)
	}
	other := keyed(t, seeded(2), 2, "x") // the same scalar
	elsewhere, err := other.Prove(seeded(3), 1)
	if err != nil || bytes.Equal(elsewhere[:PointSize], proof[:PointSize]) {
		t.Errorf("one commitment in two computations: %v", err)
	}
	order := unhex(t, "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
	for name, c := range map[string]struct {
		public, proof []byte
		seat          int
	}{
		"another seat":        {bob.Public(), proof, 0},
		"another point":       {alice.Public(), proof, 1},
		"another computation": {bob.Public(), elsewhere, 1},
		"short":               {bob.Public(), proof[:63], 1},
		"none":                {bob.Public(), nil, 1},
		"not reduced":         {bob.Public(), slices.Concat(proof[:PointSize], order), 1},
		"no commitment":       {bob.Public(), slices.Concat(bytes.Repeat([]byte{0xff}, PointSize), proof[PointSize:]), 1},
	} {
		if err := alice.CheckPublic(c.public, c.proof, c.seat); err != ErrProof {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := bob.Prove(strings.NewReader("short"), 1); err == nil {
		t.Error("a proof without randomness")
	}
}
