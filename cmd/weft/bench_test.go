package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// benchProgram is a program that measures real fabrics, in a folder of its own for temporary files.
func benchProgram(t *testing.T) (p *program, stdout, stderr *screen, signals chan os.Signal) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	stdout, stderr, signals = newScreen(t), newScreen(t), make(chan os.Signal, 1)
	return &program{
		stdin: strings.NewReader(""), stdout: stdout, stderr: stderr, signals: signals,
		getenv: func(string) string { return "" }, environ: func() []string { return nil }, now: time.Now, pause: pause,
	}, stdout, stderr, signals
}

// noTrace wants no temporary folder left.
func noTrace(t *testing.T) {
	t.Helper()
	if left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// rowsOf are the rows as "name parties values repetitions", in order, checked for what every row must have.
func rowsOf(t *testing.T, report string) []string {
	t.Helper()
	var r benchReport
	d := json.NewDecoder(strings.NewReader(report))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatalf("%v in %s", err, report)
	}
	if r.Version == "" || r.Cores < 1 || r.Go == "" || r.System == "" || r.Date.IsZero() {
		t.Errorf("the report does not say where it was made: %+v", r)
	}
	var rows []string
	for _, row := range r.Rows {
		rows = append(rows, fmt.Sprint(row.Name, " ", row.Parties, " ", row.Values, " ", row.Repetitions))
		if row.P50 <= 0 || row.P99 < row.P50 || row.PerSecond <= 0 || row.Measured == "" || row.WarmUp < 2 {
			t.Errorf("incomplete: %+v", row)
		}
		vector := strings.HasPrefix(row.Name, benchVector)
		if vector != (row.MBPerSecond > 0) {
			t.Errorf("MB/s is for vectors: %+v", row)
		}
	}
	return rows
}

func TestBenchHasAllRows(t *testing.T) {
	p, stdout, stderr, _ := benchProgram(t)
	args := []string{"bench", "--parties", "2,3", "--count", "2", "--at-once", "4", "--vector", "1000", "--pause", "0", "--duration", "1h", "--elements", "80", "--json"}
	if code := p.execute(t.Context(), args); code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	want := []string{"sum 2 1 2", "sum 3 1 2", "http 3 1 2", "http-new 3 1 2", "at-once 3 1 40", "http-at-once 3 1 40", "calls 3 1 400", "vector 3 1000 1",
		"univariate 3 100 2", "bivariate 3 100 2", "logistic 3 427 1", "categories 3 1000 1",
		"extremes 3 100 1", "median 3 100 1", "quantiles 3 100 1", "hidden 3 1000 1", "median-large 3 1000000 1",
		"product 2 100 1", "product-large 2 100000 1", "ols 2 1000 1",
		"sets 2 100 2", "sets-size 2 100 2", "sets-large 2 80 1", "sets-large-floor 2 80 1", "sets-many 3 20 1", "sets-many-floor 3 20 1"}
	if got := rowsOf(t, stdout.String()); !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
	var r benchReport
	if err := json.Unmarshal([]byte(stdout.String()), &r); err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		if strings.Contains(row.Measured, "by the parties' clocks") {
			t.Errorf("%s says that it measures %s", row.Name, row.Measured)
		}
		if row.Values > 1 && row.Name != benchVector || row.Name == benchCalls {
			continue // a gateway's own work, or what statistics send is for their own tests
		}
		least := int64((row.Parties - 1) * row.Values * valueBytes)
		if row.Bytes < least || row.Bytes > least+64<<10 { // as much again as every message's frame, several times
			t.Errorf("%s with %d parties: %d bytes sent, at least %d are needed", row.Name, row.Parties, row.Bytes, least)
		}
	}
	for _, progress := range []string{"starting 2 parties", "starting 3 parties", "sum, 2 parties", "vector, 3 parties"} {
		if !strings.Contains(stderr.String(), progress) {
			t.Errorf("standard error lacks %q: %s", progress, stderr)
		}
	}
	noTrace(t)
}

func TestBenchTableAndProfiles(t *testing.T) {
	p, stdout, stderr, _ := benchProgram(t)
	dir := filepath.Join(t.TempDir(), "profiles")
	if code := p.execute(t.Context(), []string{"bench", "--rows", "http,at-once", "--parties", "2", "--count", "2", "--at-once", "2", "--profile", dir}); code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	lines := strings.Split(stdout.String(), "\n")
	if len(lines) != 8 {
		t.Fatalf("%d lines:\n%s", len(lines), stdout)
	}
	for i, want := range map[int]string{2: "row", 3: "http", 4: "at-once"} {
		if f := strings.Fields(lines[i]); len(f) < 10 || f[0] != want {
			t.Errorf("line %d is %q, want one of %s", i, lines[i], want)
		}
	}
	if !strings.HasSuffix(lines[4], "2 under way at any time; job stores") {
		t.Errorf("the row does not say what was measured: %q", lines[4])
	}
	for _, row := range []string{"01-http-2", "02-at-once-2"} {
		for _, kind := range []string{"cpu", "mutex", "block"} {
			b, err := os.ReadFile(filepath.Join(dir, row+"."+kind+".pprof"))
			if err != nil || !bytes.HasPrefix(b, []byte{0x1f, 0x8b}) { // compressed, as pprof reads it
				t.Errorf("%s of %s: %d bytes, %v", kind, row, len(b), err)
			}
		}
	}
	noTrace(t)
}

