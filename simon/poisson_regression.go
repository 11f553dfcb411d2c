package simon

import "math"

// PoissonRegression models the rate of events by columns (McCullagh and Nelder 1989, chapter 6; R's glm with family
// poisson). Rows are [y, x1, x2, ...] with counts y, and with the parameter exposure a last value t > 0: events are then
// expected in proportion to it, as with offset(log(t)). What is opened, and the hops, are those of glm.
func PoissonRegression() Microprotocol {
	return poisson().microprotocol(Microprotocol{
		Name:    "PoissonRegression",
		Summary: "Poisson regression of counts on the columns of all parties' samples, with standard errors, rate ratios and deviance.",
		Input:   glmInput("a number of events", " and, with the parameter exposure, the exposure, which is more than 0"),
		Result:  glmResult("rate_ratio", "e^estimate: by what the rate is multiplied where the column grows by 1"),
		Hops:    6, // JOIN, START, columns, one point at least and the last one, CONFIRM
		Round:   glmRound, Limit: glmLimit,
		Bytes: "16 bytes for the likelihood of the counts, 24 for exposures, " + glmBytes,
		Leakage: "Besides what follows, all parties learn of all samples together the sum of the exposures, if there are any, and that of the logarithms of the probabilities that each count has where it is expected. " +
			glmLeakage,
	})
}

func poisson() glm {
	return glm{method: "Poisson regression", family: "poisson", link: "log", ratio: "rate_ratio", counts: true, share: poissonShare}
}

// The expected count is cut where only a bad step of Newton's method leads.
const (
	mostExpected  = 1 << 64
	leastExpected = 1.0 / (1 << 62) / (1 << 62) / (1 << 62) / (1 << 62) / (1 << 62) / (1 << 62) / (1 << 62)
)

// poissonShare has y·log(y/mu) - (y-mu) as the loss. Near y = mu it is mu times the series of (1+d)·log(1+d) - d, where
// nothing cancels, for d = (y-mu)/mu.
func poissonShare(y, exposure, eta float64) (loss, residual, weight float64) {
	const near, last = 0.1, 18
	mu := float64(exposure * portableExp(max(-700, min(700, eta))))
	mu = max(leastExpected, min(mostExpected, mu))
	residual = y - mu
	d := residual / mu
	switch {
	case y == 0:
		loss = mu
	case math.Abs(d) < near:
		sum := 0.0
		for k := last; k >= 2; k-- {
			sum = 1/float64(k*(k-1)) - float64(d*sum) // Σ (-d)^(k-2)/(k·(k-1))
		}
		loss = float64(mu*d) * d * sum
	default:
		loss = float64(y*portableLog(y/mu)) - residual
	}
	return loss, residual, mu
}
