package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// A contest runs the floor and weft once each and notes figures.
type contest struct {
	letter      string // of the goal
	what        string
	floor, weft step
}

type step func(context.Context, *stage, figures) error

// vectorValues is the length of the vectors, 24 bytes each on the wire.
const (
	vectorValues = 1_000_000
	vectorMB     = vectorValues * 24 / 1e6
)

var contests = []contest{
	{"a", "sum of 3 parties in one process",
		floorRun("a.floor", "p50", "sum", 300, "-n", "3", "-overlap", "-pool"),
		weftRun("a.weft", "p50", "sum", 300, "--rows", "sum", "--parties", "3")},
	{"b", "sum of 3 processes over TLS",
		floorRun("b.floor", "p50", "procs-sum", 300, "-mode", "procs", "-n", "3"), separateSums},
	{"c", "sum of 3 parties through HTTP, a new connection for each request", nil,
		weftRun("c.go", "p50", "http-new", 300, "--rows", "http-new", "--parties", "3")},
	{"c", "sum of 3 parties by the official Python client", pythonExchanges, pythonSums},
	{"d", "vector of 1,000,000 values, 3 processes over TLS",
		floorRun("d.floor", "p50", "procs-raw", 5, "-mode", "procs", "-n", "3", "-elems", strconv.Itoa(vectorValues)), separateVectors},
	{"d", "vector of 1,000,000 values, one process",
		floorRun("d.one.floor", "p50", "rawbig", 5, "-mode", "rawbig", "-n", "3", "-elems", strconv.Itoa(vectorValues)),
		weftRun("d.one.weft", "p50", "vector", 150, "--rows", "vector", "--parties", "3", "--vector", strconv.Itoa(vectorValues))},
	{"e", "sum of 16 parties in one process",
		floorRun("e16.floor", "p50", "sum", 100, "-n", "16", "-overlap", "-pool"),
		weftRun("e16.weft", "p50", "sum", 100, "--rows", "sum", "--parties", "16")},
	{"e", "sum of 64 parties in one process",
		floorRun("e64.floor", "p50", "sum", 15, "-n", "64", "-overlap", "-pool"),
		weftRun("e64.weft", "p50", "sum", 15, "--rows", "sum", "--parties", "64")},
	{"s", "statistics of 3 parties in one process, and the sum", nil, statistics},
	{"s", "vector of 10,000 values, 20 parties in one process", nil,
		weftRun("s.wide", "p50", "vector", 150, "--rows", "vector", "--parties", "20", "--vector", "10000")},
	{"o", "order statistics and hidden counts of 3 parties in one process, and the sum", nil, orders},
	{"p", "common elements of sets in one process, and the arithmetic alone", nil, overlaps},
	{"m", "matrices of 2 parties, and columns of 5, in one process", nil, matrices},
	{"f", "64 sums of 3 parties at once, one process",
		floorRun("f.floor", "rate", "tput", 20, "-mode", "tput", "-n", "3", "-overlap", "-flight", "64"),
		weftRun("f.weft", "rate", "at-once", 20*64, "--rows", "at-once", "--parties", "3", "--at-once", "64")},
	{"g", "64 sums at once through three gateways (HTTP)",
		floorRun("g.floor", "all", "tput", 20, "-mode", "tput", "-n", "3", "-overlap", "-flight", "64"),
		weftRun("g.weft", "all", "http-at-once", 20*64, "--rows", "http-at-once", "--parties", "3", "--at-once", "64")},
	{"g", "small calls of the representation API", nil,
		weftRun("g.calls", "all", "calls", 200*64, "--rows", "calls", "--parties", "3", "--at-once", "64")},
}

