package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strings"
)

// survival is what a picture needs of a result of KaplanMeier.
type survival struct {
	Samples   number
	ConfLevel number `json:"conf_level"`
	Groups    []survivalGroup
}

type survivalGroup struct {
	Group   label
	Samples number
	Events  number
	Median  number
	Table   []survivalRow
}

type survivalRow struct {
	Time     number
	AtRisk   number `json:"n_risk"`
	Censored number `json:"n_censor"`
	Survival number
	ConfInt  interval `json:"conf_int"`
	Bounds   interval `json:"survival_bounds"` // where counts are hidden, in place of a survival
}

// around is what the band shows at a row: the confidence interval, or what hidden counts leave possible.
func (r survivalRow) around() interval {
	if !r.Survival.ok {
		return r.Bounds
	}
	return r.ConfInt
}

// bounded says whether counts of the group are hidden, so that there is no curve.
func (g survivalGroup) bounded() bool {
	return slices.ContainsFunc(g.Table, func(r survivalRow) bool { return !r.Survival.ok })
}

// Bands hide each other where there are many, and then they are left out.
const (
	mostBands     = 6
	bandOpacity   = 0x26
	survivalPlot  = 235.0 // height
	riskRowHeight = 13.0
	riskSample    = 16.0 // the line before each name
	riskTitle     = "At risk"
)

// drawSurvival draws the curve of each group with its confidence band, and how many were at risk below it.
func drawSurvival(raw json.RawMessage, parties int) (*sheet, error) {
	var r survival
	if err := readResult(raw, &r); err != nil {
		return nil, err
	}
	groups, notes := firstOf(r.Groups, mostCurves, "groups")
	last := 0.0
	for i, g := range groups {
		kept := g.Table[:0:0]
		for _, row := range g.Table {
			if row.Time.ok && row.Time.value >= 0 && (row.Survival.ok || row.Bounds != nil) {
				kept = append(kept, row)
				last = max(last, row.Time.value)
			}
		}
		groups[i].Table = kept
	}
	if last == 0 {
		return nil, errors.New("there is no time in it at which somebody was at risk")
	}
	x, err := linear(0, last, 8, true)
	if err != nil {
		return nil, err
	}
	y, err := linear(0, 1, 5, true)
	if err != nil {
		return nil, err
	}

	s := &sheet{width: sheetWidth}
	var names []string
	for _, g := range groups {
		names = append(names, shortened(string(g.Group), textSize, 110))
	}
	left := margin + max(leftWidth(y), riskSample+widest(names, textSize)+riskGap(groups), measure(riskTitle, textSize, true)+riskGap(groups))
	top := margin
	if len(groups) > 1 || groups[0].Group != "" {
		top = s.legend(left, top, survivalLegend(groups))
	}
	top += 6
	x, y = x.across(left, s.width-margin-6), y.across(top+survivalPlot, top)
	if len(groups) <= mostBands {
		for i, g := range groups {
			s.band(g, x, y, hue(i))
		}
	}
	if len(groups) <= mostBands {
		s.medians(groups, x, y)
	}
	for i, g := range groups {
		s.curve(g, x, y, i)
	}
	s.leftAxis(y, left, "survival")
	bottom := s.bottomAxis(x, top+survivalPlot, "time")
	bottom = s.atRisk(groups, names, x, left, bottom+4)
	s.caption(bottom, caption("Kaplan-Meier estimate", r.Samples, parties, append(survivalNotes(r, groups), notes...)...))
	return s, nil
}

func hue(i int) color.NRGBA { return hues[i%len(hues)] }

func dash(i int) []float64 { return dashes[i/len(hues)%len(dashes)] }

// survivalLegend tells of each group its name and the numbers of its curve.
func survivalLegend(groups []survivalGroup) []legendEntry {
	var entries []legendEntry
	for i, g := range groups {
		entries = append(entries, legendEntry{hue(i), dash(i), string(g.Group), " (" + g.facts() + ")"})
	}
	return entries
}

// facts are the numbers of a curve.
func (g survivalGroup) facts() string {
	if g.Samples.ok && g.Samples.value == 0 {
		return "no samples"
	}
	median := "not reached"
	if g.bounded() {
		median = unknown
	} else if g.Median.ok {
		median = numeral(g.Median.value)
	}
	return fmt.Sprintf("%s of %s with event, median %s", g.Events.text(), g.Samples.text(), median)
}

