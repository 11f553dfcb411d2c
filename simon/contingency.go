package simon

import "encoding/json"

// StatisticsContingency counts samples by two categories.
func StatisticsContingency() Microprotocol {
	c := census{ways: 2, cells: mostCells, hides: true}
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
				o.put("mode", []any{mode[0], mode[1]})
			}
			o.put("table", t.object(t.countOf))
			o.noteHidden(v, "table")
			return o, nil
		},
	}.suppressing(dealCounts(c.layout)).complete(Microprotocol{
		Name:    "StatisticsContingency",
		Summary: "How many samples of all parties have each pair of categories, and the most frequent pair.",
		Input:   json.RawMessage(pairsInput),
		Result: json.RawMessage(`{"type":"object","properties":{` +
			`"samples":{"type":"integer","minimum":0,"description":"how many rows all parties gave together"},` +
			`"mode":{"anyOf":[{"type":"null"},{"type":"array","minItems":2,"maxItems":2,"items":` + categoryItems + `}],` +
			`"description":"the most frequent pair as data give it; of several the one that comes first in the order text, numbers, true and false, then by length and bytes"},` +
			`"table":{"allOf":[` + tableSchema + `],"description":"how many samples have each pair, null where that is hidden, by the first category, then by the second; pairs without samples are there with 0. The text 1 is called \"1\" in quotes where the number 1 occurs too"},` +
			notesSchema + `},"required":["samples","mode","table"]}`),
		Bytes: censusBytes2 + suppressionBytes,
		Hops:  censusHops,
		Leakage: "Recipients learn how many samples of all parties together have each pair of categories, also where that is one. " +
			privateCategories + censusColluders + suppressionLeakage,
		WithHelper: suppressionHelper,
	})
}
