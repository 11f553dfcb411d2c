package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"image/color"
	"image/png"
	"io"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// examples are results whose pictures the tests look at.
var examples = map[string]string{
	"KaplanMeier": `{"samples":9,"conf_level":0.95,"groups":[
		{"group":"a<b","samples":5,"events":3,"median":20,"median_conf_int":null,"table":[
			{"time":10,"n_risk":5,"n_event":1,"n_censor":0,"survival":0.8,"std_error":0.18,"conf_int":[0.2,0.97],"conf_int_plain":[0,1]},
			{"time":15,"n_risk":4,"n_event":0,"n_censor":1,"survival":0.8,"std_error":0.18,"conf_int":[0.2,0.97],"conf_int_plain":[0,1]},
			{"time":20,"n_risk":3,"n_event":1,"n_censor":1,"survival":0.4,"std_error":0.2,"conf_int":[0.05,0.8],"conf_int_plain":[0,1]},
			{"time":40,"n_risk":1,"n_event":1,"n_censor":0,"survival":0,"std_error":null,"conf_int":null,"conf_int_plain":null}]},
		{"group":2,"samples":4,"events":0,"median":null,"table":[
			{"time":30,"n_risk":4,"n_event":0,"n_censor":4,"survival":1,"std_error":0,"conf_int":null}]},
		{"group":true,"samples":0,"events":0,"median":null,"table":[]}]}`,
	"Histogram": `{"samples":12,"breaks":[0,1,2,3],"counts":[2,5,1],"density":[0.25,0.625,0.125],"mids":[0.5,1.5,2.5],"below":3,"above":1}`,
	"StatisticsByGroup": `{"samples":7,"conf_level":0.9,"groups":[{"group":"x","samples":4,"mean":2.5,"conf_int":[1.5,3.5]},
		{"group":false,"samples":2,"mean":4,"conf_int":[1,7]},{"group":3,"samples":1,"mean":5,"conf_int":null},{"group":"none","samples":0,"mean":null,"conf_int":null}]}`,
	"StatisticsFrequency": `{"samples":10,"mode":"b","histogram":{"b":6,"a":3},"other":1}`,
	"CorrelationMatrix":   `{"samples":32,"columns":["mpg","wt"],"correlation":[[1,-0.8676593765172278],[-0.8676593765172278,null]]}`,
	"LinearRegression": `{"samples":32,"conf_level":0.95,"coefficients":[{"name":"(intercept)","estimate":27.6,"conf_int":[10.4,44.9],"p_value":0.003},
		{"name":"wt","estimate":-4.358797,"conf_int":[-5.9006,-2.81696],"p_value":3.2e-06},{"name":"hp","estimate":-0.0178,"conf_int":[-0.0485,0.0129],"p_value":0.2442}]}`,
	"LogisticRegression": `{"samples":248,"conf_level":0.95,"coefficients":[{"name":"(intercept)","estimate":-1.7,"conf_int":[-2.2,-1.2],"p_value":0,"odds_ratio":0.18,"odds_ratio_conf_int":[0.1,0.3]},
		{"name":"spontaneous","estimate":1.197,"conf_int":[0.8,1.6],"p_value":1e-8,"odds_ratio":3.3107,"odds_ratio_conf_int":[2.188,5.009]},
		{"name":"rare","estimate":0,"conf_int":[-30,30],"p_value":1,"odds_ratio":1,"odds_ratio_conf_int":[1e-13,1e13]},
		{"name":"unknown","estimate":null,"conf_int":[null,null],"p_value":null,"odds_ratio":null,"odds_ratio_conf_int":[null,null]}]}`,
	"PoissonRegression": `{"samples":54,"conf_level":0.95,"coefficients":[{"name":"(intercept)","estimate":3.69,"conf_int":[3.6,3.78],"p_value":0},
		{"name":"woolB","estimate":-0.206,"conf_int":[-0.307,-0.105],"p_value":6.6e-5,"rate_ratio":0.8138,"rate_ratio_conf_int":[0.7355,0.9001]}]}`,
}

