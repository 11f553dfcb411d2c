package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
)

const barsPlot = 220.0 // height

// barInk is lighter than the hue of lines: large areas of it would shout.
var barInk = hues[5]

// binned is what a picture needs of a result of Histogram.
type binned struct {
	Samples number
	Breaks  []number
	Counts  []number
	Density []number
	Below   number
	Above   number
}

// drawHistogram draws a bar between each two breaks, as high as its count, or as its density where the bars are not all of
// one width.
func drawHistogram(raw json.RawMessage, parties int) (*sheet, error) {
	var r binned
	if err := readResult(raw, &r); err != nil {
		return nil, err
	}
	n := len(r.Counts)
	if n == 0 || len(r.Breaks) != n+1 || n > mostBins {
		return nil, fmt.Errorf("it has %d bins and %d breaks; a picture holds up to %d bins, with one break more", n, len(r.Breaks), mostBins)
	}
	for i, b := range r.Breaks {
		if !b.ok || i > 0 && b.value <= r.Breaks[i-1].value {
			return nil, errors.New("its breaks do not ascend")
		}
	}
	heights, title := r.Counts, "count"
	var notes []string
	if !r.even() {
		if len(r.Density) != n && len(r.Density) != 0 { // it is null where all bins are empty
			return nil, fmt.Errorf("it has %d bins and %d densities", n, len(r.Density))
		}
		heights, title = r.Density, "density"
		notes = append(notes, "The area of each bar is its share of the samples that are drawn.")
	}
	highest := 0.0
	for _, h := range heights {
		highest = max(highest, h.value)
	}
	if highest == 0 {
		highest = 1
		notes = append(notes, "No sample lies between the breaks.")
	}
	if slices.ContainsFunc(r.Counts, func(c number) bool { return !c.ok }) {
		notes = append(notes, "Classes without a bar have too few samples to be shown, perhaps none.")
	}
	x, err := linear(r.Breaks[0].value, r.Breaks[n].value, 7, true)
	if err != nil {
		return nil, err
	}
	y, err := linear(0, highest, 5, false)
	if err != nil {
		return nil, err
	}
	if title == "count" {
		y = y.whole()
	}
	s := &sheet{width: sheetWidth}
	left := margin + leftWidth(y)
	x, y = x.across(left+8, s.width-margin-8), y.across(margin+barsPlot, margin)
	for i, h := range heights {
		if h.ok && h.value > 0 {
			from, to := x.at(r.Breaks[i].value), x.at(r.Breaks[i+1].value)
			s.box(barInk, from, y.at(h.value), to, y.at(0))
			if to-from > 3 {
				s.line(white, 0.5, nil, spot{from, y.at(0)}, spot{from, y.at(h.value)}, spot{to, y.at(h.value)}, spot{to, y.at(0)})
			}
		}
	}
	s.leftAxis(y, left, title)
	bottom := s.bottomAxis(x, margin+barsPlot, "value")
	if out := r.outside(); out != "" {
		notes = append(notes, out)
	}
	s.caption(bottom+4, caption("Histogram", r.Samples, parties, notes...))
	return s, nil
}

// outside tells of the samples that no bar holds.
func (r binned) outside() string {
	var parts []string
	if r.Below.ok && r.Below.value > 0 {
		parts = append(parts, fmt.Sprintf("%s below %s", numeral(r.Below.value), numeral(r.Breaks[0].value)))
	}
	if r.Above.ok && r.Above.value > 0 {
		parts = append(parts, fmt.Sprintf("%s above %s", numeral(r.Above.value), numeral(r.Breaks[len(r.Breaks)-1].value)))
	}
	if parts == nil {
		return ""
	}
	return "Not drawn: " + strings.Join(parts, ", ") + "."
}

// even says whether all bins have one width, up to what decimals leave in binary.
func (r binned) even() bool {
	first := r.Breaks[1].value - r.Breaks[0].value
	for i := range r.Counts {
		if w := r.Breaks[i+1].value - r.Breaks[i].value; math.Abs(w-first) > 1e-6*first {
			return false
		}
	}
	return true
}

