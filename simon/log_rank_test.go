package simon_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/special"
)

func TestLogRankAgreesWithR(t *testing.T) {
	const digits = 12
	for name, own := range map[string]string{"lung-sex": `"groups":[1,2]`, "lung-ecog": `"groups":[0,1,2]`, "lung-sex-strata": `"groups":[1,2],"strata":[0,1,2,3]`} {
		r := fromR(t, name)
		rows, times := lungRows(t, r)
		for _, parameters := range []string{`{` + own + `}`, `{` + own + `,"times":` + times + `}`} {
			data := dealt(rows, 3)
			text := mustPlay(t, simon.LogRank(), parameters, data...)
			conforms(t, simon.LogRank(), data, parameters, text)
			got := decoded(t, text)
			if strings.Contains(text, "notes") {
				t.Errorf("notes in %s", text)
			}
			near(t, "samples", got["samples"], json.Number(fmt.Sprint(len(rows))), 16)
			near(t, "statistic", got["statistic"], r.number(t, "survdiff", "chisq"), digits)
			near(t, "df", got["df"], r.number(t, "survdiff", "df"), digits)
			near(t, "p_value", got["p_value"], r.number(t, "survdiff", "p.value"), digits)
			for g := range r.length(t, "survdiff", "groups") {
				near(t, "samples", follow(t, got, "groups", g, "samples"), r.number(t, "survdiff", "n", g), digits)
				near(t, "observed", follow(t, got, "groups", g, "observed"), r.number(t, "survdiff", "observed", g), digits)
				near(t, "expected", follow(t, got, "groups", g, "expected"), r.number(t, "survdiff", "expected", g), digits)
				for h := range r.length(t, "survdiff", "groups") {
					near(t, "variance", follow(t, got, "variance", g, h), r.number(t, "survdiff", "var", g, h), digits)
				}
			}
		}
	}
}

// TestLogRankIsThatOfThePool computes the test again, in fractions, from the definition of the hypergeometric distribution,
// and solves the linear system by elimination in fractions.
func TestLogRankIsThatOfThePool(t *testing.T) {
	checkSome(t, 40, func(rt *rapid.T) {
		all := subjects(rt)
		width, parameters := 3, testGroupList
		if rapid.Bool().Draw(rt, "strata") {
			width, parameters = 4, parameters+`,"strata":[0,1]`
		} else {
			for i := range all {
				all[i].stratum = 0
			}
		}
		grid := rapid.Bool().Draw(rt, "grid")
		if grid {
			parameters += "," + testGrid
		}
		got := played(rt, t, simon.LogRank(), width, `{`+parameters+`}`, all)
		if grid {
			for i := range all {
				all[i] = upGrid(all[i])
			}
		}
		same(rt, "samples", got["samples"], big.NewRat(int64(len(all)), 1))
		checkLogRank(rt, t, got, all)
	})
}

func checkLogRank(rt *rapid.T, t *testing.T, got map[string]any, all []aSubject) {
	k := len(testGroups)
	samples, observed := make([]int64, k), make([]int64, k)
	expected, variance := make([]*big.Rat, k), make([][]*big.Rat, k)
	for g := range k {
		expected[g] = new(big.Rat)
		for range k {
			variance[g] = append(variance[g], new(big.Rat))
		}
	}
	for _, s := range all {
		samples[s.group]++
		if s.event {
			observed[s.group]++
		}
	}
	for stratum := range 2 {
		for quarters := range int64(13) {
			atRisk, n, d := make([]int64, k), int64(0), int64(0)
			for _, s := range all {
				if s.stratum == stratum && s.quarters >= quarters {
					atRisk[s.group]++
					n++
				}
				if s.stratum == stratum && s.quarters == quarters && s.event {
					d++
				}
			}
			if d == 0 {
				continue
			}
			for g := range k {
				share := big.NewRat(atRisk[g], n)
				expected[g].Add(expected[g], new(big.Rat).Mul(share, big.NewRat(d, 1)))
				for h := range k {
					if n == 1 {
						continue
					}
					c := new(big.Rat).Neg(big.NewRat(atRisk[h], n))
					if g == h {
						c.Add(c, big.NewRat(1, 1))
					}
					c.Mul(c, share).Mul(c, big.NewRat(d*(n-d), n-1))
					variance[g][h].Add(variance[g][h], c)
				}
			}
		}
	}
	excess := make([]*big.Rat, k)
	for g := range k {
		same(rt, "samples", follow(t, got, "groups", g, "samples"), big.NewRat(samples[g], 1))
		same(rt, "observed", follow(t, got, "groups", g, "observed"), big.NewRat(observed[g], 1))
		same(rt, "expected", follow(t, got, "groups", g, "expected"), expected[g])
		excess[g] = new(big.Rat).Sub(big.NewRat(observed[g], 1), expected[g])
		for h := range k {
			same(rt, "variance", follow(t, got, "variance", g, h), variance[g][h])
		}
	}
	statistic, rank := quadratic(rt, variance, excess)
	same(rt, "df", got["df"], big.NewRat(rank, 1))
	if rank == 0 {
		if got["statistic"] != nil || got["p_value"] != nil {
			rt.Fatalf("a test of nothing: %v", got)
		}
		return
	}
	about(rt, "statistic", got["statistic"], special.FromRat(statistic))
	about(rt, "p_value", got["p_value"], special.ChiSquareUpper(special.FromRat(statistic), special.Int(rank)))
}

