package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/weftmpc/weft/simon"
)

// work is what the parties of a row compute.
type work struct {
	microprotocol simon.Microprotocol
	parameters    json.RawMessage
	values        int // of each party, for the table
	data          func(party int) []byte
	check         func(results [][]byte) error
}

// sumWork adds one number of each party, or lists of values numbers.
func sumWork(values int) work {
	return work{
		microprotocol: simon.SecureSum(), values: values,
		data:  func(party int) []byte { return benchData(party, values) },
		check: func(results [][]byte) error { return checkBench(results, values) },
	}
}

// The sizes of the rows with statistics, of each party.
const (
	benchSamples    = 100
	benchPatients   = 427
	benchCovariates = 10
	benchCategories = 1000 // different ones of all parties together
	benchListed     = 100  // categories whose small counts are hidden
	benchMany       = 1_000_000
)

// statisticWork is the work of the rows that are neither sums nor vectors.
func statisticWork(kind string) work {
	w := work{values: benchSamples, check: sameResults}
	find := func(name string) {
		for _, m := range simon.Catalogue() {
			if m.Name == name {
				w.microprotocol = m
			}
		}
	}
	list := func(rows int, row func(r *rand.Rand, i int, b []byte) []byte) func(int) []byte {
		return func(party int) []byte {
			r := rand.New(rand.NewPCG(uint64(party), 0))
			b := []byte("[")
			for i := range rows {
				if i > 0 {
					b = append(b, ',')
				}
				b = row(r, i, b)
			}
			return append(b, ']')
		}
	}
	hundredths := func(r *rand.Rand, b []byte) []byte { return fmt.Appendf(b, "%.2f", 10+90*r.Float64()) }
	switch kind {
	case benchUnivariate:
		find("StatisticsUnivariate")
		w.data = list(benchSamples, func(r *rand.Rand, _ int, b []byte) []byte { return hundredths(r, b) })
	case benchBivariate:
		find("StatisticsBivariate")
		w.data = list(benchSamples, func(r *rand.Rand, _ int, b []byte) []byte {
			return append(hundredths(r, append(hundredths(r, append(b, '[')), ',')), ']')
		})
	case benchLogistic:
		find("LogisticRegression")
		w.values = benchPatients
		w.data = list(benchPatients, func(r *rand.Rand, _ int, b []byte) []byte {
			x := make([]float64, benchCovariates)
			risk := -0.5
			for k := range x {
				x[k] = r.NormFloat64()
				risk += x[k] / float64(k+2)
			}
			b = append(append(b, '['), "01"[map[bool]int{true: 1}[risk+r.NormFloat64() > 0]])
			for _, v := range x {
				b = strconv.AppendFloat(append(b, ','), v, 'f', 3, 64)
			}
			return append(b, ']')
		})
	case benchUnion:
		find("StatisticsFrequency")
		w.values, w.parameters = benchCategories, json.RawMessage(`{"max_categories":`+strconv.Itoa(benchCategories)+`}`)
		w.data = list(benchCategories, func(r *rand.Rand, i int, b []byte) []byte {
			return fmt.Appendf(b, `"category %d"`, (i*7919+r.IntN(3))%benchCategories)
		})
	case benchExtremes, benchMedian, benchQuantiles, benchLarge:
		switch kind {
		case benchExtremes:
			find("MinimumMaximum")
		case benchQuantiles:
			find("SecureQuantiles")
			w.parameters = json.RawMessage(`{"probabilities":[0.05,0.1,0.25,0.5,0.75,0.9,0.95]}`)
		case benchLarge:
			w.values = benchMany
			fallthrough
		default:
			find("SecureMedian")
		}
		w.data = list(w.values, func(r *rand.Rand, _ int, b []byte) []byte { return hundredths(r, b) })
	case benchHidden:
		find("StatisticsFrequency")
		categories := make([]int, benchListed)
		for i := range categories {
			categories[i] = i
		}
		listed, err := json.Marshal(categories)
		if err != nil {
			panic(err)
		}
		w.parameters = json.RawMessage(fmt.Sprintf(`{"suppress_below":5,"categories":%s}`, listed))
		w.values = 10 * benchListed
		w.data = list(w.values, func(r *rand.Rand, _ int, b []byte) []byte {
			return strconv.AppendInt(b, int64(r.IntN(benchListed)), 10)
		})
	default:
		panic("no work for row " + kind)
	}
	return w
}

// sameResults checks that all parties have one result.
func sameResults(results [][]byte) error {
	if slices.ContainsFunc(results, func(r []byte) bool { return !bytes.Equal(r, results[0]) }) {
		return errors.New("two parties have different results")
	}
	return nil
}
