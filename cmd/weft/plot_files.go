package main

import (
	"bytes"
	"fmt"
	"html"
	"image/color"
	"image/png"
	"math"
	"strconv"
	"strings"
	"time"

	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	"codeberg.org/go-pdf/fpdf"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"
)

// svg writes the sheet as SVG 1.1. Text stays text; where Liberation Sans is missing, fonts of the same widths serve, and
// a browser finds letters that none of them has in others.
func (s *sheet) svg() []byte {
	var b bytes.Buffer
	w, h := coordinate(s.width), coordinate(s.height)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%spt" height="%spt" viewBox="0 0 %s %s" font-family="'Liberation Sans',Arial,Helvetica,sans-serif">`+"\n", w, h, w, h)
	fmt.Fprintf(&b, `<rect width="%s" height="%s" fill="#ffffff"/>`+"\n", w, h)
	for _, m := range s.marks {
		switch m := m.(type) {
		case stroke:
			fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke-width="%s"%s`, svgPoints(m.points), coordinate(m.width), svgInk("stroke", m.ink))
			if m.dash != nil {
				lengths := make([]string, len(m.dash))
				for i, d := range m.dash {
					lengths[i] = coordinate(d)
				}
				fmt.Fprintf(&b, ` stroke-dasharray="%s"`, strings.Join(lengths, " "))
			}
			b.WriteString("/>\n")
		case patch:
			fmt.Fprintf(&b, `<polygon points="%s"%s/>`+"\n", svgPoints(m.points), svgInk("fill", m.ink))
		case disc:
			fmt.Fprintf(&b, `<circle cx="%s" cy="%s" r="%s"%s/>`+"\n", coordinate(m.at.x), coordinate(m.at.y), coordinate(m.radius), svgInk("fill", m.ink))
		case lettering:
			fmt.Fprintf(&b, `<text x="%s" y="%s" font-size="%s"%s`, coordinate(m.at.x), coordinate(m.at.y), coordinate(m.size), svgInk("fill", m.ink))
			switch m.anchor {
			case 0.5:
				b.WriteString(` text-anchor="middle"`)
			case 1:
				b.WriteString(` text-anchor="end"`)
			}
			if m.bold {
				b.WriteString(` font-weight="bold"`)
			}
			if m.up {
				fmt.Fprintf(&b, ` transform="rotate(-90 %s %s)"`, coordinate(m.at.x), coordinate(m.at.y))
			}
			fmt.Fprintf(&b, ">%s</text>\n", html.EscapeString(m.text))
		}
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// coordinate is a length with two decimals, which is finer than anybody prints.
func coordinate(v float64) string {
	text := strings.TrimRight(strconv.FormatFloat(v, 'f', 2, 64), "0")
	if text = strings.TrimSuffix(text, "."); text == "-0" {
		return "0"
	}
	return text
}

func svgPoints(points []spot) string {
	var b strings.Builder
	for i, p := range points {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(coordinate(p.x) + "," + coordinate(p.y))
	}
	return b.String()
}

func svgInk(what string, ink color.NRGBA) string {
	text := fmt.Sprintf(` %s="#%02x%02x%02x"`, what, ink.R, ink.G, ink.B)
	if ink.A != 0xff {
		text += fmt.Sprintf(` %s-opacity="%s"`, what, coordinate(opacity(ink)))
	}
	return text
}

func opacity(ink color.NRGBA) float64 { return float64(ink.A) / 0xff }

// The resolution of PNG files, and the size from which it is lowered, so that no picture takes more than 200 MB of memory.
const (
	dotsPerInch = 300
	mostDots    = 40 << 20
)

// png writes the sheet as PNG.
func (s *sheet) png() ([]byte, error) {
	dpi := dotsPerInch
	if dots := s.width * s.height * dotsPerInch * dotsPerInch / (72 * 72); dots > mostDots {
		dpi = max(1, int(dotsPerInch*math.Sqrt(mostDots/dots)))
	}
	c := vgimg.NewWith(vgimg.UseWH(vg.Length(s.width), vg.Length(s.height)), vgimg.UseDPI(dpi))
	at := func(p spot) vg.Point { return vg.Point{X: vg.Length(p.x), Y: vg.Length(s.height - p.y)} }
	path := func(points []spot) vg.Path {
		var p vg.Path
		for i, q := range points {
			if i == 0 {
				p.Move(at(q))
			} else {
				p.Line(at(q))
			}
		}
		return p
	}
	for _, m := range s.marks {
		switch m := m.(type) {
		case stroke:
			dash := make([]vg.Length, len(m.dash))
			for i, d := range m.dash {
				dash[i] = vg.Length(d)
			}
			c.SetColor(m.ink)
			c.SetLineWidth(vg.Length(m.width))
			c.SetLineDash(dash, 0)
			c.Stroke(path(m.points))
		case patch:
			c.SetColor(m.ink)
			p := path(m.points)
			p.Close()
			c.Fill(p)
		case disc:
			c.SetColor(m.ink)
			var p vg.Path
			p.Move(at(spot{m.at.x + m.radius, m.at.y}))
			p.Arc(at(m.at), vg.Length(m.radius), 0, 2*math.Pi)
			p.Close()
			c.Fill(p)
		case lettering:
			text := drawable(m.text)
			c.SetColor(m.ink)
			c.Push()
			c.Translate(at(m.at))
			if m.up {
				c.Rotate(math.Pi / 2)
			}
			c.FillString(face(m.size, m.bold), vg.Point{X: vg.Length(-m.anchor * measure(text, m.size, m.bold))}, text)
			c.Pop()
		}
	}
	var b bytes.Buffer
	err := png.Encode(&b, c.Image())
	return b.Bytes(), err
}

// pdf writes the sheet as PDF of one page, with the letters in it that it needs.
func (s *sheet) pdf() ([]byte, error) {
	const family = "liberation"
	d := fpdf.NewCustom(&fpdf.InitType{UnitStr: "pt", Size: fpdf.SizeType{Wd: s.width, Ht: s.height}})
	d.SetCatalogSort(true) // and no clock: the same picture is the same file
	d.SetCreationDate(time.Unix(0, 0).UTC())
	d.SetModificationDate(time.Unix(0, 0).UTC())
	d.AddUTF8FontFromBytes(family, "", liberationsansregular.TTF)
	d.AddUTF8FontFromBytes(family, "B", liberationsansbold.TTF)
	d.SetMargins(0, 0, 0)
	d.SetAutoPageBreak(false, 0)
	d.AddPage()
	ink := func(c color.NRGBA) {
		r, g, b := int(c.R), int(c.G), int(c.B)
		d.SetDrawColor(r, g, b)
		d.SetFillColor(r, g, b)
		d.SetTextColor(r, g, b)
		d.SetAlpha(opacity(c), "Normal")
	}
	path := func(points []spot) {
		for i, p := range points {
			if i == 0 {
				d.MoveTo(p.x, p.y)
			} else {
				d.LineTo(p.x, p.y)
			}
		}
	}
	for _, m := range s.marks {
		switch m := m.(type) {
		case stroke:
			ink(m.ink)
			d.SetLineWidth(m.width)
			d.SetDashPattern(m.dash, 0)
			path(m.points)
			d.DrawPath("D")
		case patch:
			ink(m.ink)
			path(m.points)
			d.ClosePath()
			d.DrawPath("F")
		case disc:
			ink(m.ink)
			d.Circle(m.at.x, m.at.y, m.radius, "F")
		case lettering:
			text, style := drawable(m.text), ""
			if m.bold {
				style = "B"
			}
			ink(m.ink)
			d.SetFont(family, style, m.size)
			d.TransformBegin()
			if m.up {
				d.TransformRotate(90, m.at.x, m.at.y)
			}
			d.Text(m.at.x-m.anchor*d.GetStringWidth(text), m.at.y, text)
			d.TransformEnd()
		}
	}
	var b bytes.Buffer
	err := d.Output(&b)
	return b.Bytes(), err
}
