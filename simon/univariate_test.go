package simon_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

func TestUnivariateNIST(t *testing.T) {
	for _, name := range []string{"NumAcc1", "NumAcc2", "NumAcc3", "NumAcc4", "Michelso", "Lottery", "Lew", "Mavro", "PiDigits"} {
		certified, data := readUnivariate(t, name)
		rapid.Check(t, func(rt *rapid.T) {
			got, _, err := play(t, simon.StatisticsUnivariate(), simontest.Options{Seed: 1}, simon.Guard{}, split(rt, 3, data), `{"outputs":["mean","standard_deviation"]}`)
			if err != nil {
				rt.Fatal(err)
			}
			fmt.Println(name, got, certified)
		})
	}
}
var _ = json.Valid
var _ = big.NewInt
var _ = slices.Sort[[]int]
var _ = strings.Cut