// whole drops ticks between whole numbers from a scale of counts.
func (s scale) whole() scale {
	s.ticks = slices.DeleteFunc(s.ticks, func(t tick) bool { return math.Abs(t.value-math.Round(t.value)) > 1e-9 })
	for i, t := range s.ticks {
		s.ticks[i].text = numeral(math.Round(t.value))
	}
	return s
}

// drawFrequencies draws a bar for each category: upright where their names have room beside each other, else lying.
func drawFrequencies(raw json.RawMessage, parties int) (*sheet, error) {
	var r struct {
		Samples   number
		Histogram counts
		Other     number
	}
	if err := readResult(raw, &r); err != nil {
		return nil, err
	}
	bars, notes := r.Histogram, []string(nil)
	if r.Other.ok {
		bars = append(slices.Clip(bars), tallied{"other", r.Other})
	}
	if len(bars) == 0 {
		return nil, errors.New("it has no categories")
	}
	if len(bars) > mostBars {
		bars, notes = mostFrequent(bars)
	}
	highest, missing := 1.0, false
	var names []string
	for _, b := range bars {
		highest = max(highest, b.count.value)
		names = append(names, string(b.label))
		missing = missing || !b.count.ok
	}
	if missing {
		notes = append(notes, unknown+": not known.")
	}
	a, err := linear(0, highest, 5, false)
	if err != nil {
		return nil, err
	}
	a = a.whole()
	s := &sheet{width: sheetWidth}
	var bottom float64
	if left := margin + leftWidth(a); widest(names, textSize)+10 <= (s.width-margin-left)/float64(len(bars)) {
		bottom = s.uprightBars(bars, a.across(margin+barsPlot, margin+10), left)
	} else {
		bottom = s.lyingBars(bars, a)
	}
	s.caption(bottom, caption("Frequencies", r.Samples, parties, notes...))
	return s, nil
}

// mostFrequent keeps the largest counts, the largest first.
func mostFrequent(bars counts) (counts, []string) {
	all := slices.Clone(bars)
	sort.SliceStable(all, func(i, j int) bool { return all[i].count.value > all[j].count.value })
	rest := 0.0
	for _, b := range all[mostBars:] {
		rest += b.count.value
	}
	return all[:mostBars], []string{fmt.Sprintf("The %d most frequent of %d categories are drawn; the others hold %s samples.", mostBars, len(all), numeral(rest))}
}

func (s *sheet) uprightBars(bars counts, y scale, left float64) float64 {
	right, base := s.width-margin, y.start
	each := (right - left) / float64(len(bars))
	thick := min(0.7*each, 60)
	for i, b := range bars {
		x := left + each*(float64(i)+0.5)
		top := y.at(b.count.value)
		s.box(barInk, x-thick/2, top, x+thick/2, base)
		s.write(lettering{at: spot{x, top - 3}, anchor: 0.5, size: smallSize, ink: grey, text: b.count.text()})
		s.write(lettering{at: spot{x, base + textSize + 5}, anchor: 0.5, text: string(b.label)})
	}
	s.leftAxis(y, left, "count")
	s.line(black, hairline, nil, spot{left, base}, spot{right, base})
	return base + textSize + 5 + 12
}

func (s *sheet) lyingBars(bars counts, x scale) float64 {
	const row, thick = 16.0, 11.0
	names := make([]string, len(bars))
	for i, b := range bars {
		names[i] = shortened(string(b.label), textSize, 160)
	}
	left := margin + widest(names, textSize) + 8
	x = x.across(left, s.width-margin-30)
	bottom := margin + row*float64(len(bars)) + 4
	for i, b := range bars {
		y := margin + row*(float64(i)+0.5)
		end := x.at(b.count.value)
		s.box(barInk, left, y-thick/2, end, y+thick/2)
		s.write(lettering{at: spot{left - 6, y + middle(textSize)}, anchor: 1, text: names[i]})
		s.write(lettering{at: spot{end + 4, y + middle(smallSize)}, size: smallSize, ink: grey, text: b.count.text()})
	}
	s.line(black, hairline, nil, spot{left, margin}, spot{left, bottom})
	return s.bottomAxis(x, bottom, "count") + 4
}

