package simon_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/weftmpc/weft/simon"
)

// What is refused because of a parameter's value says so, in a text without a place: by trying other and other parameters,
// somebody who does not hold the data would read them.
func TestRefusalsByParametersAreMarked(t *testing.T) {
	for _, c := range []struct {
		name, data, parameters, path string
		marked                       bool
	}{
		{"ANOVA", `[[1,"a"],[2,"x"]]`, `{"groups":["a","b"]}`, "data[1][1]", true},
		{"TTest", `[[1,"a"],[2,"x"]]`, `{"groups":["a","b"]}`, "data[1][1]", true},
		{"StatisticsByGroup", `[[1,"a"],[2,7]]`, `{"groups":["a","7"]}`, "data[1][1]", true},
		{"StatisticsFrequency", `["a","x"]`, `{"categories":["a","b"]}`, "data[1]", true},
		{"StatisticsContingency", `[["a",1],["x",1]]`, `{"categories":[["a"],[1]]}`, "data[1][0]", true},
		{"ChiSquare", `[["a",1],["a",2]]`, `{"categories":[["a","b"],[1,3]]}`, "data[1][1]", true},
		{"FisherExact", `[["a",1],["a",2]]`, `{"categories":[["a","b"],[1,3]]}`, "data[1][1]", true},
		{"KaplanMeier", `[[1,1],[5,1]]`, `{"times":[1,2]}`, "data[1][0]", true},
		{"KaplanMeier", `[[1,1,"a"],[2,1,"x"]]`, `{"times":[1,2],"groups":["a"]}`, "data[1][2]", true},
		{"LogRank", `[[1,1,"a"],[2,1,"x"]]`, `{"times":[1,2],"groups":["a","b"]}`, "data[1][2]", true},
		{"LogRank", `[[1,1,"a","s"],[2,1,"a","x"]]`, `{"times":[1,2],"groups":["a","b"],"strata":["s"]}`, "data[1][3]", true},

		{"ANOVA", `[[1,"a"],["1","a"]]`, `{"groups":["a","b"]}`, "data[1][0]", false},
		{"StatisticsFrequency", `["a",1.5]`, `{"categories":["a"]}`, "data[1]", false},
		{"KaplanMeier", `[[1,1],[-1,1]]`, `{"times":[1,2]}`, "data[1][0]", false},
		{"LogisticRegression", `[[1,1],[2,1]]`, ``, "data[1][0]", false},
		{"SecureSum", `[1,[2]]`, ``, "data[1]", false},
	} {
		m := named(t, c.name)
		_, err := m.Prepare(strings.NewReader(c.data), json.RawMessage(c.parameters), simon.Guard{})
		var input *simon.InputError
		var compared *simon.ComparedError
		if !errors.As(err, &input) || input.Path != c.path {
			t.Errorf("%s of %s: %v, want an error at %s", c.name, c.data, err, c.path)
			continue
		}
		if errors.As(err, &compared) != c.marked {
			t.Errorf("%s of %s, %v: marked %v", c.name, c.data, err, compared != nil)
		}
		if compared != nil && (!strings.HasPrefix(compared.Reason, "is ") || strings.Contains(compared.Reason, "[") || compared.Error() != input.Error()) {
			t.Errorf("%s: the text is %q", c.name, compared.Reason)
		}
	}
}

func named(t *testing.T, name string) simon.Microprotocol {
	t.Helper()
	for _, m := range simon.Catalogue() {
		if m.Name == name {
			return m
		}
	}
	t.Fatalf("there is no %s", name)
	return simon.Microprotocol{}
}
