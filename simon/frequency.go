package simon

import "encoding/json"

// StatisticsFrequency counts samples by category.
func StatisticsFrequency() Microprotocol {
	c := census{ways: 1, cells: mostCells, hides: true, other: true}
	return statistic{
		own: c.own(), read: c.read, layout: c.layout, run: c.run,
		finish: func(v values, _ int, opened []byte) (object, error) {
			t, err := c.count(v, opened)
			if err != nil {
				return object{}, err
			}
			var o object
			o.put("samples", t.n)
			if mode := t.mode(); mode == nil {
				o.null("mode", t.noMode())
			} else {
				o.put("mode", mode[0])
			}
			o.put("histogram", t.object(t.countOf))
			o.noteHidden(v, "histogram")
			if v.truth("other") {
				o.put("other", shown(t.hides, t.other))
			}
			return o, nil
		},
	}.suppressing(dealCounts(c.layout)).complete(Microprotocol{
		Name:    "StatisticsFrequency",
		Summary: "How many samples of all parties have each category, and the most frequent one.",
		Input: json.RawMessage(`{"description":"a category, or a list of categories: text, whole numbers, true or false","anyOf":[` + categoryItems +
			`,{"type":"array","items":` + categoryItems + `}]}`),
		Result: json.RawMessage(`{"type":"object","properties":{` +
			`"samples":{"type":"integer","minimum":0,"description":"how many categories all parties gave together"},` +
			`"mode":{"type":["string","integer","boolean","null"],"description":"the most frequent category as data give it; of several the one that comes first in the order text, numbers, true and false, then by length and bytes"},` +
			`"histogram":{"type":"object","additionalProperties":{"type":["integer","null"],"minimum":0},"description":"how many samples have each category, null where that is hidden; the text 1 is called \"1\" in quotes where the number 1 occurs too"},` +
			`"other":{"type":["integer","null"],"minimum":0,"description":"with parameter other: how many samples have another category"},` +
			notesSchema + `},"required":["samples","mode","histogram"]}`),
		Bytes: censusBytes1 + suppressionBytes,
		Hops:  censusHops,
		Leakage: "Recipients learn how many samples of all parties together have each category, also where that is one. " +
			privateCategories + censusColluders + suppressionLeakage,
		WithHelper: suppressionHelper,
	})
}

// noMode says why there is no mode.
func (t *crosstab) noMode() string {
	if t.hides {
		return "no count is shown"
	}
	if t.n == 0 {
		return noSamples
	}
	return "no sample has a category that is listed"
}
