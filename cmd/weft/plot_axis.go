package main

import (
	"errors"
	"image/color"
	"math"
	"strconv"
)

// scale maps numbers to places on the sheet. Ends may be in either order on the sheet.
type scale struct {
	from, to   float64 // numbers, from < to; logarithms where log
	start, end float64 // points
	log        bool
	ticks      []tick
}

type tick struct {
	value float64
	text  string
}

var errTooWide = errors.New("its numbers are too large, or too close to each other, for an axis")

// linear makes a scale from low to high with about so many ticks. Where tight is false its ends are ticks.
func linear(low, high float64, ticks int, tight bool) (scale, error) {
	const largest = 1e300 // beyond, the ends and the ticks might leave the range of doubles
	if !(-largest < low && low <= high && high < largest) {
		return scale{}, errTooWide
	}
	if high-low <= 1e-12*max(math.Abs(low), math.Abs(high)) { // one number, or as good as one
		around := max(0.5, 0.05*math.Abs(low))
		low, high = low-around, high+around
	}
	step, decimals := step((high-low)/float64(ticks), ticks)
	if step == 0 {
		return scale{}, errTooWide
	}
	first, last := math.Ceil(low/step-1e-9), math.Floor(high/step+1e-9)
	if !tight {
		first, last = math.Floor(low/step+1e-9), math.Ceil(high/step-1e-9)
		low, high = first*step, last*step
	}
	s := scale{from: low, to: high}
	for i := 0; float64(i) <= last-first && i < 5*ticks; i++ {
		v := (first + float64(i)) * step
		text := fixed(v, decimals)
		if math.Abs(v) < step/2 {
			text = fixed(0, max(0, decimals))
		}
		s.ticks = append(s.ticks, tick{v, text})
	}
	return s, nil
}

// step is the smallest of 1, 2 and 5 times a power of ten that is not below least, and how many decimals its multiples have.
func step(least float64, ticks int) (step float64, decimals int) {
	power := math.Floor(math.Log10(least))
	for _, m := range []float64{1, 2, 5, 10} {
		text := strconv.FormatFloat(m, 'f', 0, 64) + "e" + strconv.FormatFloat(power, 'f', 0, 64)
		step, _ = strconv.ParseFloat(text, 64) // the nearest double to a power of ten, which multiplying misses
		if step >= least*(1-1e-9) {
			break
		}
	}
	decimals = max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	if decimals > 5 || step*float64(ticks) >= 1e7 {
		decimals = -1
	}
	return step, decimals
}

// logarithmic makes a scale between two positive numbers, with ticks at powers of ten, or closer where there are few of them.
func logarithmic(low, high float64) scale {
	s := scale{from: math.Log(low), to: math.Log(high), log: true}
	if s.to-s.from < 0.1 {
		s.from, s.to = s.from-0.05, s.to+0.05
	}
	first, last := int(math.Floor(s.from/math.Ln10)), int(math.Ceil(s.to/math.Ln10))
	every := 1 + (last-first)/8
	for _, steps := range [][]float64{
		{1}, {1, 3}, {1, 2, 5}, {1, 1.5, 2, 3, 5, 7}, {1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9},
		{1, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.35, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2, 2.2, 2.4, 2.6, 2.8, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 7.5, 8, 8.5, 9, 9.5},
	} {
		if s.ticks = s.logTicks(first, last, every, steps); len(s.ticks) >= 4 {
			break
		}
	}
	return s
}

// logTicks are ticks at multiples of every so many powers of ten.
func (s scale) logTicks(first, last, every int, steps []float64) (ticks []tick) {
	for power := first; power <= last; power++ {
		if power%every != 0 {
			continue
		}
		for _, m := range steps {
			v, err := strconv.ParseFloat(strconv.FormatFloat(m, 'f', 2, 64)+"e"+strconv.Itoa(power), 64)
			if l := math.Log(v); err != nil || l < s.from-1e-9 || l > s.to+1e-9 {
				continue
			}
			text := signed(strconv.FormatFloat(v, 'f', -1, 64))
			if v >= 1e5 || v < 1e-4 {
				text = fixed(v, -1)
			}
			ticks = append(ticks, tick{v, text})
		}
	}
	return ticks
}