func drawn(t testing.TB, microprotocol, result string) *sheet {
	t.Helper()
	p, err := pictureOf(microprotocol)
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.draw(json.RawMessage(result), 3)
	if err != nil {
		t.Fatalf("%s: %v", microprotocol, err)
	}
	return s
}

// texts are all letterings of a sheet.
func (s *sheet) texts() (all []string) {
	for _, m := range s.marks {
		if l, ok := m.(lettering); ok {
			all = append(all, l.text)
		}
	}
	return all
}

// find is the lettering of a text.
func (s *sheet) find(t *testing.T, text string) lettering {
	t.Helper()
	for _, m := range s.marks {
		if l, ok := m.(lettering); ok && l.text == text {
			return l
		}
	}
	t.Fatalf("no %q in %q", text, s.texts())
	return lettering{}
}

func (s *sheet) wantCaption(t *testing.T, want string) {
	t.Helper()
	if all := strings.Join(s.texts(), " "); !strings.HasSuffix(all, want) {
		t.Errorf("the texts are %q, want at their end %q", all, want)
	}
}

// patches are the polygons of one colour.
func (s *sheet) patches(ink color.NRGBA) (all []patch) {
	for _, m := range s.marks {
		if p, ok := m.(patch); ok && p.ink == ink {
			all = append(all, p)
		}
	}
	return all
}

// wellFormed wants XML of finite numbers, in which every text of the sheet stands.
func wellFormed(t rapid.TB, s *sheet) {
	t.Helper()
	b := s.svg()
	var texts []string
	d := xml.NewDecoder(bytes.NewReader(b))
	inText := false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v:\n%s", err, b)
		}
		switch token := token.(type) {
		case xml.StartElement:
			inText = token.Name.Local == "text"
			if inText {
				texts = append(texts, "")
			}
			for _, a := range token.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Fatalf("%s of %s is %s", a.Name.Local, token.Name.Local, a.Value)
				}
			}
		case xml.EndElement:
			inText = false
		case xml.CharData:
			if inText {
				texts[len(texts)-1] += string(token)
			}
		}
	}
	if !slices.Equal(texts, s.texts()) {
		t.Fatalf("the texts are %q, want %q", texts, s.texts())
	}
}

func TestPicturesInAllFormats(t *testing.T) {
	for _, p := range pictures() {
		t.Run(p.microprotocol, func(t *testing.T) {
			s := drawn(t, p.microprotocol, examples[p.microprotocol])
			wellFormed(t, s)
			if again := drawn(t, p.microprotocol, examples[p.microprotocol]); !bytes.Equal(s.svg(), again.svg()) {
				t.Error("the same result gives another picture")
			}
			raster, err := s.png()
			if err != nil {
				t.Fatal(err)
			}
			image, err := png.Decode(bytes.NewReader(raster))
			if err != nil {
				t.Fatal(err)
			}
			const scale = 300.0 / 72
			if size := image.Bounds().Size(); math.Abs(float64(size.X)-s.width*scale) > 1 || math.Abs(float64(size.Y)-s.height*scale) > 1 {
				t.Errorf("%v dots for %v by %v points", size, s.width, s.height)
			}
			dark := 0
			for x := range image.Bounds().Dx() {
				for y := range image.Bounds().Dy() {
					if r, g, b, _ := image.At(x, y).RGBA(); r+g+b < 3*0xffff/2 {
						dark++
					}
				}
			}
			if share := float64(dark) / float64(image.Bounds().Dx()*image.Bounds().Dy()); share < 0.002 || share > 0.7 {
				t.Errorf("%.4f of the dots are dark", share)
			}
			document, err := s.pdf()
			if err != nil || !bytes.HasPrefix(document, []byte("%PDF-")) || !bytes.HasSuffix(bytes.TrimSpace(document), []byte("%%EOF")) {
				t.Errorf("%v: %.20q", err, document)
			}
			if again, _ := s.pdf(); !bytes.Equal(document, again) {
				t.Error("the same picture is another PDF file")
			}
		})
	}
}

