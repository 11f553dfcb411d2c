package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// benchNodes ends the names of the rows of the nodes' own part in the time of others.
const benchNodes = "-nodes"

// valueBytes is the size of one value in a share message of SecureSum.
const valueBytes = 24

// benchReport is what the command prints with --json.
type benchReport struct {
	Version string     `json:"version"`
	Go      string     `json:"go"`
	System  string     `json:"system"`
	Cores   int        `json:"cores"`
	Date    time.Time  `json:"date"`
	Rows    []benchRow `json:"rows"`
}

// benchRow is one line of the table. Times are in milliseconds.
type benchRow struct {
	Name        string  `json:"name"`
	Measured    string  `json:"measured"`
	Parties     int     `json:"parties"`
	Values      int     `json:"values"` // of each party
	AtOnce      int     `json:"at_once"`
	WarmUp      int     `json:"warm_up"` // repetitions before those that count
	Repetitions int     `json:"repetitions"`
	P50         float64 `json:"p50_ms"`
	P99         float64 `json:"p99_ms"`
	PerSecond   float64 `json:"per_second"`
	// MBPerSecond is what all parties together sent each other, at the median; only of vectors.
	MBPerSecond float64 `json:"mb_per_second,omitempty"`
	// Bytes are those that a party sent to the broker for one computation; 0: unknown.
	Bytes int64 `json:"bytes_per_party,omitempty"`

	remote bool
}

// rate fills in what follows from the other fields.
func (r *benchRow) rate() {
	through := "job stores"
	if r.remote {
		through = "HTTP, kept connections"
	}
	const whole = "jobs submitted to result at all parties"
	switch r.Name {
	case benchSum:
		r.Measured = whole + "; job stores"
	case benchHTTP:
		r.Measured = whole + "; HTTP, kept connections"
	case benchHTTPNew:
		r.Measured = whole + "; HTTP, a new connection per request"
	case benchAtOnce:
		r.Measured = fmt.Sprintf("%s; %d under way at any time; %s", whole, r.AtOnce, through)
	case benchHTTPAtOnce:
		r.Measured = fmt.Sprintf("%s; %d under way at any time; HTTP, kept connections, one request of each party", whole, r.AtOnce)
	case benchCalls:
		r.Measured = fmt.Sprintf("a small call of the representation API; %d callers; HTTP, kept connections", r.AtOnce)
	case benchVector, benchUnivariate, benchBivariate, benchLogistic, benchUnion, benchExtremes, benchMedian, benchQuantiles, benchHidden, benchLarge,
		benchProduct, benchProductLarge, benchOLS, benchColumnsOf,
		benchSets, benchSetSize, benchSetsLarge, benchSetsMany:
		r.Measured = whole + "; " + through
	case benchSetsFloor, benchManyFloor:
		r.Measured = "the group operations of all parties, on all cores of this machine, and nothing else"
	default: // the nodes' part
		r.Measured = "last job accepted to last party done, by the parties' clocks"
	}
	if strings.HasPrefix(r.Name, benchVector) {
		bytes := r.Bytes * int64(r.Parties)
		if bytes == 0 {
			bytes = int64(r.Parties*(r.Parties-1)) * int64(r.Values) * valueBytes
		}
		r.MBPerSecond = float64(bytes) / 1e6 / (r.P50 / 1e3)
	}
}

func newBenchReport(now time.Time) *benchReport {
	return &benchReport{
		Version: version(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH, Cores: runtime.GOMAXPROCS(0), Date: now.UTC().Truncate(time.Second),
	}
}

func (r *benchReport) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

func (r *benchReport) writeTable(w io.Writer) error {
	fmt.Fprintf(w, "weft %s, %s, %s, %d cores, %s; all times in milliseconds\n\n", r.Version, r.Go, r.System, r.Cores, r.Date.Format(time.RFC3339))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "row\tparties\tvalues\trepeated\tp50\tp99\tper second\tMB/s\tbytes sent\t  measured")
	for _, row := range r.Rows {
		rate, bytes := "-", "-"
		if row.MBPerSecond > 0 {
			rate = fmt.Sprintf("%.0f", row.MBPerSecond)
		}
		if row.Bytes > 0 {
			bytes = strconv.FormatInt(row.Bytes, 10)
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%.2f\t%.2f\t%.1f\t%s\t%s\t  %s\n",
			row.Name, row.Parties, row.Values, row.Repetitions, row.P50, row.P99, row.PerSecond, rate, bytes, row.Measured)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(w, "\nper second: computations, or calls; MB/s: what all parties sent each other; bytes sent: by a party to the broker, for one computation\n")
	return err
}

// profile begins profiles of a row, and the function that it returns writes them: name.cpu.pprof and so on. Without a
// folder it does nothing.
func profile(dir, name string) (stop func() error, err error) {
	if dir == "" {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("--profile: %w", err)
	}
	create := func(kind string) (*os.File, error) {
		f, err := os.Create(filepath.Join(dir, name+"."+kind+".pprof"))
		if err != nil {
			return nil, fmt.Errorf("--profile: %w", err)
		}
		return f, nil
	}
	cpu, err := create("cpu")
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, errors.Join(fmt.Errorf("--profile: %w", err), cpu.Close())
	}
	const (
		mutexFraction = 1      // every contention
		blockRate     = 10_000 // nanoseconds: waits from here on are all in, shorter ones in proportion
	)
	runtime.SetMutexProfileFraction(mutexFraction)
	runtime.SetBlockProfileRate(blockRate)
	return func() error {
		pprof.StopCPUProfile()
		runtime.SetMutexProfileFraction(0)
		runtime.SetBlockProfileRate(0)
		err := cpu.Close()
		for _, kind := range []string{"mutex", "block"} {
			f, e := create(kind)
			if e == nil {
				e = errors.Join(pprof.Lookup(kind).WriteTo(f, 0), f.Close())
			}
			err = errors.Join(err, e)
		}
		return err
	}, nil
}