// across places the scale on the sheet.
func (s scale) across(start, end float64) scale {
	s.start, s.end = start, end
	return s
}

// at is where a number lies; beyond an end of the scale it is the end.
func (s scale) at(v float64) float64 {
	if s.log {
		v = logarithm(v)
	}
	return s.start + (min(max(v, s.from), s.to)-s.from)/(s.to-s.from)*(s.end-s.start)
}

// logarithm is minus infinity up to 0.
func logarithm(v float64) float64 { return math.Log(max(v, 0)) }

// texts are the labels of the ticks.
func (s scale) texts() []string {
	all := make([]string, len(s.ticks))
	for i, t := range s.ticks {
		all[i] = t.text
	}
	return all
}

// bottomAxis draws the scale at height y with its title below and returns where the next thing can begin.
func (s *sheet) bottomAxis(a scale, y float64, title string) float64 {
	s.line(black, hairline, nil, spot{a.start, y}, spot{a.end, y})
	free := math.Inf(-1)
	for _, t := range a.ticks {
		x := a.at(t.value)
		s.line(black, hairline, nil, spot{x, y}, spot{x, y + tickLength})
		if half := measure(t.text, textSize, false) / 2; x-half > free {
			s.write(lettering{at: spot{x, y + tickLength + textSize + 1}, anchor: 0.5, text: t.text})
			free = x + half + 4
		}
	}
	y += tickLength + textSize + 1
	if title != "" {
		y += textSize*lineHeight + 3
		s.write(lettering{at: spot{(a.start + a.end) / 2, y}, anchor: 0.5, text: title})
	}
	return y + 4
}

// leftAxis draws the scale at x with its title to the left of the labels.
func (s *sheet) leftAxis(a scale, x float64, title string) {
	s.line(black, hairline, nil, spot{x, a.start}, spot{x, a.end})
	for _, t := range a.ticks {
		y := a.at(t.value)
		s.line(black, hairline, nil, spot{x, y}, spot{x - tickLength, y})
		s.write(lettering{at: spot{x - tickLength - 2, y + middle(textSize)}, anchor: 1, text: t.text})
	}
	s.write(lettering{at: spot{x - leftWidth(a) + textSize, (a.start + a.end) / 2}, anchor: 0.5, up: true, text: title})
}

// leftWidth is how much room the labels and the title of a scale at the left take.
func leftWidth(a scale) float64 {
	return tickLength + 2 + widest(a.texts(), textSize) + 6 + textSize
}

// legendEntry is a kind of line and what it stands for. Of the name is cut what does not fit into a line.
type legendEntry struct {
	ink   color.NRGBA
	dash  []float64
	name  string
	facts string
}

// legend writes the entries side by side, in as many lines as they need, and returns where the next thing can begin. It
// begins at left, or further left where a name needs the room.
func (s *sheet) legend(left, top float64, entries []legendEntry) float64 {
	const sample, gap = 22.0, 16.0 // a line with the room behind it, and the room between entries
	right := s.width - margin
	for _, e := range entries {
		left = max(margin, min(left, right-sample-measure(e.name+e.facts, textSize, false)))
	}
	x, y := left, top+textSize
	for _, e := range entries {
		text := shortened(e.name, textSize, right-left-sample-measure(e.facts, textSize, false)) + e.facts
		w := sample + measure(text, textSize, false)
		if x > left && x+w > right {
			x, y = left, y+textSize*1.5
		}
		s.line(e.ink, curveWidth+0.4, e.dash, spot{x, y - middle(textSize)}, spot{x + sample - 4, y - middle(textSize)})
		s.write(lettering{at: spot{x + sample, y}, text: text})
		x += w + gap
	}
	return y + textSize*0.8
}
