package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/weftmpc/weft/coordinator"
)

// The kinds of rows, in the order of the table.
const (
	benchSum        = "sum"
	benchHTTP       = "http"
	benchHTTPNew    = "http-new"
	benchAtOnce     = "at-once"
	benchHTTPAtOnce = "http-at-once"
	benchCalls      = "calls"
	benchVector     = "vector"
	benchUnivariate = "univariate"
	benchBivariate  = "bivariate"
	benchLogistic   = "logistic"
	benchUnion      = "categories"
	benchExtremes   = "extremes"
	benchMedian     = "median"
	benchQuantiles  = "quantiles"
	benchHidden     = "hidden"
	benchLarge      = "median-large"
	benchSets       = "sets"
	benchSetSize    = "sets-size"
	benchSetsLarge  = "sets-large"
	benchSetsFloor  = "sets-large-floor"
	benchSetsMany   = "sets-many"
	benchManyFloor  = "sets-many-floor"
)

var benchKinds = []string{benchSum, benchHTTP, benchHTTPNew, benchAtOnce, benchHTTPAtOnce, benchCalls, benchVector, benchUnivariate, benchBivariate, benchLogistic, benchUnion,
	benchExtremes, benchMedian, benchQuantiles, benchHidden, benchLarge,
	benchProduct, benchProductLarge, benchOLS, benchColumnsOf,
	benchSets, benchSetSize, benchSetsLarge, benchSetsFloor, benchSetsMany, benchManyFloor}

const (
	benchLongest   = time.Hour // for one row
	benchMostSums  = 50_000    // of one row: a store keeps at most 100,000 job records
	benchMostAtOne = 512       // at once: a store takes 1,000 unfinished jobs of one caller
	benchColumns   = 1 << 20   // values of a vector, as SecureSum allows

	benchDeadline = 2 * time.Minute // for one sum: who waits longer has found a fault, not a figure
)

type benchFlags struct {
	gateways []string
	tokens   []string // of the gateways, in their order
	rows     []string
	parties  []int
	count    int
	atOnce   int
	vector   int
	elements int
	duration time.Duration
	pause    time.Duration
	profile  string
	json     bool
}

func (p *program) benchCommand() *cobra.Command {
	var f benchFlags
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure how fast sums are, here or at running gateways",
		Long: `Starts a fabric like that of "weft demo" in this process, with temporary state and free ports, computes sums, checks each
result, and prints a table. A row:

  sum       one sum after the other, from the submission of a job at every party until every party has the result,
            through the job stores, without HTTP; a row for each number of --parties
  http      the same through the gateways, each party's POST and GET over connections that are kept
  http-new  the same with a new connection for each request
  at-once   --at-once sums under way at any time, through the job stores
  http-at-once  the same through the gateways, over connections that are kept: each party's POST waits for its job and brings
            the result
  calls     small calls of the representation API by --at-once callers, by turns at the gateways: each stores a number, finds
            Simon and its compute, reads the number back and releases it; a repetition is one of these five calls
  vector    a sum of lists of --vector values, through the job stores
  univariate, bivariate
            all statistics of 100 numbers, or pairs, of each party
  logistic  a logistic regression of 427 rows with 10 columns of each party
  categories  a frequency table of 1,000 categories that nobody has listed
  extremes, median, quantiles
            minimum and maximum, the median, or seven quantiles, of 100 numbers of each party
  hidden    a frequency table of 100 categories whose counts below 5 are hidden
  median-large  the median of 1,000,000 numbers of each party
  product, product-large
            the product of two parties' matrices, 10 x 10 x 10 and 100 x 1,000 x 100, where 2 is among --parties
  ols       least squares of 200 rows of 5 columns at one party and y at another, where 2 is among --parties
  columns   a regression of 10,000 rows of 4 columns of each of five parties, where 5 is among --parties
  sets, sets-size  the common elements, or their number, of two parties with 100 elements each
  sets-large  the same of two parties with --elements each; and sets-large-floor, the arithmetic of both parties alone
  sets-many   the common elements of three parties with a quarter of --elements each; and sets-many-floor, likewise

All rows but the first kind, those of matrices and those of two parties have three, or the first number of --parties if 3 is not
among them. A row ends after --count repetitions (at-once: ten for each sum under way at least; calls: a hundred
for each caller at least; vector, sets-large, sets-many: a thirtieth; from logistic to columns: a tenth) or after --duration,
whichever comes first. The first tenth on top, at least two, warms up and does not count. All parties share this machine's cores.

With --gateway, once for each party, a running fabric is measured instead, from here: all rows go over HTTP, and the jobs
are deleted afterwards. The rows that end in -nodes are the nodes' part of the time: from the moment when the last party has
its job until the last party is done, by the parties' clocks, without the way between client and gateways.

With --profile, cpu, mutex and block profiles of each row are written for "go tool pprof"; those of mutex and block go on
from row to row, so measure with one row, or show the difference with -base. Profiling slows down.`,
		Example: `  weft bench
  weft bench --rows sum --parties 3,16,64
  weft bench --rows sum --parties 3 --profile profiles
  weft bench --gateway http://127.0.0.1:55501 --gateway http://127.0.0.1:55502 --gateway http://127.0.0.1:55503`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(f.gateways) > 0 && c.Flags().Changed("parties") {
				return usageError("--parties and --gateway exclude each other: with --gateway, each address is a party")
			}
			if err := f.check(); err != nil {
				return err
			}
			return p.bench(c.Context(), f)
		},
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringSliceVar(&f.rows, "rows", benchKinds, "the rows to measure")
	fl.IntSliceVar(&f.parties, "parties", []int{2, 3, 5, 16}, "numbers of parties, each from 2 to 128")
	fl.IntVar(&f.count, "count", 300, "repetitions of a row, at most 50000")
	fl.IntVar(&f.atOnce, "at-once", 64, "sums under way, or callers, at any time in the rows at-once, http-at-once and calls, at most 512")
	fl.IntVar(&f.vector, "vector", 1_000_000, "values of a vector, at most 1048576")
	fl.IntVar(&f.elements, "elements", 1<<12, "elements of each party's set in the row sets-large, from 16 to 1048576")
	fl.DurationVar(&f.duration, "duration", 10*time.Second, "when a row ends even without --count repetitions, at most 1h")
	fl.DurationVar(&f.pause, "pause", time.Millisecond, "rest between two sums that follow each other, which does not count; at most 1m")
	fl.StringVar(&f.profile, "profile", "", "write profiles of each row into this folder")
	fl.StringArrayVar(&f.gateways, "gateway", nil, "measure a running fabric: the address of one party's gateway; once for each party")
	fl.StringArrayVar(&f.tokens, "token", nil, "@FILE with an access token, or the token itself: once for each --gateway, in their order, or once for all (default: "+tokenVariable+")")
	p.caFlag(c)
	fl.BoolVar(&f.json, "json", false, "print JSON")
	return c
}

