package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// estimate is a row of a forest plot.
type estimate struct {
	name    string
	value   number
	confInt interval
	extra   string // the last column
}

// forest is a table of estimates with their intervals drawn between the names and the numbers.
type forest struct {
	rows    []estimate
	name    string // heading of the names
	axis    string
	value   string // heading of the numbers
	extra   string // heading of the last column; "": there is none
	log     bool
	neutral number // where a line marks no effect
	link    string // what the intercept is a number of, if not of the outcome itself
}

const (
	forestRow = 19.0
	// Intervals beyond this factor of their estimates are cut, so that one that says nothing does not squeeze all others.
	longestRatio = 50
)

// draw draws the table from the height top on and returns where the next thing can begin, and notes for the caption.
func (f forest) draw(s *sheet, top float64) (bottom float64, notes []string, err error) {
	rows, notes := firstOf(f.rows, mostForestRows, "rows")
	axis, cut, err := f.scale(rows)
	if err != nil {
		return 0, nil, err
	}
	names, numbers, extras := []string{f.name}, []string{f.value}, []string{f.extra}
	missing := false
	for _, r := range rows {
		names = append(names, shortened(r.name, textSize, 130))
		numbers = append(numbers, r.numbers(f.log))
		extras = append(extras, r.extra)
		missing = missing || !r.drawn(f.log)
	}
	right := s.width - margin
	numbersAt := right
	if f.extra != "" {
		numbersAt -= widest(extras, textSize) + 14
	}
	left := margin + widest(names, textSize) + 16
	axis = axis.across(left, numbersAt-widest(numbers, textSize)-20)

	head := top + textSize
	s.write(lettering{at: spot{margin, head}, bold: true, text: f.name})
	s.write(lettering{at: spot{numbersAt, head}, anchor: 1, bold: true, text: f.value})
	s.write(lettering{at: spot{right, head}, anchor: 1, bold: true, text: f.extra})
	s.line(black, hairline, nil, spot{margin, head + 6}, spot{right, head + 6})
	first := head + 6 + 4
	bottom = first + forestRow*float64(len(rows)) + 2
	if f.neutral.ok {
		x := axis.at(f.neutral.value)
		s.line(grey, hairline, []float64{2.5, 2}, spot{x, first - 4}, spot{x, bottom})
	}
	for i, r := range rows {
		y := first + forestRow*(float64(i)+0.5)
		base := y + middle(textSize)
		s.write(lettering{at: spot{margin, base}, text: names[i+1]})
		s.write(lettering{at: spot{numbersAt, base}, anchor: 1, text: numbers[i+1]})
		s.write(lettering{at: spot{right, base}, anchor: 1, text: extras[i+1]})
		f.mark(s, r, axis, y)
	}
	if cut {
		notes = append(notes, "An arrow: the interval goes on.")
	}
	if missing {
		notes = append(notes, unknown+": not defined, and not drawn.")
	}
	return s.bottomAxis(axis, bottom, f.axis) + 8, notes, nil
}

// drawn says whether there is a place for the estimate.
func (e estimate) drawn(log bool) bool { return e.value.ok && (!log || e.value.value > 0) }

// numbers is "estimate [lower, upper]": ratios with two decimals, as journals print them, others with as many as give the
// largest of them three digits.
func (e estimate) numbers(ratio bool) string {
	if !e.value.ok {
		return unknown
	}
	lower, upper, ok := e.confInt.ends()
	if !ok {
		return short(e.value.value)
	}
	largest := max(math.Abs(e.value.value), math.Abs(lower), math.Abs(upper))
	write := func(v float64) string { return fixed(v, digitsFor(largest)) }
	switch {
	case ratio:
		write = func(v float64) string {
			if v < 0.01 || v >= 100 {
				return short(v)
			}
			return fixed(v, 2)
		}
	case digitsFor(largest) < 0:
		write = short
	}
	return fmt.Sprintf("%s [%s, %s]", write(e.value.value), write(lower), write(upper))
}

// mark draws one interval with its estimate. Arrows stand where the axis ends before the interval does.
func (f forest) mark(s *sheet, r estimate, axis scale, y float64) {
	if !r.drawn(f.log) {
		return
	}
	ink := hues[0]
	if lower, upper, ok := r.confInt.ends(); ok {
		s.line(ink, 1.1, nil, spot{axis.at(lower), y}, spot{axis.at(upper), y})
		for _, end := range []struct {
			value, direction float64
		}{{lower, -1}, {upper, 1}} {
			at := axis.at(end.value)
			if axis.beyond(end.value) {
				s.fill(ink, spot{at + 1.5*end.direction, y}, spot{at - 4.5*end.direction, y - 3}, spot{at - 4.5*end.direction, y + 3})
			} else {
				s.line(ink, 1.1, nil, spot{at, y - 2.5}, spot{at, y + 2.5})
			}
		}
	}
	x := axis.at(r.value.value)
	s.box(ink, x-2.6, y-2.6, x+2.6, y+2.6)
}

