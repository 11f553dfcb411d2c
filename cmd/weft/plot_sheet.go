package main

import (
	"image/color"
	"math"
	"strings"
	"sync"

	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	stdfont "golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"gonum.org/v1/plot/font"
)

// sheet is a picture: marks in the order in which they lie on each other. All lengths are points (1/72 inch), counted from
// the left and from the top. PNG goes through gonum/plot. SVG and PDF are written from the marks: gonum/plot's canvas for PDF
// garbles every letter outside of ASCII, and the one for SVG names no font for readers who lack Liberation Sans.
type sheet struct {
	width, height float64
	marks         []any // stroke, patch, disc or lettering
}

type spot struct{ x, y float64 }

// stroke is a line through points.
type stroke struct {
	points []spot
	ink    color.NRGBA
	width  float64
	dash   []float64
}

// patch is a filled polygon.
type patch struct {
	points []spot
	ink    color.NRGBA
}

type disc struct {
	at     spot
	radius float64
	ink    color.NRGBA
}

// lettering is one line of text.
type lettering struct {
	at     spot    // on the line that the letters stand on
	anchor float64 // which part of the text is there: 0 its beginning, 0.5 its middle, 1 its end
	up     bool    // it runs upwards
	size   float64
	bold   bool
	ink    color.NRGBA
	text   string
}

// The sizes of all pictures. textSize is that of figures in journals at their printed width.
const (
	sheetWidth = 454.0 // 16 cm
	margin     = 12.0
	textSize   = 9.0
	smallSize  = 7.5
	lineHeight = 1.3 // of the text size
	hairline   = 0.6
	curveWidth = 1.3
	tickLength = 3.5
)

// The palette of Okabe and Ito (2008), told apart by colour-blind readers too, without its yellow, which is too light for
// lines on white.
var hues = []color.NRGBA{
	{0x00, 0x72, 0xb2, 0xff}, // blue
	{0xd5, 0x5e, 0x00, 0xff}, // vermilion
	{0x00, 0x9e, 0x73, 0xff}, // bluish green
	{0xcc, 0x79, 0xa7, 0xff}, // reddish purple
	{0xe6, 0x9f, 0x00, 0xff}, // orange
	{0x56, 0xb4, 0xe9, 0xff}, // sky blue
	{0x00, 0x00, 0x00, 0xff}, // black
}

// dashes tell lines of the same colour apart.
var dashes = [][]float64{nil, {5, 2}, {1.5, 1.5}}

var (
	black = color.NRGBA{0x1a, 0x1a, 0x1a, 0xff}
	grey  = color.NRGBA{0x59, 0x59, 0x59, 0xff} // of secondary text: 7:1 on white
	pale  = color.NRGBA{0xe3, 0xe3, 0xe3, 0xff} // of guides
	white = color.NRGBA{0xff, 0xff, 0xff, 0xff}
)

func (s *sheet) line(ink color.NRGBA, width float64, dash []float64, points ...spot) {
	s.marks = append(s.marks, stroke{points, ink, width, dash})
}

func (s *sheet) fill(ink color.NRGBA, points ...spot) {
	s.marks = append(s.marks, patch{points, ink})
}

func (s *sheet) box(ink color.NRGBA, left, top, right, bottom float64) {
	s.fill(ink, spot{left, top}, spot{right, top}, spot{right, bottom}, spot{left, bottom})
}

func (s *sheet) dot(ink color.NRGBA, x, y, radius float64) {
	s.marks = append(s.marks, disc{spot{x, y}, radius, ink})
}

func (s *sheet) write(l lettering) {
	if l.text == "" {
		return
	}
	if l.size == 0 {
		l.size = textSize
	}
	if l.ink.A == 0 {
		l.ink = black
	}
	s.marks = append(s.marks, l)
}

// middle is how far below its middle the line lies that letters of a size stand on.
func middle(size float64) float64 { return 0.35 * size }

// caption writes small text at the foot of the sheet, in as many lines as it needs, and ends the sheet below it.
func (s *sheet) caption(top float64, text string) {
	y := top + smallSize
	for _, l := range wrapped(text, smallSize, s.width-2*margin) {
		s.write(lettering{at: spot{margin, y}, size: smallSize, ink: grey, text: l})
		y += smallSize * lineHeight
	}
	s.height = math.Ceil(y - smallSize*lineHeight + margin)
}

// wrapped breaks a text into lines.
func wrapped(text string, size, width float64) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		word = shortened(word, size, width)
		if longer := strings.TrimSpace(line + " " + word); line == "" || measure(longer, size, false) <= width {
			line = longer
			continue
		}
		lines = append(lines, line)
		line = word
	}
	return append(lines, line)
}

// shortened cuts from the middle of a text what makes it wider than width: long names often differ only at their ends.
func shortened(text string, size, width float64) string {
	const longest = 400 // letters: no sheet is wider, and measuring takes time
	letters := []rune(text)
	if len(letters) <= longest && measure(text, size, false) <= width {
		return text
	}
	low, high := 0, min(len(letters), longest)
	for low < high {
		n := (low + high + 1) / 2
		if measure(abridged(letters, n), size, false) <= width {
			low = n
		} else {
			high = n - 1
		}
	}
	return abridged(letters, low)
}

// abridged keeps n letters, more of them from the beginning.
func abridged(letters []rune, n int) string {
	end := n * 2 / 5
	return strings.TrimSpace(string(letters[:n-end])) + "\u2026" + strings.TrimSpace(string(letters[len(letters)-end:]))
}

// typefaces are Liberation Sans, which is as wide as Arial and Helvetica and which the program carries in itself.
var typefaces = sync.OnceValue(func() [2]*opentype.Font {
	var both [2]*opentype.Font
	for i, ttf := range [][]byte{liberationsansregular.TTF, liberationsansbold.TTF} {
		f, err := opentype.Parse(ttf)
		if err != nil {
			panic(err) // it is part of the program
		}
		both[i] = f
	}
	return both
})

func face(size float64, bold bool) font.Face {
	f := font.Face{Font: font.Font{Typeface: "Liberation", Variant: "Sans", Size: font.Length(size)}, Face: typefaces()[0]}
	if bold {
		f.Font.Weight, f.Face = stdfont.WeightBold, typefaces()[1]
	}
	return f
}

func measure(text string, size float64, bold bool) float64 {
	f := face(size, bold)
	return f.Width(text).Points()
}

// widest is the width of the widest of some texts.
func widest(texts []string, size float64) float64 {
	w := 0.0
	for _, t := range texts {
		w = max(w, measure(t, size, false))
	}
	return w
}

// drawable puts a box in the place of each letter that the typeface lacks: it has those of the Latin, Greek, Cyrillic and
// Hebrew alphabets.
func drawable(text string) string {
	var buffer sfnt.Buffer
	return strings.Map(func(r rune) rune {
		if i, err := typefaces()[0].GlyphIndex(&buffer, r); err != nil || i == 0 || r > 0xffff {
			return '\u25a1'
		}
		return r
	}, text)
}
