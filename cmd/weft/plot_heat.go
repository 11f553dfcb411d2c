package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"image/color"
	"math"
	"strconv"
)

// drawCorrelations draws the matrix as squares: blue for correlations below zero, orange above, white at zero, with the
// number in each square that has room for it.
func drawCorrelations(raw json.RawMessage, parties int) (*sheet, error) {
	var r struct {
		Samples     number
		Columns     json.RawMessage
		Correlation [][]number
	}
	if err := readResult(raw, &r); err != nil {
		return nil, err
	}
	k := len(r.Correlation)
	if k < 1 {
		return nil, errors.New("it has no correlations")
	}
	names := columnNames(r.Columns, k)
	shown, notes := firstOf(names, mostCells, "columns")
	k = len(shown)

	s := &sheet{width: sheetWidth}
	for i := range shown {
		shown[i] = shortened(shown[i], textSize, 110)
	}
	label := widest(shown, textSize) + 6
	left := margin + label
	const bar = 54.0 // the colours and their numbers, at the right
	cell := min((s.width-margin-bar-left)/float64(k), 62)
	top := margin + textSize + 4
	turned := widest(shown, textSize)+4 > cell
	if turned {
		top = margin + label
	}
	s.width = max(260, left+cell*float64(k)+14+bar) // few columns leave nothing at the right
	missing := false
	for i := range k {
		y := top + cell*(float64(i)+0.5)
		s.write(lettering{at: spot{left - 6, y + middle(textSize)}, anchor: 1, text: shown[i]})
		x := left + cell*(float64(i)+0.5)
		if turned {
			s.write(lettering{at: spot{x + middle(textSize), top - 5}, up: true, text: shown[i]})
		} else {
			s.write(lettering{at: spot{x, top - 5}, anchor: 0.5, text: shown[i]})
		}
		for j := range k {
			var c number
			if j < len(r.Correlation[i]) {
				c = r.Correlation[i][j]
			}
			missing = missing || !c.ok
			s.cell(c, left+cell*float64(j), top+cell*float64(i), cell)
		}
	}
	s.colours(left+cell*float64(k)+14, top, cell*float64(k))
	if missing {
		notes = append(notes, "Grey: not defined.")
	}
	s.caption(top+max(cell*float64(k), leastBar)+14, caption("Correlations (Pearson)", r.Samples, parties, notes...))
	return s, nil
}

// columnNames reads names; columns may also be their number, or missing.
func columnNames(raw json.RawMessage, k int) []string {
	var labels []label
	if json.Unmarshal(raw, &labels) != nil || len(labels) != k {
		labels = nil
	}
	names := make([]string, k)
	for i := range names {
		names[i] = "x" + strconv.Itoa(i+1)
		if labels != nil {
			names[i] = string(labels[i])
		}
	}
	return names
}

// cell draws one correlation.
func (s *sheet) cell(c number, x, y, side float64) {
	const gap = 0.6
	text, size := unknown, min(textSize, side/2.9)
	ink := pale
	if c.ok {
		ink = heat(c.value)
		text = fixed(c.value, 2)
	}
	s.box(ink, x+gap, y+gap, x+side-gap, y+side-gap)
	const readable = 4.5
	if size < readable {
		return
	}
	letters := black
	if brightness := 0.299*float64(ink.R) + 0.587*float64(ink.G) + 0.114*float64(ink.B); brightness < 145 {
		letters = white
	}
	s.write(lettering{at: spot{x + side/2, y + side/2 + middle(size)}, anchor: 0.5, size: size, ink: letters, text: text})
}

// heat is the colour of a correlation: a mix of white and the blue or the vermilion of the palette.
func heat(v float64) color.NRGBA {
	full := hues[1]
	if v < 0 {
		full, v = hues[0], -v
	}
	v = min(v, 1)
	mix := func(c uint8) uint8 { return uint8(math.Round(255 - v*(255-float64(c)))) }
	return color.NRGBA{mix(full.R), mix(full.G), mix(full.B), 0xff}
}

const leastBar = 80.0

// colours draws which colour stands for which number.
func (s *sheet) colours(x, top, height float64) {
	const steps, width = 80, 9.0
	height = max(min(height, 180), leastBar)
	for i := range steps {
		v := 1 - 2*(float64(i)+0.5)/steps
		s.box(heat(v), x, top+height*float64(i)/steps, x+width, top+height*float64(i+1)/steps+0.3)
	}
	for _, v := range []float64{1, 0.5, 0, -0.5, -1} {
		y := top + height*(1-v)/2
		s.line(black, hairline, nil, spot{x + width, y}, spot{x + width + tickLength, y})
		s.write(lettering{at: spot{x + width + tickLength + 2, y + middle(smallSize)}, size: smallSize, text: signed(fmt.Sprint(v))})
	}
}