// beyond says whether a number lies outside of the scale.
func (s scale) beyond(v float64) bool {
	if s.log {
		v = logarithm(v)
	}
	slack := 1e-9 * (s.to - s.from)
	return v < s.from-slack || v > s.to+slack
}

// scale is an axis for all estimates and intervals; cut: some intervals are longer than it.
func (f forest) scale(rows []estimate) (axis scale, cut bool, err error) {
	low, high := math.Inf(1), math.Inf(-1)
	include := func(v float64) { low, high = min(low, v), max(high, v) }
	some := false
	for _, r := range rows {
		if r.drawn(f.log) {
			some = true
			include(r.value.value)
		}
	}
	if !some {
		return scale{}, false, errors.New("none of its estimates is defined")
	}
	if f.neutral.ok {
		include(f.neutral.value)
	}
	leastLow, mostHigh := math.Inf(-1), math.Inf(1)
	if f.log {
		leastLow, mostHigh = low/longestRatio, high*longestRatio
	}
	for _, r := range rows {
		lower, upper, ok := r.confInt.ends()
		if !ok || !r.drawn(f.log) || f.log && upper <= 0 {
			continue
		}
		cut = cut || lower < leastLow || upper > mostHigh
		include(max(lower, leastLow))
		include(min(upper, mostHigh))
	}
	if !f.log {
		axis, err = linear(low, high, 5, false)
		return axis, cut, err
	}
	if low < 1e-300 || high > 1e300 {
		return scale{}, false, errTooWide
	}
	room := 0.04 * (math.Log(high) - math.Log(low))
	return logarithmic(low/math.Exp(room), high*math.Exp(room)), cut, nil
}

// regression is what a picture needs of a result of a regression.
type regression struct {
	Samples      number
	ConfLevel    number `json:"conf_level"`
	Coefficients []coefficient
}

type coefficient struct {
	Name             label
	Estimate         number
	ConfInt          interval `json:"conf_int"`
	OddsRatio        number   `json:"odds_ratio"`
	OddsRatioConfInt interval `json:"odds_ratio_conf_int"`
	RateRatio        number   `json:"rate_ratio"`
	RateRatioConfInt interval `json:"rate_ratio_conf_int"`
	PValue           number   `json:"p_value"`
}

const interceptName = "(intercept)"

func drawLinear(raw json.RawMessage, parties int) (*sheet, error) {
	f := forest{axis: "coefficient", value: "coefficient", neutral: number{0, true}}
	return f.regression("Linear regression", raw, parties, func(c coefficient) (number, interval) { return c.Estimate, c.ConfInt })
}

func drawLogistic(raw json.RawMessage, parties int) (*sheet, error) {
	f := forest{axis: "odds ratio (logarithmic)", value: "odds ratio", neutral: number{1, true}, log: true, link: " (log odds)"}
	return f.regression("Logistic regression", raw, parties, func(c coefficient) (number, interval) { return c.OddsRatio, c.OddsRatioConfInt })
}

func drawPoisson(raw json.RawMessage, parties int) (*sheet, error) {
	f := forest{axis: "rate ratio (logarithmic)", value: "rate ratio", neutral: number{1, true}, log: true, link: " (log rate)"}
	return f.regression("Poisson regression", raw, parties, func(c coefficient) (number, interval) { return c.RateRatio, c.RateRatioConfInt })
}

// regression draws the coefficients. The intercept is no effect, and its size would squeeze those that are: it stands in the
// caption, unless it is all there is.
func (f forest) regression(what string, raw json.RawMessage, parties int, of func(coefficient) (number, interval)) (*sheet, error) {
	var r regression
	if err := readResult(raw, &r); err != nil {
		return nil, err
	}
	if len(r.Coefficients) == 0 {
		return nil, errors.New("it has no coefficients")
	}
	var said []string
	intervals, tested := false, false
	for _, c := range r.Coefficients {
		e := estimate{name: string(c.Name), extra: probability(c.PValue)}
		e.value, e.confInt = of(c)
		_, _, ok := e.confInt.ends()
		intervals, tested = intervals || ok, tested || c.PValue.ok
		if c.Name == interceptName && len(r.Coefficients) > 1 {
			said = append(said, "Not drawn: the intercept"+f.link+", "+estimate{value: c.Estimate, confInt: c.ConfInt}.numbers(false)+".")
			continue
		}
		f.rows = append(f.rows, e)
	}
	f.name = "term"
	if tested {
		f.extra = "p"
	} else {
		for i := range f.rows {
			f.rows[i].extra = ""
		}
	}
	if intervals {
		f.value += fmt.Sprintf(" [%s CI]", percent(r.ConfLevel))
	}
	s := &sheet{width: sheetWidth}
	bottom, notes, err := f.draw(s, margin)
	if err != nil {
		return nil, err
	}
	s.caption(bottom, caption(what, r.Samples, parties, append(notes, said...)...))
	return s, nil
}
