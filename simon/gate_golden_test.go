package simon_test

import (
	"testing"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// TestGateTranscripts: all messages of a median and of a table whose small counts are hidden, with fixed randomness. Whoever
// changes what is sent changes testdata, on purpose.
func TestGateTranscripts(t *testing.T) {
	for name, c := range map[string]struct {
		m          simon.Microprotocol
		parameters string
		data       []string
	}{
		"securemedian":           {simon.SecureMedian(), `{"digit_bits":11,"least_samples":3}`, []string{"[1.5,-2]", "[4.35]", "[1e300]"}},
		"statisticsfrequency-t3": {simon.StatisticsFrequency(), `{"categories":["a","b","c"],"suppress_below":3,"least_contributors":2}`, []string{`["a","b"]`, `["a","a","b"]`, `["c"]`}},
	} {
		r := prepare(t, c.m, c.parameters, c.data).run(t, simontest.Options{Seed: 1})
		simontest.Golden(t, name, r.Transcript())
	}
}