// survivalNotes says what the marks mean.
func survivalNotes(r survival, groups []survivalGroup) []string {
	var notes []string
	if len(groups) == 1 && groups[0].Group == "" {
		facts := groups[0].facts()
		notes = append(notes, strings.ToUpper(facts[:1])+facts[1:]+".")
	}
	if len(groups) > mostBands {
		notes = append(notes, fmt.Sprintf("Confidence bands are left out, as there are more than %d groups.", mostBands))
	} else {
		notes = append(notes, "Bands: "+percent(r.ConfLevel)+" confidence intervals (log-log).")
		if slices.ContainsFunc(groups, survivalGroup.bounded) {
			notes[len(notes)-1] = "Bands without a curve: what the hidden counts leave possible; others: " + percent(r.ConfLevel) + " confidence intervals (log-log)."
		}
		if slices.ContainsFunc(groups, func(g survivalGroup) bool { return g.Median.ok }) {
			notes = append(notes, "Dashed: median time.")
		}
	}
	return append(notes, "Ticks on the curves: censored samples.")
}

// band fills between the bounds of the confidence intervals, which are steps as the curve is. Where an interval does not
// exist there is a gap.
func (s *sheet) band(g survivalGroup, x, y scale, ink color.NRGBA) {
	ink.A = bandOpacity
	var above, below []spot
	flush := func() {
		for i := len(below) - 1; i >= 0; i-- {
			above = append(above, below[i])
		}
		if len(above) > 2 {
			s.fill(ink, above...)
		}
		above, below = nil, nil
	}
	for i, row := range g.Table {
		lower, upper, ok := row.around().ends()
		if !ok || i+1 == len(g.Table) {
			flush()
			continue
		}
		from, to := x.at(row.Time.value), x.at(g.Table[i+1].Time.value)
		above = append(above, spot{from, y.at(upper)}, spot{to, y.at(upper)})
		below = append(below, spot{from, y.at(lower)}, spot{to, y.at(lower)})
	}
	flush()
}

// curve draws the steps of one group and a tick where samples are censored.
func (s *sheet) curve(g survivalGroup, x, y scale, i int) {
	if len(g.Table) == 0 || g.bounded() {
		return
	}
	at := spot{x.at(0), y.at(1)}
	points := []spot{at}
	for _, row := range g.Table {
		next := spot{x.at(row.Time.value), y.at(row.Survival.value)}
		if next.y != at.y {
			points = append(points, spot{next.x, at.y}, next)
		}
		at = next
	}
	if points[len(points)-1] != at {
		points = append(points, at)
	}
	s.line(hue(i), curveWidth, dash(i), points...)
	for _, row := range g.Table {
		if row.Censored.ok && row.Censored.value > 0 {
			at := spot{x.at(row.Time.value), y.at(row.Survival.value)}
			s.line(hue(i), 0.8, nil, spot{at.x, at.y - 2.8}, spot{at.x, at.y + 2.8})
		}
	}
}

// medians draws where the curves pass one half.
func (s *sheet) medians(groups []survivalGroup, x, y scale) {
	furthest := math.Inf(-1)
	for _, g := range groups {
		if g.Median.ok && g.Median.value >= 0 {
			at := x.at(g.Median.value)
			furthest = max(furthest, at)
			s.line(grey, hairline, []float64{2.5, 2}, spot{at, y.at(0.5)}, spot{at, y.at(0)})
		}
	}
	if !math.IsInf(furthest, 0) {
		s.line(grey, hairline, []float64{2.5, 2}, spot{x.at(0), y.at(0.5)}, spot{furthest, y.at(0.5)})
	}
}

// riskGap is the room between the names and the axis: half of the first number, which stands below the axis, lies in it.
func riskGap(groups []survivalGroup) float64 {
	half := 0.0
	for _, g := range groups {
		half = max(half, measure(g.atRiskAt(0).text(), textSize, false)/2)
	}
	return half + 8
}

// atRisk writes below each tick how many samples of each group were at risk just before that time. It returns where the next
// thing can begin.
func (s *sheet) atRisk(groups []survivalGroup, names []string, x scale, left, top float64) float64 {
	y := top + textSize
	end := left - riskGap(groups)
	s.write(lettering{at: spot{end, y}, anchor: 1, bold: true, text: riskTitle})
	for i, g := range groups {
		if names[i] != "" {
			y += riskRowHeight
			s.write(lettering{at: spot{end, y}, anchor: 1, text: names[i]})
			from := end - measure(names[i], textSize, false) - riskSample
			s.line(hue(i), curveWidth+0.4, dash(i), spot{from, y - middle(textSize)}, spot{from + riskSample - 4, y - middle(textSize)})
		}
		for _, t := range x.ticks {
			s.write(lettering{at: spot{x.at(t.value), y}, anchor: 0.5, text: g.atRiskAt(t.value).text()})
		}
	}
	return y + 12
}

// atRiskAt is how many samples have a time of at least t.
func (g survivalGroup) atRiskAt(t float64) number {
	for _, row := range g.Table {
		if row.Time.value >= t {
			return row.AtRisk
		}
	}
	return number{0, true}
}
