package simon

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// LinearRegressionVertical fits one column by all others, where each party has other columns of the same samples.
//
// From the exact sums of products it solves what LinearRegression does, with the same digits.
func LinearRegressionVertical() Microprotocol {
	return vertical{
		own: []parameter{
			level(), truth("intercept", true, "whether the model has an intercept"),
			{"outcome", nil, func(v any) (any, error) {
				if s, ok := v.(string); ok && s != "" && len(s) <= 100 {
					return s, nil
				}
				return nil, errors.New("must be the name of a column")
			}, `"type":"string","minLength":1,"maxLength":100`, "the name of the column y that is explained by all others; by default the first column of the first party"},
			number("ridge", "0", func(x *big.Rat) bool { return x.Sign() >= 0 }, "a number that is not negative",
				"what is added to the diagonal of X'X; columns are not scaled, the intercept is not penalised, and there are no standard errors"),
		},
		sums: func(v values) bool { return v.truth("intercept") },
		refuse: func(v values) *InputError {
			if name := v.text("outcome"); name != "" && !slices.Contains(allColumns(v), name) {
				return &InputError{"parameters.outcome", fmt.Sprintf("%q is no column: parameters.columns has the names", shorten(name))}
			}
			return nil
		},
		finish: func(v values, c *cross, names []string) (object, error) {
			y := max(0, slices.Index(names, v.text("outcome")))
			fit, err := fitLinear(c.moved(y), slices.Delete(slices.Clone(names), y, y+1), v.rat("ridge"))
			if err != nil {
				return object{}, err
			}
			return fit.object(v.rat("conf_level")), nil
		},
	}.complete(Microprotocol{
		Name:    "LinearRegressionVertical",
		Summary: "Least squares regression with standard errors and tests, and ridge regression, of columns that lie at different parties, for the same samples in the same order.",
		Result:  fitSchema("rows, which all parties have"),
		Leakage: "Recipients learn the number of rows, with an intercept the sum of each column, and the sums of products of every two columns of all parties, each with itself too, " + verticalLeakage,
	})
}

// CorrelationVertical is CorrelationMatrix for columns that lie at different parties.
func CorrelationVertical() Microprotocol {
	return vertical{
		own: []parameter{level()},
		finish: func(v values, c *cross, names []string) (object, error) {
			return correlationOf(c, names, v.rat("conf_level")), nil
		},
	}.complete(Microprotocol{
		Name:    "CorrelationVertical",
		Summary: "Means, covariances and Pearson correlations of columns that lie at different parties, for the same samples in the same order.",
		Result:  json.RawMessage(correlationSchema("rows, which all parties have")),
		Leakage: "Recipients learn the number of rows, the sum of each column and the sums of products of every two columns of all parties, each with itself too, " + verticalLeakage,
	})
}
