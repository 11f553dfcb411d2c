package simon_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// drawDouble draws doubles of all sizes, often the same few.
func drawDouble(t *rapid.T) float64 {
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
	case 0:
		return float64(rapid.IntRange(-3, 3).Draw(t, "small"))
	case 1:
		return rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64, math.MaxFloat64, -math.MaxFloat64, 4.35, 0.1}).Draw(t, "edge")
	case 2:
		return float64(rapid.IntRange(-999, 999).Draw(t, "cents")) / 100
	}
	for {
		if x := math.Float64frombits(rapid.Uint64().Draw(t, "bits")); !math.IsNaN(x) && !math.IsInf(x, 0) {
			return x
		}
	}
}

func textOf(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// pooledDoubles draws values and deals them to parties: in order, and as the parties' data.
func pooledDoubles(t *rapid.T, least int) (sorted []float64, data []string) {
	n, rows := rapid.IntRange(2, 7).Draw(t, "parties"), []string{}
	for range rapid.IntRange(least, 25).Draw(t, "values") {
		x := drawDouble(t)
		sorted, rows = append(sorted, x+0), append(rows, textOf(x))
	}
	slices.Sort(sorted)
	return sorted, split(t, n, rows)
}

// playRoles plays with drawn roles.
func playRoles(tt *testing.T, t *rapid.T, m simon.Microprotocol, data []string, parameters string) (map[string]any, error) {
	o := simontest.Options{Seed: rapid.Uint64().Draw(t, "seed"), Roles: gateRoles(t, len(data))}
	got, _, err := play(tt, m, o, simon.Guard{}, data, parameters)
	if err != nil {
		return nil, err
	}
	return decoded(t, got), nil
}

func sameNumber(v any, want float64) bool {
	n, ok := v.(json.Number)
	x, err := n.Float64()
	return ok && err == nil && (x == want)
}

func TestMinimumAndMaximumOfThePool(tt *testing.T) {
	checkSome(tt, 40, func(t *rapid.T) {
		sorted, data := pooledDoubles(t, 0)
		got, err := playRoles(tt, t, simon.MinimumMaximum(), data, fmt.Sprintf(`{"digit_bits": %d}`, rapid.IntRange(1, 6).Draw(t, "digit")))
		if err != nil {
			t.Fatal(err)
		}
		n := len(sorted)
		if n == 0 {
			if got["samples"] != json.Number("0") || got["minimum"] != nil || got["maximum"] != nil {
				t.Fatalf("nothing gives %v", got)
			}
			return
		}
		if !sameNumber(got["samples"], float64(n)) || !sameNumber(got["minimum"], sorted[0]) || !sameNumber(got["maximum"], sorted[n-1]) {
			t.Fatalf("%v gives %v", sorted, got)
		}
	})
}

func TestMedianOfThePool(tt *testing.T) {
	checkSome(tt, 40, func(t *rapid.T) {
		sorted, data := pooledDoubles(t, 1)
		got, err := playRoles(tt, t, simon.SecureMedian(), data, fmt.Sprintf(`{"digit_bits": %d}`, rapid.IntRange(1, 9).Draw(t, "digit")))
		if err != nil {
			t.Fatal(err)
		}
		a, b := sorted[(len(sorted)-1)/2], sorted[len(sorted)/2]
		sum := new(big.Rat).Add(new(big.Rat).SetFloat64(a), new(big.Rat).SetFloat64(b))
		want, _ := sum.Mul(sum, big.NewRat(1, 2)).Float64()
		if !sameNumber(got["median"], want) {
			t.Fatalf("the median of %v is not %v but %v", sorted, want, got)
		}
	})
}

func TestEveryRankOfThePool(tt *testing.T) {
	checkSome(tt, 40, func(t *rapid.T) {
		sorted, data := pooledDoubles(t, 1)
		k := rapid.IntRange(1, len(sorted)+2).Draw(t, "rank")
		got, err := playRoles(tt, t, simon.KthElement(), data, fmt.Sprintf(`{"rank": %d, "digit_bits": 5}`, k))
		if k > len(sorted) {
			if _, ok := errors.AsType[*simon.OutcomeError](err); !ok || !strings.Contains(err.Error(), "rank") {
				t.Fatalf("rank %d of %d: %v", k, len(sorted), err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if !sameNumber(got["item"], sorted[k-1]) || !sameNumber(got["samples"], float64(len(sorted))) {
			t.Fatalf("rank %d of %v is %v", k, sorted, got)
		}
	})
}

func TestTopOfThePool(tt *testing.T) {
	checkSome(tt, 40, func(t *rapid.T) {
		sorted, data := pooledDoubles(t, 0)
		k := rapid.IntRange(1, 12).Draw(t, "k")
		got, err := playRoles(tt, t, simon.SecureTopK(), data, fmt.Sprintf(`{"k": %d}`, k))
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(sorted)
		list := got["largest"].([]any)
		if len(list) != min(k, len(sorted)) {
			t.Fatalf("%d of %d values: %v", k, len(sorted), list)
		}
		for i, x := range list {
			if !sameNumber(x, sorted[i]) {
				t.Fatalf("the %d largest of %v are not %v", k, sorted, list)
			}
		}
	})
}

// quantileOf computes a quantile of sorted values as Hyndman and Fan define it, with exact numbers.
func quantileOf(sorted []float64, p *big.Rat, definition int) float64 {
	n := int64(len(sorted))
	rat := func(a, b int64) *big.Rat { return big.NewRat(a, b) }
	m := map[int]*big.Rat{1: rat(0, 1), 2: rat(0, 1), 6: p, 7: new(big.Rat).Sub(rat(1, 1), p)}[definition]
	at := new(big.Rat).Add(new(big.Rat).Mul(p, rat(n, 1)), m)
	j := new(big.Int).Div(at.Num(), at.Denom()).Int64()
	g := new(big.Rat).Sub(at, rat(j, 1))
	switch {
	case definition == 1 && g.Sign() > 0, definition == 2 && g.Sign() > 0:
		g = rat(1, 1)
	case definition == 2:
		g = rat(1, 2)
	}
	element := func(i int64) *big.Rat { return new(big.Rat).SetFloat64(sorted[max(1, min(i, n))-1]) }
	x := new(big.Rat).Mul(new(big.Rat).Sub(rat(1, 1), g), element(j))
	f, _ := x.Add(x, new(big.Rat).Mul(g, element(j+1))).Float64()
	return f
}

func TestQuantilesOfThePool(tt *testing.T) {
	checkSome(tt, 40, func(t *rapid.T) {
		sorted, data := pooledDoubles(t, 1)
		definition := rapid.SampledFrom([]int{1, 2, 6, 7}).Draw(t, "type")
		var p []*big.Rat
		var texts []string
		for i := range rapid.IntRange(1, 4).Draw(t, "probabilities") {
			x := big.NewRat(rapid.Int64Range(int64(250*i), int64(250*i+249)).Draw(t, "p"), 1000)
			if i == 3 {
				x.SetInt64(1)
			}
			p, texts = append(p, x), append(texts, x.FloatString(3))
		}
		got, err := playRoles(tt, t, simon.SecureQuantiles(), data, fmt.Sprintf(`{"type": %d, "digit_bits": 4, "probabilities": [%s]}`, definition, strings.Join(texts, ", ")))
		if err != nil {
			t.Fatal(err)
		}
		for i, one := range got["quantiles"].([]any) {
			if want := quantileOf(sorted, p[i], definition); !sameNumber(one.(map[string]any)["value"], want) {
				t.Fatalf("quantile %s of type %d of %v is not %v but %v", texts[i], definition, sorted, want, one)
			}
		}
		if _, told := got["samples"]; told == (definition == 1) {
			t.Fatalf("type %d: %v", definition, got)
		}
	})
}

func TestSumAboveAThreshold(tt *testing.T) {
	rapid.Check(tt, func(t *rapid.T) {
		n := rapid.IntRange(2, 5).Draw(t, "parties")
		var sum int64
		data := make([]string, n)
		for i := range data {
			x := rapid.Int64Range(-5_000_000, 5_000_000).Draw(t, "thousandths")
			sum += x
			data[i] = big.NewRat(x, 1000).FloatString(3)
		}
		threshold := sum + rapid.Int64Range(-2, 2).Draw(t, "off")
		got, err := playRoles(tt, t, simon.SecureCompare(), data, fmt.Sprintf(`{"decimals": 3, "threshold": %s}`, big.NewRat(threshold, 1000).FloatString(3)))
		if err != nil {
			t.Fatal(err)
		}
		if got["above"] != (sum > threshold) {
			t.Fatalf("%d above %d: %v", sum, threshold, got)
		}
	})
}

func TestUnivariateExtremesOfThePool(tt *testing.T) {
	rapid.Check(tt, func(t *rapid.T) {
		var rows []string
		var sorted []float64
		for range rapid.IntRange(0, 9).Draw(t, "values") {
			x := float64(rapid.IntRange(-999, 999).Draw(t, "cents")) / 100
			rows, sorted = append(rows, textOf(x)), append(sorted, x+0)
		}
		slices.Sort(sorted)
		data := split(t, rapid.IntRange(2, 5).Draw(t, "parties"), rows)
		got, err := playRoles(tt, t, simon.StatisticsUnivariate(), data, `{"outputs": ["mean", "maximum", "minimum"], "digit_bits": 3}`)
		if err != nil {
			t.Fatal(err)
		}
		if len(sorted) == 0 {
			if got["minimum"] != nil || got["maximum"] != nil {
				t.Fatalf("nothing gives %v", got)
			}
			return
		}
		if !sameNumber(got["minimum"], sorted[0]) || !sameNumber(got["maximum"], sorted[len(sorted)-1]) || !sameNumber(got["samples"], float64(len(sorted))) {
			t.Fatalf("%v gives %v", sorted, got)
		}
	})
}

// TestDealersBytesOfAMedian: with digits of 8 bits an evaluator gets less than 2.5 MB, and nothing of it depends on the data.
func TestDealersBytesOfAMedian(t *testing.T) {
	for parameters, want := range map[string][2]int{`{"digit_bits":8}`: {9, 1_900_000}, ``: {11, 1_000_000}, `{"digit_bits":4}`: {21, 300_000}} {
		for _, data := range [][]string{{"[1,2]", "[3]", "[4]"}, {"[-1,-1e300]", "[7,1e300]", "[]"}, {"[2]", "[]", "[]"}} {
			p := prepare(t, simon.SecureMedian(), parameters, data)
			bytes, digits := map[int]int{}, map[simon.Label]bool{}
			r := p.run(t, simontest.Options{Seed: 3})
			for _, m := range r.Messages {
				if m.Kind == simontest.Send {
					bytes[m.To] += len(m.Body)
				}
				if m.Label.Vector == "digits" {
					digits[m.Label] = true
				}
			}
			if len(bytes) != 2 || len(digits) != want[0] {
				t.Errorf("%s: %d steps, dealt are %v", parameters, len(digits), bytes)
			}
			for seat, n := range bytes {
				if n > want[1] || n < want[1]/2 {
					t.Errorf("%s: the dealer sends seat %d %d bytes, want at most %d", parameters, seat, n, want[1])
				}
			}
		}
	}
}