// quadratic is u'·x for a solution x of v·x = u, and the rank of v, by elimination in fractions. It destroys v.
func quadratic(rt *rapid.T, v [][]*big.Rat, u []*big.Rat) (*big.Rat, int64) {
	k := len(u)
	right := make([]*big.Rat, k)
	for i := range u {
		right[i] = new(big.Rat).Set(u[i])
	}
	x, rank := make([]*big.Rat, k), int64(0)
	used := make([]int, 0, k) // row of each pivot
	columns := make([]int, 0, k)
	for column := range k {
		x[column] = new(big.Rat)
		pivot := -1
		for row := range k {
			free := true
			for _, r := range used {
				free = free && r != row
			}
			if free && v[row][column].Sign() != 0 {
				pivot = row
				break
			}
		}
		if pivot < 0 {
			continue
		}
		used, columns = append(used, pivot), append(columns, column)
		rank++
		for row := range k {
			if row == pivot || v[row][column].Sign() == 0 {
				continue
			}
			factor := new(big.Rat).Quo(v[row][column], v[pivot][column])
			for c := range k {
				v[row][c] = new(big.Rat).Sub(v[row][c], new(big.Rat).Mul(factor, v[pivot][c]))
			}
			right[row] = new(big.Rat).Sub(right[row], new(big.Rat).Mul(factor, right[pivot]))
		}
	}
	for i, row := range used {
		x[columns[i]] = new(big.Rat).Quo(right[row], v[row][columns[i]])
		right[row] = new(big.Rat)
	}
	sum := new(big.Rat)
	for i := range u {
		if right[i].Sign() != 0 {
			rt.Fatalf("the excesses are not in the range of their covariance: %v", right)
		}
		sum.Add(sum, new(big.Rat).Mul(u[i], x[i]))
	}
	return sum, rank
}

func TestLogRankOfLittle(t *testing.T) {
	const nothing = `"statistic":null,"df":0,"p_value":null`
	for _, c := range []struct{ parameters, data, want string }{
		{`{"groups":["a","b"]}`, `[]`, nothing},
		{`{"groups":["a","b"]}`, `[[1,0,"a"],[2,0,"b"]]`, nothing},                                                  // no events
		{`{"groups":["a","b"]}`, `[[1,1,"a"],[2,1,"a"]]`, nothing},                                                  // one group
		{`{"groups":["a","b"]}`, `[[1,1,"a"],[1,1,"b"],[1,1,"b"]]`, nothing},                                        // no choice
		{`{"groups":["a","b"]}`, `[[1,1,"a"],[1,1,"b"],[2,0,"a"],[2,0,"b"]]`, `"statistic":0,"df":1,"p_value":1`},   // exactly none, not nearly
		{`{"groups":["a","b","c"]}`, `[[1,1,"a"],[2,1,"b"],[3,1,"a"]]`, `"df":1,`},                                  // a group without samples
		{`{"groups":["a","b","c"]}`, `[[1,0,"c"],[2,1,"a"],[3,1,"b"],[4,1,"a"]]`, `"df":1,`},                        // a group that left before the first event
		{`{"groups":["a","b","c"],"strata":[0,1]}`, `[[1,1,"a",0],[2,1,"b",0],[3,1,"c",1],[4,1,"c",1]]`, `"df":1,`}, // a group alone in its stratum
	} {
		text := mustPlay(t, simon.LogRank(), c.parameters, `[]`, c.data, `[]`)
		conforms(t, simon.LogRank(), []string{c.data}, c.parameters, text)
		if !strings.Contains(text, c.want) {
			t.Errorf("%s with %s: %s, want %s", c.data, c.parameters, text, c.want)
		}
		if c.want == nothing && !strings.Contains(text, `"notes":{"statistic":"there was no event`) {
			t.Errorf("no note in %s", text)
		}
		if c.want == `"df":1,` && !strings.Contains(text, `"notes":{"groups[2]":"not compared`) {
			t.Errorf("no note in %s", text)
		}
	}
}