// check refuses flags that cannot work.
func (f benchFlags) check() error {
	for _, row := range f.rows {
		if !slices.Contains(benchKinds, row) {
			err := usageError("--rows: %q is no row; there are %s", row, strings.Join(benchKinds, ", "))
			if near := nearest(row, benchKinds); near != "" {
				return withHint(err, "did you mean %q?", near)
			}
			return err
		}
	}
	switch {
	case len(f.rows) == 0:
		return usageError("--rows is empty; there are %s", strings.Join(benchKinds, ", "))
	case len(f.gateways) == 0 && len(f.parties) == 0:
		return usageError("--parties is empty: give numbers like 2,3,5,16")
	case f.count < 1 || f.count > benchMostSums:
		return usageError("--count %d: between 1 and %d are possible", f.count, benchMostSums)
	case f.atOnce < 1 || f.atOnce > benchMostAtOne:
		return usageError("--at-once %d: between 1 and %d are possible", f.atOnce, benchMostAtOne)
	case f.vector < 1 || f.vector > benchColumns:
		return usageError("--vector %d: between 1 and %d values are possible", f.vector, benchColumns)
	case f.elements < benchLeastSet || f.elements > benchMostSet:
		return usageError("--elements %d: between %d and %d are possible", f.elements, benchLeastSet, benchMostSet)
	case f.duration <= 0 || f.duration > benchLongest:
		return usageError("--duration %s: between 1ms and 1h are possible", f.duration)
	case f.pause < 0 || f.pause > time.Minute:
		return usageError("--pause %s: between 0 and 1m are possible", f.pause)
	case len(f.gateways) == 1:
		return usageError("--gateway is given once: name the gateway of each party, two at least")
	case len(f.tokens) > 1 && len(f.tokens) != len(f.gateways):
		return usageError("--token is given %d times and --gateway %d times: give one token for each gateway, or one for all", len(f.tokens), len(f.gateways))
	case len(f.gateways) > 0 && f.profile != "":
		return usageError("--profile is for a fabric in this process: with --gateway the work is done elsewhere")
	}
	if err := f.checkMatrices(); err != nil {
		return err
	}
	for _, n := range f.parties {
		if n < coordinator.MinParties || n > coordinator.MaxParties {
			return usageError("--parties %d: between %d and %d are possible", n, coordinator.MinParties, coordinator.MaxParties)
		}
	}
	return nil
}

func (f benchFlags) wants(kind string) bool { return slices.Contains(f.rows, kind) }

// usual is the number of parties of all rows but those of the kind sum.
func (f benchFlags) usual() int {
	if slices.Contains(f.parties, 3) {
		return 3
	}
	return f.parties[0]
}

// benchCase is what one row measures.
type benchCase struct {
	kind   string
	work   work
	count  int // repetitions that count, unless time ends first
	atOnce int
	ask    asker // of one computation at one party

	calls *benchCallers // in place of computations; nil: none
	pure  func()        // the same: work of this process alone
}

