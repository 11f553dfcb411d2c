package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// figures are what was measured, one value for each round.
type figures map[string][]float64

func (f figures) add(name string, v float64) { f[name] = append(f[name], v) }

// median is the middle one; of an even number, the lower of the two.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	return v[(len(v)-1)/2]
}

// A goal compares two figures, or one with a constant.
type goal struct {
	letter, what string
	weft, floor  string  // names of figures; floor may be empty
	against      float64 // stands for the floor where it is no measurement; 0: the figure itself is judged
	unit         string
	wanted       float64 // of the ratio weft to floor, or of the figure itself; 0: for information
	least        bool    // wanted is the least that will do, not the most
}

var goals = []goal{
	{letter: "a", what: "sum of 3, one process", weft: "a.weft", floor: "a.floor", unit: "ms", wanted: 1.6},
	{letter: "b", what: "sum of 3, three processes over TLS", weft: "b.weft", floor: "b.floor", unit: "ms", wanted: 1.6},
	{letter: "", what: "the same with the way through HTTP", weft: "b.http", floor: "b.floor", unit: "ms"},
	{letter: "", what: "the same with durability: power", weft: "b.power", floor: "b.floor", unit: "ms"},
	{letter: "c", what: "sum of 3 through HTTP, new connections", weft: "c.go", unit: "ms", wanted: 10},
	{letter: "c", what: "by 3 official clients; against four empty exchanges of 3", weft: "c.python", floor: "c.three", unit: "ms", wanted: 2.5},
	{letter: "", what: "the same; against four empty exchanges of 1", weft: "c.python", floor: "c.one", unit: "ms"},
	{letter: "d", what: "vector of 1,000,000, three processes over TLS; against plain NATS between such", weft: "d.weft", floor: "d.floor", unit: "ms", wanted: 5},
	{letter: "", what: "the same; against plain NATS in one process, no TLS", weft: "d.weft", floor: "d.one.floor", unit: "ms"},
	{letter: "", what: "the same with the data's way through HTTP as JSON", weft: "d.whole", floor: "d.floor", unit: "ms"},
	{letter: "", what: "the same in one process; against plain NATS", weft: "d.one.weft", floor: "d.one.floor", unit: "ms"},
	{letter: "d", what: "peak memory of a process; against the encoded vector", weft: "d.memory", against: vectorMB, unit: "MB", wanted: 14},
	{letter: "e", what: "sum of 16, one process", weft: "e16.weft", floor: "e16.floor", unit: "ms", wanted: 1.6},
	{letter: "e", what: "sum of 64, one process", weft: "e64.weft", floor: "e64.floor", unit: "ms", wanted: 1.6},
	{letter: "s", what: "all moments of 3 x 100 numbers; against a sum", weft: "s.univariate", floor: "s.sum", unit: "ms", wanted: 2.5},
	{letter: "s", what: "covariance and line of 3 x 100 pairs; against a sum", weft: "s.bivariate", floor: "s.sum", unit: "ms", wanted: 2.5},
	{letter: "s", what: "logistic regression, 3 x 427 rows, 10 columns", weft: "s.logistic", unit: "ms", wanted: 300},
	{letter: "s", what: "1,000 private categories, 3 parties", weft: "s.categories", unit: "ms", wanted: 300},
	{letter: "s", what: "vector of 10,000, 20 parties", weft: "s.wide", unit: "ms", wanted: 2000},
	{letter: "", what: "sum of 3, in the same run as the following", weft: "o.sum", unit: "ms"},
	{letter: "o", what: "minimum and maximum of 3 x 100 numbers", weft: "o.extremes", unit: "ms", wanted: 200},
	{letter: "o", what: "median of 3 x 100 numbers", weft: "o.median", unit: "ms", wanted: 300},
	{letter: "o", what: "7 quantiles of 3 x 100 numbers", weft: "o.quantiles", unit: "ms", wanted: 1000},
	{letter: "o", what: "100 categories, counts below 5 hidden, 3 parties", weft: "o.hidden", unit: "ms", wanted: 150},
	{letter: "o", what: "median of 3 x 1,000,000 numbers", weft: "o.median-large", unit: "ms", wanted: 1500},
	{letter: "p", what: "common elements of 2 x 100", weft: "p.sets", unit: "ms", wanted: 50},
	{letter: "p", what: "their number", weft: "p.sets-size", unit: "ms", wanted: 100},
	{letter: "p", what: "common elements of 2 x 65,536; against the arithmetic alone", weft: "p.sets-large", floor: "p.sets-large-floor", unit: "ms", wanted: 1.3},
	{letter: "", what: "common elements of 3 x 16,384; against the arithmetic alone", weft: "p.sets-many", floor: "p.sets-many-floor", unit: "ms"},
	{letter: "m", what: "product of 10 x 10 x 10 numbers, 2 parties", weft: "m.product", unit: "ms", wanted: 20},
	{letter: "m", what: "product of 100 x 1,000 x 100 numbers, 2 parties", weft: "m.product-large", unit: "ms", wanted: 1000},
	{letter: "m", what: "least squares of 200 rows, 5 columns and y, 2 parties", weft: "m.ols", unit: "ms", wanted: 40},
	{letter: "m", what: "regression of 10,000 rows, 5 parties with 4 columns", weft: "m.columns", unit: "ms", wanted: 2000},
	{letter: "f", what: "64 sums of 3 at once, one process", weft: "f.weft", floor: "f.floor", unit: "/s", wanted: 0.6, least: true},
	{letter: "g", what: "64 sums at once through three gateways (HTTP)", weft: "g.weft", floor: "g.floor", unit: "/s", wanted: 0.4, least: true},
	{letter: "", what: "the same; median of a sum", weft: "g.weft.p50", floor: "g.floor.p50", unit: "ms"},
	{letter: "", what: "the same; 99th percentile", weft: "g.weft.p99", floor: "g.floor.p99", unit: "ms"},
	{letter: "g", what: "small calls of the representation API, 64 callers", weft: "g.calls", unit: "/s", wanted: 2000, least: true},
	{letter: "", what: "the same; median of a call", weft: "g.calls.p50", unit: "ms"},
	{letter: "", what: "the same; 99th percentile", weft: "g.calls.p99", unit: "ms"},
}

