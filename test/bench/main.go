// Bench compares weft with the floor in test/floor, a program without product code that does the same cryptography, record
// writes and messages. It builds both, runs them in turn, and prints the medians, their ratio, and what is wanted of it.
//
// A machine may be twice as fast a minute later, so only what was measured in turn is worth comparing. contests.go says
// what is run, goals.go what is wanted of it.
//
//	go run ./test/bench                 everything, three rounds; about seven minutes on two cores
//	go run ./test/bench -only a,f       two of the goals
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// stage is where the programs lie and what they are run with.
type stage struct {
	dir         string // temporary
	weft, floor string // the programs
	python      string // an interpreter that has the official client
	brief       bool   // few repetitions, to see that everything works
	progress    io.Writer
}

func run(ctx context.Context, args []string, stdout, progress io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(progress)
	rounds := flags.Int("rounds", 3, "how often floor and weft take turns, 1 to 100")
	only := flags.String("only", "", "letters of the goals to measure, like a,f (default: all)")
	brief := flags.Bool("brief", false, "few repetitions, to see that everything works; the figures mean little")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *rounds < 1 || *rounds > 100 {
		return fmt.Errorf("-rounds %d: between 1 and 100 are possible", *rounds)
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	s := &stage{brief: *brief, progress: progress}
	if s.dir, err = os.MkdirTemp("", "weft-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	if err := s.build(ctx); err != nil {
		return err
	}
	f := figures{}
	for round := range *rounds {
		for _, c := range chosen {
			fmt.Fprintf(progress, "bench: round %d of %d, %s\n", round+1, *rounds, c.what)
			// The floor goes first in one round and last in the next, so that a drift of the machine favours neither.
			steps := []step{c.floor, c.weft}
			if round%2 == 1 {
				steps = []step{c.weft, c.floor}
			}
			for _, do := range steps {
				if do == nil {
					continue
				}
				if err := do(ctx, s, f); err != nil {
					if ctx.Err() != nil {
						return errors.New("interrupted")
					}
					return fmt.Errorf("%s: %w", c.what, err)
				}
			}
		}
	}
	return writeTable(stdout, f)
}

// choose picks the contests of some goals.
func choose(only string) ([]contest, error) {
	if only == "" {
		return contests, nil
	}
	var chosen []contest
	for _, letter := range strings.Split(only, ",") {
		before := len(chosen)
		for _, c := range contests {
			if c.letter == letter {
				chosen = append(chosen, c)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("-only %q: there are a, b, c, d, e, s, o, m, p, f and g", letter)
		}
	}
	return chosen, nil
}

// build makes both programs from this tree and finds the Python of the official client.
func (s *stage) build(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("go env GOMOD: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(out)))
	if _, err := os.Stat(filepath.Join(root, "test", "floor", "go.mod")); err != nil {
		return fmt.Errorf("run this inside weft's source tree: %w", err)
	}
	s.weft, s.floor = filepath.Join(s.dir, "weft"), filepath.Join(s.dir, "floor")
	for target, from := range map[string][2]string{s.weft: {root, "./cmd/weft"}, s.floor: {filepath.Join(root, "test", "floor"), "."}} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", target, from[1])
		cmd.Dir, cmd.Stderr = from[0], s.progress
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("building %s in %s: %w", from[1], from[0], err)
		}
	}
	if s.python = os.Getenv("WEFT_PYTHON"); s.python == "" {
		s.python = filepath.Join(root, ".venv", "bin", "python")
	}
	return nil
}