// cases are the rows for a fabric of n parties.
func (f benchFlags) cases(b *benchFabric) []benchCase {
	var all []benchCase
	add := func(kind string, ask asker, w work, count, atOnce int) {
		if f.wants(kind) {
			all = append(all, benchCase{kind: kind, work: w, count: count, atOnce: atOnce, ask: ask})
		}
	}
	usual := b.remote || len(b.names) == f.usual()
	core := b.store()
	if b.remote {
		core = b.kept
	} else if slices.Contains(f.parties, len(b.names)) {
		add(benchSum, core, sumWork(0), f.count, 1)
	}
	if usual {
		add(benchHTTP, b.kept, sumWork(0), f.count, 1)
		add(benchHTTPNew, b.fresh, sumWork(0), f.count, 1)
		many := min(max(f.count, 10*f.atOnce), benchMostSums)
		add(benchAtOnce, core, sumWork(0), many, f.atOnce)
		if !b.remote { // there at-once goes through the gateways
			add(benchHTTPAtOnce, waitingAsker{b.kept, &sync.Map{}}, sumWork(0), many, f.atOnce)
		}
		if f.wants(benchCalls) {
			all = append(all, benchCase{kind: benchCalls, count: max(f.count, 100*f.atOnce), atOnce: f.atOnce, calls: newBenchCallers(b.kept, f.atOnce)})
		}
		add(benchVector, core, sumWork(f.vector), (f.count+29)/30, 1)
		for _, kind := range []string{benchUnivariate, benchBivariate} {
			add(kind, core, statisticWork(kind), f.count, 1)
		}
		for _, kind := range []string{benchLogistic, benchUnion, benchExtremes, benchMedian, benchQuantiles, benchHidden, benchLarge} {
			if f.wants(kind) {
				add(kind, core, statisticWork(kind), (f.count+9)/10, 1)
			}
		}
	}
	all = append(all, f.matrixCases(b, core)...)
	return append(all, f.setCases(b, core, usual)...)
}

// bench is the whole life of the command.
func (p *program) bench(ctx context.Context, f benchFlags) error {
	r := newBenchReport(p.now())
	var err error
	if len(f.gateways) > 0 {
		err = p.benchGateways(ctx, f, r)
	} else {
		err = p.benchHere(ctx, f, r)
	}
	if len(r.Rows) > 0 { // an interrupted one has some, too
		place := func(r benchRow) int { return slices.Index(benchKinds, strings.TrimSuffix(r.Name, benchNodes)) }
		slices.SortStableFunc(r.Rows, func(a, b benchRow) int { return place(a) - place(b) })
		if f.json {
			err = errors.Join(err, r.writeJSON(p.stdout))
		} else {
			err = errors.Join(err, r.writeTable(p.stdout))
		}
	}
	return err
}

// benchGateways measures a running fabric.
func (p *program) benchGateways(ctx context.Context, f benchFlags, r *benchReport) error {
	var clients []*client
	for i, address := range f.gateways {
		if len(f.tokens) > 0 {
			p.token = f.tokens[min(i, len(f.tokens)-1)]
		}
		c, err := p.dial(address)
		if err != nil {
			return err
		}
		clients = append(clients, c)
	}
	b, err := remoteFabric(ctx, clients)
	if err != nil {
		return err
	}
	return p.benchRows(ctx, f, b, r)
}

// benchHere measures fabrics in this process, one for each number of parties.
func (p *program) benchHere(ctx context.Context, f benchFlags, r *benchReport) error {
	logger := slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	var measured []int
	for _, n := range f.fabrics() {
		needed := f.wants(benchSum) || n == f.usual() || f.wantsMatrices(n) || n == 2 && f.wantsPairs()
		if slices.Contains(measured, n) || !needed {
			continue
		}
		measured = append(measured, n)
		if err := p.benchParties(ctx, f, n, logger, r); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) benchParties(ctx context.Context, f benchFlags, n int, logger *slog.Logger, r *benchReport) (err error) {
	fmt.Fprintf(p.stderr, "weft bench: starting %d parties\n", n)
	d, err := startDemo(context.WithoutCancel(ctx), demoFlags{parties: n, deadline: benchDeadline, maxParties: n}, logger)
	defer func() { err = errors.Join(err, d.close()) }()
	if err != nil {
		return err
	}
	b, err := p.localFabric(d)
	if err != nil {
		return err
	}
	return p.benchRows(ctx, f, b, r)
}

// benchRows measures all rows of one fabric.
func (p *program) benchRows(ctx context.Context, f benchFlags, b *benchFabric, r *benchReport) error {
	for _, c := range f.cases(b) {
		fmt.Fprintf(p.stderr, "weft bench: %s, %d parties\n", c.kind, len(b.names))
		rows, err := b.measure(ctx, f, c, len(r.Rows)+1)
		if err != nil {
			return fmt.Errorf("%s with %d parties: %w", c.kind, len(b.names), err)
		}
		r.Rows = append(r.Rows, rows...)
	}
	return nil
}