func TestBenchOfRunningGatewaysLeavesNoJobs(t *testing.T) {
	p, stdout, stderr, _ := benchProgram(t)
	d, err := startDemo(t.Context(), demoFlags{parties: 3, deadline: time.Minute}, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"bench", "--count", "2", "--at-once", "4", "--vector", "1000", "--elements", "80", "--json"}
	for _, u := range d.urls {
		args = append(args, "--gateway", u)
	}
	if code := p.execute(t.Context(), args); code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	want := []string{"http 3 1 2", "http-nodes 3 1 2", "http-new 3 1 2", "http-new-nodes 3 1 2", "at-once 3 1 40", "calls 3 1 400", "vector 3 1000 1", "vector-nodes 3 1000 1", "univariate 3 100 2", "univariate-nodes 3 100 2",
		"bivariate 3 100 2", "bivariate-nodes 3 100 2", "logistic 3 427 1", "logistic-nodes 3 427 1", "categories 3 1000 1", "categories-nodes 3 1000 1",
		"extremes 3 100 1", "extremes-nodes 3 100 1", "median 3 100 1", "median-nodes 3 100 1", "quantiles 3 100 1", "quantiles-nodes 3 100 1",
		"hidden 3 1000 1", "hidden-nodes 3 1000 1", "median-large 3 1000000 1", "median-large-nodes 3 1000000 1",
		"sets-many 3 20 1", "sets-many-nodes 3 20 1"}
	if got := rowsOf(t, stdout.String()); !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
	for _, u := range d.urls {
		b, err := demoCall(t.Context(), http.MethodGet, u+"/v1/jobs", nil)
		if err != nil || !bytes.Contains(b, []byte(`"jobs":[]`)) {
			t.Errorf("%s still has jobs: %.200s %v", u, b, err)
		}
	}
	if code := p.execute(t.Context(), []string{"bench", "--gateway", d.urls[0], "--gateway", d.urls[0]}); code != exitUsage {
		t.Errorf("one gateway named twice: exit code %d", code)
	}
}

func TestBenchInterrupted(t *testing.T) {
	p, stdout, stderr, signals := benchProgram(t)
	code := make(chan int, 1)
	go func() {
		code <- p.execute(t.Context(), []string{"bench", "--rows", "sum", "--parties", "2,3", "--duration", "1s", "--count", "1"})
	}()
	stderr.shows("starting 3 parties")
	signals <- os.Interrupt
	select {
	case c := <-code:
		if c != exitInterrupted {
			t.Errorf("exit code %d: %s", c, stderr)
		}
	case <-time.After(time.Minute):
		t.Fatalf("it goes on: %s", stderr)
	}
	if shown := strings.Join(strings.Fields(stdout.String()), " "); !strings.Contains(shown, " measured sum 2 1 ") || strings.Contains(shown, " sum 3 ") {
		t.Errorf("the row that was measured is not shown:\n%s", stdout)
	}
	noTrace(t)
}

func TestBenchFlags(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"--rows sums", `did you mean "sum"?`},
		{"--rows=", "--rows is empty"},
		{"--parties 1", "--parties 1: between 2 and 128"},
		{"--parties=", "--parties"},
		{"--parties 129", "--parties 129"},
		{"--count 0", "--count 0"},
		{"--at-once 513", "--at-once 513"},
		{"--vector 2097153", "--vector 2097153"},
		{"--duration 0s", "--duration 0s"},
		{"--pause -1s", "--pause -1s"},
		{"--gateway http://127.0.0.1:1", "--gateway is given once"},
		{"--gateway http://127.0.0.1:1 --gateway http://127.0.0.1:2 --parties 3", "exclude each other"},
		{"--gateway http://127.0.0.1:1 --gateway http://127.0.0.1:2 --profile x", "--profile is for a fabric in this process"},
		{"three", "three"},
	} {
		p, stdout, stderr, _ := benchProgram(t)
		if code := p.execute(t.Context(), append([]string{"bench"}, strings.Fields(c.args)...)); code != exitUsage {
			t.Errorf("%s: exit code %d", c.args, code)
		}
		if !strings.Contains(stderr.String(), c.says) || stdout.String() != "" {
			t.Errorf("%s: standard error lacks %q: %s", c.args, c.says, stderr)
		}
	}
}

func TestBenchChecksResults(t *testing.T) {
	number, list := []byte(`{"samples":2,"sum":3}`), []byte(`{"samples":2,"sum":[3,5,7]}`)
	for _, c := range []struct {
		what    string
		results [][]byte
		values  int
		ok      bool
	}{
		{"number", [][]byte{number, number}, 0, true},
		{"list", [][]byte{list, list}, 3, true},
		{"different ones", [][]byte{number, []byte(`{"samples":2,"sum":4}`)}, 0, false},
		{"wrong sum", [][]byte{[]byte(`{"samples":2,"sum":4}`), []byte(`{"samples":2,"sum":4}`)}, 0, false},
		{"wrong samples", [][]byte{[]byte(`{"samples":3,"sum":3}`), []byte(`{"samples":3,"sum":3}`)}, 0, false},
		{"list too short", [][]byte{list, list}, 4, false},
		{"wrong element", [][]byte{[]byte(`{"samples":2,"sum":[3,5,8]}`), []byte(`{"samples":2,"sum":[3,5,8]}`)}, 3, false},
		{"no JSON", [][]byte{[]byte(`3`), []byte(`3`)}, 0, false},
	} {
		if err := checkBench(c.results, c.values); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestMorePartiesThanTheDemoHasNames(t *testing.T) {
	names := partyNames(64)
	slices.Sort(names)
	if len(slices.Compact(names)) != 64 || demoNames[0] != "alice" || demoNames[15] != "paul" {
		t.Errorf("names %v of %v", names, demoNames)
	}
}