func TestSurvivalCurves(t *testing.T) {
	s := drawn(t, "KaplanMeier", examples["KaplanMeier"])
	// The numbers at risk stand below their ticks, a row for each group.
	axis, rows := map[string]float64{}, map[string][]string{}
	base := s.find(t, "time").at.y
	for _, m := range s.marks {
		if l, ok := m.(lettering); ok && l.anchor == 0.5 && !l.up && l.text != "time" {
			if l.at.y < base {
				axis[l.text] = l.at.x
				continue
			}
			for text, x := range axis {
				if x == l.at.x {
					rows[coordinate(l.at.y)] = append(rows[coordinate(l.at.y)], text+":"+l.text)
				}
			}
		}
	}
	want := [][]string{ // of those with a time of at least that of the tick
		{"0:5", "5:5", "10:5", "15:4", "20:3", "25:1", "30:1", "35:1", "40:1"},
		{"0:4", "5:4", "10:4", "15:4", "20:4", "25:4", "30:4", "35:0", "40:0"},
		{"0:0", "5:0", "10:0", "15:0", "20:0", "25:0", "30:0", "35:0", "40:0"},
	}
	for i, group := range []string{"a<b", "2", "true"} {
		row := rows[coordinate(s.find(t, group).at.y)]
		if !slices.Equal(row, want[i]) {
			t.Errorf("at risk of %s: %q, want %q", group, row, want[i])
		}
	}
	s.find(t, "a<b (3 of 5 with event, median 20)")
	s.find(t, "2 (0 of 4 with event, median not reached)")
	s.find(t, "true (no samples)")
	s.wantCaption(t, "Kaplan-Meier estimate, 9 samples of 3 parties. Bands: 95 % confidence intervals (log-log). Dashed: median time. Ticks on the curves: censored samples.")

	// The curve goes through (0, 1), and down at each event.
	x0, x40 := axis["0"], axis["40"]
	y0, y1 := s.find(t, "0.0").at.y-middle(textSize), s.find(t, "1.0").at.y-middle(textSize)
	var corners []string
	for _, m := range s.marks {
		if c, ok := m.(stroke); ok && c.ink == hues[0] && c.width == curveWidth {
			for _, p := range c.points {
				corners = append(corners, fmt.Sprintf("%.3g,%.3g", (p.x-x0)/(x40-x0)*40, (y0-p.y)/(y0-y1)))
			}
		}
	}
	if got, want := strings.Join(corners, " "), "0,1 10,1 10,0.8 20,0.8 20,0.4 40,0.4 40,0"; got != want {
		t.Errorf("the curve is %s, want %s", got, want)
	}
	band := hues[0]
	band.A = bandOpacity
	bands := s.patches(band)
	if len(bands) != 1 || len(bands[0].points) != 12 { // two corners above and below for each of three intervals
		t.Fatalf("bands: %v", bands)
	}
	if left := (bands[0].points[0].x - x0) / (x40 - x0) * 40; math.Abs(left-10) > 1e-9 {
		t.Errorf("the band begins at %v, want 10", left)
	}

	// Many groups: no bands, one picture.
	var many survival
	if err := json.Unmarshal([]byte(examples["KaplanMeier"]), &many); err != nil {
		t.Fatal(err)
	}
	one := `{"group":"g%d","samples":2,"events":2,"median":1,"table":[{"time":1,"n_risk":2,"n_event":1,"n_censor":0,"survival":0.5,"conf_int":[0.1,0.9]},{"time":2,"n_risk":1,"n_event":1,"n_censor":0,"survival":0,"conf_int":null}]}`
	var groups []string
	for i := range mostCurves + 2 {
		groups = append(groups, fmt.Sprintf(one, i))
	}
	s = drawn(t, "KaplanMeier", `{"samples":46,"conf_level":0.95,"groups":[`+strings.Join(groups, ",")+`]}`)
	s.wantCaption(t, "The first 21 of 23 groups are drawn.")
	if n := len(s.patches(band)); n != 0 {
		t.Errorf("%d bands among %d groups", n, mostCurves)
	}
}

