package simon

// LogisticRegression models the odds of an event by columns (McCullagh and Nelder 1989, chapter 4; R's glm with family
// binomial). Rows are [y, x1, x2, ...] with y 0 or 1. What is opened, and the hops, are those of glm.
func LogisticRegression() Microprotocol {
	return logistic().microprotocol(Microprotocol{
		Name:    "LogisticRegression",
		Summary: "Logistic regression of an event on the columns of all parties' samples, with standard errors, odds ratios and deviance.",
		Input:   glmInput("0 or 1, false or true", ""),
		Result:  glmResult("odds_ratio", "e^estimate: by what the odds are multiplied where the column grows by 1"),
		Hops:    6, // JOIN, START, columns, one point at least and the last one, CONFIRM
		Round:   glmRound, Limit: glmLimit,
		Bytes:   glmBytes,
		Leakage: glmLeakage,
	})
}

func logistic() glm {
	return glm{method: "Logistic regression", family: "binomial", link: "logit", ratio: "odds_ratio", share: logisticShare}
}

// logisticShare works from e^-|eta|, so that neither the residual nor the weight cancels. |eta| is cut at 700.
func logisticShare(y, _, eta float64) (loss, residual, weight float64) {
	eta = max(-700, min(700, eta))
	agrees := (y == 1) == (eta >= 0)
	size := max(eta, -eta)
	e := portableExp(-size)
	unlikely := e / (1 + e) // the probability of the less likely outcome
	loss, residual, weight = portableLog1p(e), unlikely, unlikely/(1+e)
	if !agrees {
		loss, residual = loss+size, 1/(1+e)
	}
	if y == 0 {
		residual = -residual
	}
	return loss, residual, weight
}