// result is a row of either program.
type result struct {
	Name      string  `json:"name"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	PerSecond float64 `json:"per_second"`
}

// note notes a figure of the row: its median (p50), its rate, or the rate and beside it, as FIGURE.p50 and FIGURE.p99, how long
// each took (all).
func (r result) note(f figures, figure, of string) {
	switch of {
	case "p50":
		f.add(figure, r.P50)
		return
	case "all":
		f.add(figure+".p50", r.P50)
		f.add(figure+".p99", r.P99)
	}
	f.add(figure, r.PerSecond)
}

// floorRun notes a figure of one row of the floor.
func floorRun(figure, of, row string, count int, args ...string) step {
	return func(ctx context.Context, s *stage, f figures) error {
		out, err := s.output(ctx, s.floor, append(args, "-count", strconv.Itoa(s.count(count)))...)
		if err != nil {
			return err
		}
		for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
			var r result
			if err := d.Decode(&r); err != nil {
				return fmt.Errorf("the floor printed %q: %w", out, err)
			}
			if r.Name == row {
				r.note(f, figure, of)
				return nil
			}
		}
		return fmt.Errorf("the floor printed no row %s: %s", row, out)
	}
}

// weftRun notes a figure of one row of weft bench.
func weftRun(figure, of, row string, count int, args ...string) step {
	return func(ctx context.Context, s *stage, f figures) error {
		rows, err := s.bench(ctx, count, args...)
		if err != nil {
			return err
		}
		r, ok := rows[row]
		if !ok {
			return fmt.Errorf("weft bench printed no row %s", row)
		}
		r.note(f, figure, of)
		return nil
	}
}

// bench runs weft bench and returns its rows by name.
func (s *stage) bench(ctx context.Context, count int, args ...string) (map[string]result, error) {
	out, err := s.output(ctx, s.weft, append([]string{"bench", "--json", "--duration", "5m", "--count", strconv.Itoa(s.count(count))}, args...)...)
	if err != nil {
		return nil, err
	}
	var report struct {
		Rows []result `json:"rows"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return nil, fmt.Errorf("weft bench printed %q: %w", out, err)
	}
	rows := map[string]result{}
	for _, r := range report.Rows {
		rows[r.Name] = r
	}
	return rows, nil
}

// count is n, or a few where it only has to work.
func (s *stage) count(n int) int {
	if s.brief {
		return min(n, 2)
	}
	return n
}

// output runs a program to its end. Its words on standard error are shown only if it fails.
func (s *stage) output(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = s.dir
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, said.String())
	}
	return out, nil
}

// statistics measures the rows that are no sums, and a sum beside them.
func statistics(ctx context.Context, s *stage, f figures) error {
	return benchRows(ctx, s, f, "s", "sum", "univariate", "bivariate", "logistic", "categories")
}

// orders measures what comparisons of secrets take.
func orders(ctx context.Context, s *stage, f figures) error {
	return benchRows(ctx, s, f, "o", "sum", "extremes", "median", "quantiles", "hidden", "median-large")
}

// overlaps measures comparisons of sets.
func overlaps(ctx context.Context, s *stage, f figures) error {
	names, elements := []string{"sets", "sets-size", "sets-large", "sets-large-floor", "sets-many", "sets-many-floor"}, 1<<16
	if s.brief {
		elements = 1 << 8
	}
	rows, err := s.bench(ctx, 60, "--parties", "3", "--elements", strconv.Itoa(elements), "--rows", strings.Join(names, ","))
	return note(f, rows, err, "p", names)
}

// matrices measures products and regressions of columns.
func matrices(ctx context.Context, s *stage, f figures) error {
	return benchRowsOf(ctx, s, f, "2,5", "m", "product", "product-large", "ols", "columns")
}

// benchRows notes figures of rows of weft bench with three parties.
func benchRows(ctx context.Context, s *stage, f figures, letter string, names ...string) error {
	return benchRowsOf(ctx, s, f, "3", letter, names...)
}

// benchRowsOf is benchRows with numbers of parties.
func benchRowsOf(ctx context.Context, s *stage, f figures, parties, letter string, names ...string) error {
	rows, err := s.bench(ctx, 200, "--parties", parties, "--rows", strings.Join(names, ","))
	return note(f, rows, err, letter, names)
}

// note keeps the medians of the rows called names, unless err says that there are none.
func note(f figures, rows map[string]result, err error, letter string, names []string) error {
	if err != nil {
		return err
	}
	for _, name := range names {
		r, ok := rows[name]
		if !ok {
			return fmt.Errorf("weft bench printed no row %s", name)
		}
		f.add(letter+"."+name, r.P50)
	}
	return nil
}