func TestBars(t *testing.T) {
	heights := func(s *sheet) (all []float64) {
		for _, p := range s.patches(barInk) {
			all = append(all, math.Round(100*(p.points[2].y-p.points[0].y))/100)
		}
		return all
	}
	s := drawn(t, "Histogram", examples["Histogram"])
	if h := heights(s); len(h) != 3 || h[0]/h[2] < 1.99 || h[0]/h[2] > 2.01 || h[1]/h[2] < 4.99 || h[1]/h[2] > 5.01 {
		t.Errorf("the bars are %v high", h)
	}
	s.find(t, "count")
	s.wantCaption(t, "Histogram, 12 samples of 3 parties. Not drawn: 3 below 0, 1 above 3.")

	s = drawn(t, "Histogram", `{"samples":3,"breaks":[0,1,3],"counts":[1,2],"density":[0.25,0.5],"below":0,"above":0}`)
	if h := heights(s); len(h) != 2 || h[1]/h[0] < 1.99 || h[1]/h[0] > 2.01 {
		t.Errorf("the bars are %v high", h)
	}
	s.find(t, "density")
	s = drawn(t, "Histogram", `{"samples":9,"breaks":[0,1,2,3],"counts":[null,9,null],"density":[null,1,null],"below":null,"above":null}`)
	s.wantCaption(t, "Histogram, 9 samples of 3 parties. Classes without a bar have too few samples to be shown, perhaps none.")
	s = drawn(t, "Histogram", `{"samples":1,"breaks":[0,1,3],"counts":[0,0],"density":null,"below":1,"above":0}`)
	s.wantCaption(t, "No sample lies between the breaks. Not drawn: 1 below 0.")

	s = drawn(t, "StatisticsFrequency", examples["StatisticsFrequency"])
	if h := heights(s); len(h) != 3 || math.Abs(h[0]/h[2]-6) > 0.02 || math.Abs(h[1]/h[2]-3) > 0.02 {
		t.Errorf("the bars are %v high", h)
	}
	for _, text := range []string{"b", "a", "other", "6", "3"} {
		s.find(t, text)
	}
	var members []string
	for i := range 100 {
		members = append(members, fmt.Sprintf(`"category %d":%d`, i, i))
	}
	s = drawn(t, "StatisticsFrequency", `{"samples":4950,"histogram":{`+strings.Join(members, ",")+`}}`)
	if n := len(s.patches(barInk)); n != mostBars {
		t.Errorf("%d bars", n)
	}
	s.wantCaption(t, "The 40 most frequent of 100 categories are drawn; the others hold 1770 samples.")
}

func TestMeans(t *testing.T) {
	s := drawn(t, "StatisticsByGroup", examples["StatisticsByGroup"])
	if label, n := s.find(t, "false"), s.find(t, "n = 2"); label.at.x != n.at.x || label.at.y >= n.at.y {
		t.Errorf("n stands at %v, its group at %v", n.at, label.at)
	}
	s.wantCaption(t, "Means with 90 % confidence intervals, 7 samples of 3 parties. Not defined: 3 (no interval), none (no mean).")
	var groups []string
	for i := range 150 {
		groups = append(groups, fmt.Sprintf(`{"group":"a long name for a group, and its number is %d","samples":9,"mean":%d,"conf_int":[0,200]}`, i, i))
	}
	s = drawn(t, "StatisticsByGroup", `{"samples":1350,"conf_level":0.95,"groups":[`+strings.Join(groups, ",")+`]}`)
	s.find(t, "99 [0, 200]")
	s.find(t, "a long name for a\u2026umber is 99")
	s.wantCaption(t, "The first 100 of 150 rows are drawn.")
}