// judge returns what the goal is about, the ratio or the figure itself, and whether that will do.
func (g goal) judge(f figures) (value float64, met bool) {
	value = median(f[g.weft])
	if against := g.reference(f); against > 0 {
		value /= against
	}
	return value, g.wanted == 0 || g.least && value >= g.wanted || !g.least && value <= g.wanted
}

// reference is what weft's figure is divided by; 0: nothing.
func (g goal) reference(f figures) float64 {
	if g.floor != "" {
		return median(f[g.floor])
	}
	return g.against
}

// writeTable prints the goals of which there are figures, as Markdown.
func writeTable(w io.Writer, f figures) error {
	lines := [][]string{{"goal", "measured", "weft", "floor", "ratio", "wanted", "met"}, nil}
	rounds := 0
	for _, g := range goals {
		if len(f[g.weft]) == 0 || g.floor != "" && len(f[g.floor]) == 0 {
			continue
		}
		rounds = max(rounds, len(f[g.weft]))
		lines = append(lines, g.cells(f))
	}
	lines[1] = slices.Repeat([]string{"---"}, len(lines[0]))
	widths := make([]int, len(lines[0]))
	for _, l := range lines {
		for i, c := range l {
			widths[i] = max(widths[i], len(c))
		}
	}
	if _, err := fmt.Fprintf(w, "%s. Medians of %d rounds; lowest and highest round in brackets.\n\n", machine(time.Now()), rounds); err != nil {
		return err
	}
	for n, l := range lines {
		var b strings.Builder
		for i, c := range l {
			fill := " "
			if n == 1 {
				fill = "-"
			}
			b.WriteString("| " + c + strings.Repeat(fill, widths[i]-len(c)) + " ")
		}
		if _, err := fmt.Fprintln(w, b.String()+"|"); err != nil {
			return err
		}
	}
	return nil
}

// cells is the goal's line.
func (g goal) cells(f figures) []string {
	value, met := g.judge(f)
	floor, ratio, wanted, verdict := "-", "-", "-", "-"
	switch {
	case g.floor != "":
		floor = spread(f[g.floor], g.unit)
	case g.against > 0:
		floor = fmt.Sprintf("%.4g %s", g.against, g.unit)
	}
	if g.reference(f) > 0 {
		ratio = fmt.Sprintf("%.2f", value)
	}
	if g.wanted > 0 {
		bound := "at most"
		if g.least {
			bound = "at least"
		}
		wanted = fmt.Sprintf("%s %g", bound, g.wanted)
		if g.reference(f) == 0 {
			wanted += " " + g.unit
		}
		verdict = "no"
		if met {
			verdict = "yes"
		}
	}
	letter := ""
	if g.letter != "" {
		letter = "(" + g.letter + ")"
	}
	return []string{letter, g.what, spread(f[g.weft], g.unit), floor, ratio, wanted, verdict}
}

// spread is the median with the lowest and highest.
func spread(values []float64, unit string) string {
	return fmt.Sprintf("%.4g %s (%.4g-%.4g)", median(values), unit, slices.Min(values), slices.Max(values))
}

// machine says when and where.
func machine(now time.Time) string {
	processor := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				processor = strings.TrimSpace(value)
				break
			}
		}
	}
	commit := "unknown commit"
	if out, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		commit = "commit " + strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("%s, %s, %d cores, %s/%s, %s, %s", now.UTC().Format("2006-01-02 15:04 UTC"), processor, runtime.NumCPU(),
		runtime.GOOS, runtime.GOARCH, runtime.Version(), commit)
}