// grouped is what a picture needs of a result of StatisticsByGroup.
type grouped struct {
	Samples   number
	ConfLevel number `json:"conf_level"`
	Groups    []groupedMean
}

type groupedMean struct {
	Group   label
	Samples number
	Mean    number
	ConfInt interval `json:"conf_int"`
}

// drawMeans draws the mean of each group with its confidence interval: upright where the names have room beside each other,
// else as a table.
func drawMeans(raw json.RawMessage, parties int) (*sheet, error) {
	var r grouped
	if err := readResult(raw, &r); err != nil {
		return nil, err
	}
	if len(r.Groups) == 0 {
		return nil, errors.New("it has no groups")
	}
	var names, missing []string
	for _, g := range r.Groups {
		names = append(names, string(g.Group), g.n())
		if _, _, ok := g.ConfInt.ends(); !g.Mean.ok {
			missing = append(missing, string(g.Group)+" (no mean)")
		} else if !ok {
			missing = append(missing, string(g.Group)+" (no interval)")
		}
	}
	var notes []string
	if missing != nil {
		most, more := firstOf(missing, 8, "groups")
		text := "Not defined: " + strings.Join(most, ", ")
		if more != nil {
			text += fmt.Sprintf(" and %d more", len(missing)-len(most))
		}
		notes = append(notes, text+".")
	}
	s := &sheet{width: sheetWidth}
	what := fmt.Sprintf("Means with %s confidence intervals", percent(r.ConfLevel))
	if (widest(names, textSize)+10)*float64(len(r.Groups)) > s.width-2*margin-50 {
		return r.table(s, what, parties, notes)
	}
	f := forest{}
	for _, g := range r.Groups {
		f.rows = append(f.rows, estimate{value: g.Mean, confInt: g.ConfInt})
	}
	y, _, err := f.scale(f.rows)
	if err != nil {
		return nil, err
	}
	left := margin + leftWidth(y)
	right := s.width - margin
	y = y.across(margin+barsPlot, margin)
	each := (right - left) / float64(len(r.Groups))
	base := y.start
	for i, g := range r.Groups {
		x := left + each*(float64(i)+0.5)
		s.line(black, hairline, nil, spot{x, base}, spot{x, base + tickLength})
		s.write(lettering{at: spot{x, base + tickLength + textSize + 1}, anchor: 0.5, text: string(g.Group)})
		s.write(lettering{at: spot{x, base + tickLength + textSize + 2 + smallSize*1.4}, anchor: 0.5, size: smallSize, ink: grey, text: g.n()})
		if lower, upper, ok := g.ConfInt.ends(); ok && g.Mean.ok {
			s.line(hues[0], 1.1, nil, spot{x, y.at(lower)}, spot{x, y.at(upper)})
			for _, end := range []float64{lower, upper} {
				s.line(hues[0], 1.1, nil, spot{x - 5, y.at(end)}, spot{x + 5, y.at(end)})
			}
		}
		if g.Mean.ok {
			s.dot(hues[0], x, y.at(g.Mean.value), 3.2)
		}
	}
	s.leftAxis(y, left, "mean")
	s.line(black, hairline, nil, spot{left, base}, spot{right, base})
	s.caption(base+tickLength+textSize+2+smallSize*1.4+12, caption(what, r.Samples, parties, notes...))
	return s, nil
}

func (g groupedMean) n() string { return "n = " + g.Samples.text() }

// table draws the means of many groups, or of groups with long names, a row for each.
func (r grouped) table(s *sheet, what string, parties int, notes []string) (*sheet, error) {
	f := forest{name: "group", axis: "mean", value: fmt.Sprintf("mean [%s CI]", percent(r.ConfLevel)), extra: "n"}
	for _, g := range r.Groups {
		f.rows = append(f.rows, estimate{string(g.Group), g.Mean, g.ConfInt, g.Samples.text()})
	}
	bottom, more, err := f.draw(s, margin)
	if err != nil {
		return nil, err
	}
	s.caption(bottom, caption(what, r.Samples, parties, append(more, notes...)...))
	return s, nil
}
