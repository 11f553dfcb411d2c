package simon_test

import (
	"testing"

	"github.com/weftmpc/weft/simon"
)

func TestBivariatePrivacy(t *testing.T) {
	reprogrammed(t, simon.StatisticsBivariate(), "",
		[]string{"[[1,2]]", "[[3,4],[-1.5,2.25]]", "[[7,-8]]", "[]"},
		[]string{"[[1,2]]", "[[7,-8],[3,4]]", "[[-1.5,2.25]]", "[]"})
}

func TestBivariateSimulated(t *testing.T) {
	if n := simulated(t, simon.StatisticsBivariate(), `{"least_samples":1}`, []string{"[[1,2]]", "[[3,4],[-1.5,2.25]]", "[[7,-8]]"}); n != 176 {
		t.Errorf("%d bytes", n)
	}
}
