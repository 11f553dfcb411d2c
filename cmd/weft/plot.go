package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// plotHelp is what --plot does, for the help of the commands that have it.
const plotHelp = "also draw the result into `FILE`.svg, FILE.png or FILE.pdf"

// picture is how results of one microprotocol are drawn.
type picture struct {
	microprotocol string
	draw          func(result json.RawMessage, parties int) (*sheet, error)
}

// pictures lists what can be drawn. All pictures come from the result alone, with the same bytes each time.
func pictures() []picture {
	return []picture{
		{"CorrelationMatrix", drawCorrelations},
		{"Histogram", drawHistogram},
		{"KaplanMeier", drawSurvival},
		{"LinearRegression", drawLinear},
		{"LogisticRegression", drawLogistic},
		{"PoissonRegression", drawPoisson},
		{"StatisticsByGroup", drawMeans},
		{"StatisticsFrequency", drawFrequencies},
	}
}

// pictureOf is how the results of a microprotocol are drawn. The error names what --plot knows.
func pictureOf(microprotocol string) (picture, error) {
	var names []string
	for _, p := range pictures() {
		if p.microprotocol == microprotocol {
			return p, nil
		}
		names = append(names, p.microprotocol)
	}
	err := usageError("there is no picture of %s; --plot knows %s and %s", oneLine(microprotocol),
		strings.Join(names[:len(names)-1], ", "), names[len(names)-1])
	if near := nearest(microprotocol, names); near != "" {
		return picture{}, withHint(err, "did you mean %s?", near)
	}
	return picture{}, withHint(err, "leave --plot out; with --json the result is ready for a program that draws")
}

// plotFile is a file that a picture will be written to.
type plotFile struct {
	path   string
	mode   fs.FileMode // as the system gives it to new files
	encode func(*sheet) ([]byte, error)
}

// plotFile is the file that --plot names, nil where there is no --plot. All that can go wrong before there is a result does
// so here, before anything is computed.
func (f runFlags) plotFile(microprotocol string) (*plotFile, error) {
	switch {
	case f.plot == "":
		return nil, nil
	case f.detach:
		return nil, withHint(usageError("--plot and --detach are both there, and without waiting there is no result to draw"),
			"draw it when the job is done: weft job show ID --plot %s", quoted(f.plot))
	}
	if _, err := pictureOf(microprotocol); err != nil {
		return nil, err
	}
	return openPlot(f.plot)
}

// openPlot checks that a picture can be written to path. It is nil where path is empty.
func openPlot(path string) (*plotFile, error) {
	if path == "" {
		return nil, nil
	}
	f := &plotFile{path: path}
	switch extension := strings.ToLower(filepath.Ext(path)); extension {
	case ".svg":
		f.encode = func(s *sheet) ([]byte, error) { return s.svg(), nil }
	case ".png":
		f.encode = (*sheet).png
	case ".pdf":
		f.encode = (*sheet).pdf
	default:
		return nil, withHint(usageError("--plot %s: the kind of picture is not known from the name", oneLine(path)),
			"let the name end with .svg, .png or .pdf")
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, withHint(usageError("--plot %s is there and is no file", oneLine(path)), "name a file that can be written anew")
	}
	// A file made on trial tells whether there is a folder, whether it can be written to, and which mode new files get.
	trial := path + "." + rand.Text() + ".tmp"
	t, err := os.OpenFile(trial, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		var where *fs.PathError
		if errors.As(err, &where) {
			err = where.Err // the name on trial tells nobody anything
		}
		return nil, withHint(usageError("--plot %s cannot be written: %w", oneLine(path), err), "name a file in a folder that you may write to")
	}
	info, err := t.Stat()
	if err = errors.Join(err, t.Close(), os.Remove(trial)); err != nil {
		return nil, fmt.Errorf("trying to write beside %s: %w", path, err)
	}
	f.mode = info.Mode().Perm()
	return f, nil
}

// possible says whether there is something to draw. Without a file there need not be.
func (f *plotFile) possible(j job) error {
	switch {
	case f == nil:
		return nil
	case !j.terminal():
		return fmt.Errorf("the job is %s: there is nothing to draw before it is done", oneLine(j.State))
	case j.State != stateDone:
		return ended(j)
	}
	_, err := pictureOf(j.Microprotocol)
	return err
}

// drawJob draws the result of a job, and nothing without a file.
func (f *plotFile) drawJob(c *client, j job) error {
	if f == nil {
		return nil
	}
	if err := f.write(j.Microprotocol, j.Result, len(j.Parties)); err != nil {
		return withHint(err, "the result itself is there: %s", look(c, j))
	}
	return nil
}

// write draws a result into the file. The file is there whole or as it was before.
func (f *plotFile) write(microprotocol string, result json.RawMessage, parties int) error {
	p, err := pictureOf(microprotocol)
	if err != nil {
		return err
	}
	s, err := p.draw(result, parties)
	if err != nil {
		return fmt.Errorf("drawing the result of %s: %w", microprotocol, err)
	}
	b, err := f.encode(s)
	if err != nil {
		return fmt.Errorf("drawing %s: %w", f.path, err)
	}
	if err := writeWhole(f.path, b, f.mode); err != nil {
		return fmt.Errorf("writing the picture: %w", err)
	}
	return nil
}

// The bounds of what a picture can show and somebody can still read.
const (
	mostCurves     = 21  // every colour in every kind of line
	mostForestRows = 100 // a page and a half
	mostBars       = 40
	mostBins       = 2000
	mostCells      = 60 // a side
)

// firstOf is the first members of a list, and a sentence on those left out.
func firstOf[T any](list []T, most int, what string) ([]T, []string) {
	if len(list) <= most {
		return list, nil
	}
	return list[:most:most], []string{fmt.Sprintf("The first %d of %d %s are drawn.", most, len(list), what)}
}

// caption is what stands below every picture: what it shows, of how many samples, then the notes.
func caption(what string, samples number, parties int, notes ...string) string {
	text := what + "."
	if samples.ok {
		text = fmt.Sprintf("%s, %s samples of %d parties.", what, numeral(samples.value), parties)
	}
	return strings.Join(slices.Concat([]string{text}, notes), " ")
}