func TestForest(t *testing.T) {
	s := drawn(t, "LogisticRegression", examples["LogisticRegression"])
	for _, text := range []string{"term", "odds ratio [95 % CI]", "3.31 [2.19, 5.01]", "<0.001", "1.00 [1e" + minus + "13, 1e13]", ">0.999"} {
		s.find(t, text)
	}
	s.wantCaption(t, "An arrow: the interval goes on. \u2013: not defined, and not drawn. Not drawn: the intercept (log odds), "+minus+"1.70 ["+minus+"2.20, "+minus+"1.20].")
	// The odds ratio of 1 lies on the line that marks no effect, and its interval has an arrow at either end.
	one, arrows := math.NaN(), 0
	for _, m := range s.marks {
		if l, ok := m.(stroke); ok && l.dash != nil {
			one = l.points[0].x
		}
	}
	squares := s.patches(hues[0])
	squares = slices.DeleteFunc(squares, func(p patch) bool {
		if len(p.points) == 3 {
			arrows++
		}
		return len(p.points) == 3
	})
	if len(squares) != 2 || arrows != 2 {
		t.Fatalf("%d squares and %d arrows", len(squares), arrows)
	}
	if at := (squares[1].points[0].x + squares[1].points[1].x) / 2; math.Abs(at-one) > 1e-9 {
		t.Errorf("an odds ratio of 1 is drawn at %v, no effect at %v", at, one)
	}

	s = drawn(t, "LinearRegression", examples["LinearRegression"])
	for _, text := range []string{minus + "4.36 [" + minus + "5.90, " + minus + "2.82]", minus + "0.0178 [" + minus + "0.0485, 0.0129]", "0.24"} {
		s.find(t, text)
	}
	s = drawn(t, "LinearRegression", `{"samples":5,"conf_level":0.95,"coefficients":[{"name":"(intercept)","estimate":3,"conf_int":null,"p_value":null}]}`)
	s.find(t, "(intercept)") // is all there is
	if slices.Contains(s.texts(), "p") {
		t.Error("there is a column for p without any")
	}

	// One picture to the byte.
	const path = "testdata/poisson.svg"
	got := drawn(t, "PoissonRegression", examples["PoissonRegression"]).svg()
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s differs (%v): run the test with -update and look at the picture\n%s", path, err, got)
	}
}

func TestHeat(t *testing.T) {
	s := drawn(t, "CorrelationMatrix", examples["CorrelationMatrix"])
	s.find(t, "1.00")
	if l := s.find(t, minus+"0.87"); l.ink != white {
		t.Errorf("letters on dark blue are %v", l.ink)
	}
	if heat(0) != white || heat(1) != hues[1] || heat(-1) != hues[0] {
		t.Error("the colours of 0, 1 and -1 are wrong")
	}
	s.wantCaption(t, "Correlations (Pearson), 32 samples of 3 parties. Grey: not defined.")
	if n := len(s.patches(pale)); n != 1 {
		t.Errorf("%d grey squares", n)
	}
}

