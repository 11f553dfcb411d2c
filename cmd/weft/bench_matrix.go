package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/weftmpc/weft/simon"
)

// The rows with matrices have as many parties as their work is for.
const (
	benchProduct      = "product"
	benchProductLarge = "product-large"
	benchOLS          = "ols"
	benchColumnsOf    = "columns"
)

// benchMatrices are the rows with matrices, and how many parties each has.
var benchMatrices = map[string]int{benchProduct: 2, benchProductLarge: 2, benchOLS: 2, benchColumnsOf: 5}

// wantsMatrices says whether a row with matrices needs a fabric of n parties.
func (f benchFlags) wantsMatrices(n int) bool {
	return slices.ContainsFunc(f.rows, func(row string) bool { return benchMatrices[row] == n })
}

// checkMatrices refuses rows with matrices that somebody has asked for, and no fabric is for.
func (f benchFlags) checkMatrices() error {
	if len(f.rows) == len(benchKinds) || len(f.gateways) > 0 {
		return nil
	}
	for _, row := range f.rows {
		if n := benchMatrices[row]; n > 0 && !slices.Contains(f.parties, n) {
			return usageError("--rows: %s is for %d parties: name %d among --parties", row, n, n)
		}
	}
	return nil
}

// matrixCases are the rows with matrices for a fabric of so many parties.
func (f benchFlags) matrixCases(b *benchFabric, core asker) (all []benchCase) {
	for _, kind := range []string{benchProduct, benchProductLarge, benchOLS, benchColumnsOf} {
		if f.wants(kind) && benchMatrices[kind] == len(b.names) {
			all = append(all, benchCase{kind: kind, work: matrixWork(kind), count: (f.count + 9) / 10, atOnce: 1, ask: core})
		}
	}
	return all
}

// matrixWork is the work of a row with matrices.
func matrixWork(kind string) work {
	w := work{check: sameResults}
	find := func(name string) {
		for _, m := range simon.Catalogue() {
			if m.Name == name {
				w.microprotocol = m
			}
		}
	}
	shapes := func(left, right [2]int) func(int) []byte {
		w.values = left[0] * left[1]
		return func(party int) []byte {
			shape := left
			if party == 1 {
				shape = right
			}
			return benchMatrix(party, shape[0], shape[1])
		}
	}
	switch kind {
	case benchProduct:
		find("SecureMatrixMultiplication")
		w.data = shapes([2]int{10, 10}, [2]int{10, 10})
	case benchProductLarge:
		find("SecureMatrixMultiplication")
		w.data = shapes([2]int{100, 1000}, [2]int{1000, 100})
	case benchOLS:
		find("StatisticsRegressionOLSVertical")
		w.data = shapes([2]int{200, 5}, [2]int{200, 1})
	case benchColumnsOf:
		find("LinearRegressionVertical")
		const rows, each = 10_000, 4
		var names []string
		for i := range benchMatrices[kind] {
			names = append(names, fmt.Sprintf(`["a%d","b%d","c%d","d%d"]`, i, i, i, i))
		}
		w.parameters = json.RawMessage(`{"columns":[` + strings.Join(names, ",") + `]}`)
		w.values = rows * each
		w.data = func(party int) []byte { return benchMatrix(party, rows, each) }
	default:
		panic("no matrices for row " + kind)
	}
	return w
}

// benchMatrix is a party's matrix of numbers with two decimals.
func benchMatrix(party, rows, columns int) []byte {
	r := rand.New(rand.NewPCG(uint64(party), 1))
	b := []byte("[")
	for i := range rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		for j := range columns {
			if j > 0 {
				b = append(b, ',')
			}
			b = fmt.Appendf(b, "%.2f", 10*r.NormFloat64())
		}
		b = append(b, ']')
	}
	return append(b, ']')
}
