package simon

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/weftmpc/weft/simon/special"
)

// units is by how many units in the last place of want got differs from it.
func units(got float64, want *big.Float) float64 {
	d := new(big.Float).Sub(special.New(got), want)
	w, _ := want.Float64()
	_, e := math.Frexp(w)
	u, _ := d.SetMantExp(d, 53-e).Float64()
	return math.Abs(u)
}

func TestPortableFunctionsAreRight(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 4000 {
		x := (2*r.Float64() - 1) * math.Exp2(float64(r.IntN(20)-10))
		x = max(-700, min(700, x))
		if u := units(portableExp(x), special.Exp(special.New(x))); u > 1 {
			t.Fatalf("exp(%v) is %v: %.2f units away", x, portableExp(x), u)
		}
		y := math.Exp2(400 * (2*r.Float64() - 1))
		if u := units(portableLog(y), special.Log(special.New(y))); u > 1.5 {
			t.Fatalf("log(%v) is %v: %.2f units away", y, portableLog(y), u)
		}
		z := r.Float64() * math.Exp2(-float64(r.IntN(60)))
		if r.IntN(2) == 0 {
			z = -z
		}
		if u := units(portableLog1p(z), special.Log1p(special.New(z))); u > 3 {
			t.Fatalf("log1p(%v) is %v: %.2f units away", z, portableLog1p(z), u)
		}
	}
	for _, x := range []float64{0, math.Copysign(0, -1), 1, -1, 700, -700, 5e-324, math.Ln2 / 2, -math.Ln2 / 2} {
		if u := units(portableExp(x), special.Exp(special.New(x))); u > 1 {
			t.Errorf("exp(%v) is %v: %.2f units away", x, portableExp(x), u)
		}
	}
	if portableLog(1) != 0 || portableLog1p(0) != 0 || portableExp(0) != 1 {
		t.Error("the exact values are not exact")
	}
}

// Every processor has to give these bits.
func TestPortableFunctionsGiveTheSameBitsEverywhere(t *testing.T) {
	h := sha256.New()
	r := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		x := 700 * (2*r.Float64() - 1)
		for _, y := range []float64{portableExp(x), portableLog(math.Abs(x)), portableLog1p(math.Abs(x) / 700)} {
			h.Write(binary.BigEndian.AppendUint64(nil, math.Float64bits(y)))
		}
	}
	const want = "c3f6c286d91c436f"
	if got := hex.EncodeToString(h.Sum(nil)[:8]); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