func TestNoPicture(t *testing.T) {
	for name, result := range map[string]string{
		"KaplanMeier":         `{"samples":0,"groups":[{"samples":0,"table":[]}]}`,
		"Histogram":           `{"breaks":[1,2],"counts":[1,2,3]}`,
		"StatisticsByGroup":   `{"samples":0,"groups":[{"group":"a","samples":0,"mean":null,"conf_int":null}]}`,
		"StatisticsFrequency": `{"samples":0,"histogram":{}}`,
		"CorrelationMatrix":   `{"correlation":[]}`,
		"LinearRegression":    `{"coefficients":[{"name":"a","estimate":1e308},{"name":"b","estimate":-1e308}]}`,
		"LogisticRegression":  `{"coefficients":[{"name":"a","estimate":1e400,"odds_ratio":1e400}]}`,
		"PoissonRegression":   `{"coefficients":"none"}`,
	} {
		p, err := pictureOf(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.draw(json.RawMessage(result), 2); err == nil {
			t.Errorf("%s of %s is drawn", name, result)
		}
	}
}

func TestForeignLetters(t *testing.T) {
	const labels = `{"samples":6,"histogram":{"Ελλάδα":1,"Москва":2,"日本":3,"😀":4,"عربى":5,"é\u0301\u202e\u0000\"<&'":6,"":1}}`
	s := drawn(t, "StatisticsFrequency", labels)
	wellFormed(t, s)
	s.find(t, "日本") // for readers whose machines have it
	s.find(t, "(empty)")
	if got := drawable("Ελλάδα Москва é 日😀"); got != "Ελλάδα Москва é □□" {
		t.Errorf("drawable: %q", got)
	}
	if _, err := s.png(); err != nil {
		t.Error(err)
	}
	if _, err := s.pdf(); err != nil {
		t.Error(err)
	}
}

// Whatever numbers a result has, it is drawn within the sheet or refused.
func TestPicturesOfStrangeNumbers(t *testing.T) {
	strange := rapid.SampledFrom([]string{"null", "0", "1", "-1", "2", "0.5", "1e-9", "5e-324", "1e15", "9007199254740993", "1e200", "-1e200", "1.7976931348623157e308", "1e400"})
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom(pictures()).Draw(t, "picture")
		often := rapid.IntRange(1, 20).Draw(t, "often")
		text := strangeNumber.ReplaceAllStringFunc(examples[p.microprotocol], func(number string) string {
			if rapid.IntRange(0, often).Draw(t, "whether") > 0 {
				return number
			}
			return number[:1] + strange.Draw(t, "number")
		})
		s, err := p.draw(json.RawMessage(text), 3)
		if err != nil {
			return
		}
		wellFormed(t, s)
		for _, m := range s.marks {
			var points []spot
			switch m := m.(type) {
			case stroke:
				points = m.points
			case patch:
				points = m.points
			case disc:
				points = []spot{m.at}
			case lettering:
				points = []spot{m.at}
			}
			for _, q := range points {
				if q.x < 0 || q.y < 0 || q.x > s.width || q.y > s.height {
					t.Fatalf("%v lies outside of %v by %v: %s", m, s.width, s.height, text)
				}
			}
		}
	})
}

// strangeNumber is a number with what stands before it.
var strangeNumber = regexp.MustCompile(`[:,\[]-?[0-9][0-9.e-]*`)

func FuzzPicture(f *testing.F) {
	for i, p := range pictures() {
		f.Add(i, []byte(examples[p.microprotocol]))
	}
	f.Add(1, []byte(`{"breaks":[1e-320,1e-319],"counts":[1]}`))
	f.Add(5, []byte(`{"coefficients":[{"name":"a","odds_ratio":1e-300,"odds_ratio_conf_int":[0,1e300]}]}`))
	f.Fuzz(func(t *testing.T, which int, raw []byte) {
		all := pictures()
		s, err := all[(which%len(all)+len(all))%len(all)].draw(raw, 2)
		if err != nil {
			return
		}
		wellFormed(t, s)
	})
}

func TestAxes(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		tight     bool
		want      string
	}{
		{0, 1022, true, "0 200 400 600 800 1000"},
		{0, 1, true, "0.0 0.2 0.4 0.6 0.8 1.0"},
		{-5.9, 1.4, false, "-6 -4 -2 0 2"},
		{5, 5, true, "4.6 4.8 5.0 5.2 5.4"},
		{0, 3e8, false, "0 5e7 1e8 1.5e8 2e8 2.5e8 3e8"},
		{-2e-7, 1e-7, false, "-2e-7 -1.5e-7 -1e-7 -5e-8 0 5e-8 1e-7"},
		{1e16, 1e16 + 2, true, ""},
	} {
		a, err := linear(c.low, c.high, 6, c.tight)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.ReplaceAll(strings.Join(a.texts(), " "), minus, "-"); c.want != "" && got != c.want {
			t.Errorf("from %v to %v: %s, want %s", c.low, c.high, got, c.want)
		}
		if a.across(10, 20).at(a.from) != 10 || a.across(10, 20).at(a.to) != 20 {
			t.Errorf("from %v to %v: the ends are not at the ends", c.low, c.high)
		}
	}
	for _, c := range []struct {
		low, high float64
		want      string
	}{
		{0.5, 1.1, "0.5 0.6 0.7 0.8 0.9 1"},
		{0.1, 10, "0.1 0.3 1 3 10"},
		{0.001, 1000, "0.001 0.01 0.1 1 10 100 1000"},
		{1e-20, 1e20, "1e-18 1e-12 1e-6 1 1e6 1e12 1e18"},
	} {
		if got := strings.ReplaceAll(strings.Join(logarithmic(c.low, c.high).texts(), " "), minus, "-"); got != c.want {
			t.Errorf("from %v to %v: %s, want %s", c.low, c.high, got, c.want)
		}
	}
}

func TestNumerals(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 1234: "1234", -0.25: minus + "0.25", 1.6: "1.6", 2.5e9: "2500000000", 1e300: "1e300", 1.5e-9: "1.5e" + minus + "9"} {
		if got := numeral(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0", 3.14159: "3.14", 31.4159: "31.4", 314.159: "314", 0.0314159: "0.0314", 1e7: "1e7", -0.0001234: minus + "0.000123"} {
		if got := short(v); got != want {
			t.Errorf("short %v: %s, want %s", v, got, want)
		}
	}
	for _, c := range []struct {
		p    number
		want string
	}{{number{0, true}, "<0.001"}, {number{0.0421, true}, "0.042"}, {number{0.5, true}, "0.50"}, {number{1, true}, ">0.999"}, {number{}, "\u2013"}} {
		if got := probability(c.p); got != c.want {
			t.Errorf("p %v: %s, want %s", c.p, got, c.want)
		}
	}
}

// A long sheet is drawn with fewer dots, not with all memory.
func TestLongSheet(t *testing.T) {
	s := &sheet{width: sheetWidth, height: 40000}
	b, err := s.png()
	if err != nil {
		t.Fatal(err)
	}
	c, err := png.DecodeConfig(bytes.NewReader(b))
	if err != nil || c.Width*c.Height > mostDots {
		t.Errorf("%d by %d dots, %v", c.Width, c.Height, err)
	}
	if got := strconv.Itoa(c.Height / c.Width); got != "88" {
		t.Errorf("%s times as high as wide", got)
	}
}

// A group with hidden counts has no curve, and a band where the curve can be.
func TestSurvivalWithHiddenCounts(t *testing.T) {
	s := drawn(t, "KaplanMeier", `{"samples":11,"conf_level":0.95,"groups":[{"samples":11,"events":4,"median":null,"median_conf_int":null,"median_bounds":[2,null],"table":[
		{"time":1,"n_risk":null,"n_event":4,"n_censor":4,"survival":null,"std_error":null,"conf_int":null,"conf_int_plain":null,"n_risk_bounds":[11,13],"survival_bounds":[0.5,0.75]},
		{"time":2,"n_risk":null,"n_event":null,"n_censor":3,"survival":null,"std_error":null,"conf_int":null,"conf_int_plain":null,"n_risk_bounds":[3,5],"survival_bounds":[0.25,0.5]}]}]}`)
	band := hues[0]
	band.A = bandOpacity
	if bands := s.patches(band); len(bands) != 1 || len(bands[0].points) != 4 {
		t.Errorf("bands: %v", bands)
	}
	for _, m := range s.marks {
		if l, ok := m.(stroke); ok && l.ink == hues[0] && l.width == curveWidth {
			t.Errorf("a curve is drawn: %v", l)
		}
	}
	s.wantCaption(t, "Bands without a curve: what the hidden counts leave possible; others: 95 % confidence intervals (log-log). Ticks on the curves: censored samples.")
}
