package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
)

type runFlags struct {
	gateway    string
	parties    []string
	uuid       string
	data       string
	file       string
	parameters string
	deadline   time.Duration
	format     output
	detach     bool
	plot       string
}

func (p *program) runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run MICROPROTOCOL --parties NAMES --data DATA",
		Short: "Compute with the other parties and print the result",
		Long: `Submits this party's data to its own gateway, waits for the other parties, and prints what all of them learn.
The data themselves stay at this party. Every party runs the same command with the same parties in the same order and the
same uuid, and with its own gateway and data. The first one leaves --uuid out and passes on the one that it is told.

DATA is a number, a list in JSON, @FILE for a CSV or JSON file, or - for standard input. A CSV file holds numbers or text
separated by commas; a first line without numbers is taken for a header. One column becomes a list, several columns become
a list of rows. The first cell of a column decides whether all of them are numbers or all are text.

A file in the folder that the node's configuration names (gateway.files) may have any size: the node reads it itself. With a
gateway on this machine --data @FILE finds out; with another one, --file NAME names a file by its path in that folder.

--plot draws the result, for publication and for a look: curves of KaplanMeier with the numbers at risk, a Histogram,
StatisticsByGroup, StatisticsFrequency, a CorrelationMatrix, the coefficients of a LinearRegression, LogisticRegression or
PoissonRegression. PNG and PDF files show Latin, Greek and Cyrillic letters, SVG files all that the reader's machine has.

The job lives in the gateway: Ctrl-C, a closed terminal or a restarted gateway does not end it ("weft job ls").
` + exitCodes,
		Example: `  weft run SecureSum --gateway http://127.0.0.1:55501 --parties alice,bob,carol --data @ages.csv
  weft run KaplanMeier --parties alice,bob,carol --data @follow-up.csv --plot survival.svg`,
		Args:        oneArgument("MICROPROTOCOL", "`weft microprotocols` lists what can be computed"),
		Annotations: map[string]string{ownSignals: "yes"},
		RunE: func(c *cobra.Command, args []string) error {
			return p.compute(c.Context(), args[0], f)
		},
	}
	fl := c.Flags()
	fl.SortFlags = false
	p.gatewayFlag(c, &f.gateway)
	fl.StringSliceVar(&f.parties, "parties", nil, "names of all parties, this one included, in the order that all have agreed on")
	fl.StringVar(&f.uuid, "uuid", "", "UUID of the computation, the same at all parties (default: a new one, which is printed)")
	fl.StringVar(&f.data, "data", "", "a number, JSON, @FILE.csv, @FILE.json, or - for standard input")
	fl.StringVar(&f.file, "file", "", "in place of --data: name of a file in the node's own folder (gateway.files in its configuration)")
	fl.StringVar(&f.parameters, "parameters", "", "parameters of the microprotocol as a JSON object, or @FILE with one, the same at all parties")
	fl.DurationVar(&f.deadline, "deadline", 0, "how long to wait for the other parties, like 5m, at most 1h (default: as the gateway decides)")
	outputFlag(c, &f.format, "print the result as one line of JSON")
	fl.StringVar(&f.plot, "plot", "", plotHelp)
	fl.BoolVar(&f.detach, "detach", false, "do not wait: print the job's id and leave")
	return c
}

// oneArgument wants exactly one argument.
func oneArgument(name, hint string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return withHint(usageError("%s is missing", name), "%s", hint)
		case 1:
			return nil
		}
		return usageError("one %s is possible, and %q is one too many", name, args[1])
	}
}

// compute submits one job and, unless detached, stays until its end.
func (p *program) compute(ctx context.Context, microprotocol string, f runFlags) error {
	c, err := p.dial(f.gateway)
	if err != nil {
		return err
	}
	s, err := f.submission(microprotocol)
	if err != nil {
		return err
	}
	plot, err := f.plotFile(microprotocol)
	if err != nil {
		return err
	}
	early, stop := p.interruptible(ctx, nil)
	shown := &progress{w: p.stderr, width: p.width}
	j, err := p.submit(early, c, s, f.data, shown)
	stop()
	if err != nil {
		return err
	}
	if f.uuid == "" {
		shown.say("weft: job %s is accepted; every other party now runs this, with its own gateway and data:\n  %s", j.ID, invitation(s))
	}
	if f.detach {
		switch f.format {
		case outputJSON:
			return printRaw(p.stdout, j.raw)
		case outputCSV:
			return jobsCSV(p.stdout, []job{j})
		}
		shown.say("weft: to look at the job: %s", look(c, j))
		_, err := fmt.Fprintln(p.stdout, j.ID)
		return err
	}
	j, err = p.follow(ctx, c, j, shown)
	shown.clear()
	if err != nil {
		return err
	}
	last, stop := p.interruptible(ctx, nil)
	defer stop()
	return p.conclude(last, c, j, f.format, plot)
}

// submission checks the form of the flags; what they mean is for the gateway to judge.
func (f runFlags) submission(microprotocol string) (submission, error) {
	s := submission{Microprotocol: microprotocol, UUID: f.uuid}
	if len(f.parties) == 0 {
		return s, withHint(usageError("--parties is missing"), "name all parties, this one included, like --parties alice,bob,carol")
	}
	for _, name := range f.parties {
		name = strings.TrimSpace(name)
		if name == "" {
			return s, usageError("--parties has an empty name")
		}
		for _, other := range s.Parties {
			if other == name {
				return s, usageError("--parties names %s twice", name)
			}
		}
		s.Parties = append(s.Parties, name)
	}
	if f.uuid == "" {
		id, err := uuid.NewRandom()
		if err != nil {
			return s, fmt.Errorf("making a uuid: %w", err)
		}
		s.UUID = id.String()
	} else if err := checkUUID("--uuid", f.uuid); err != nil {
		return s, withHint(err, "leave --uuid out at the first party, and give the others the one that it is told")
	}
	switch {
	case f.data == "" && f.file == "":
		return s, withHint(usageError("--data is missing"), "give a number, JSON text, @FILE, or - for standard input")
	case f.data != "" && f.file != "":
		return s, withHint(usageError("--data and --file are both there"), "give --file for a file in the node's own folder, --data for all else")
	}
	s.File = f.file
	if f.parameters != "" {
		text, err := []byte(f.parameters), error(nil)
		if name, isFile := strings.CutPrefix(f.parameters, "@"); isFile {
			if text, err = os.ReadFile(name); err != nil {
				return s, fmt.Errorf("opening the parameters: %w", err)
			}
		}
		value, err := parseJSON("--parameters", text)
		if err == nil && value[0] != '{' {
			err = errors.New("--parameters is no JSON object")
		}
		if err != nil {
			return s, withHint(&usage{err}, `write it like --parameters '{"round_ms":5000}'`)
		}
		s.Parameters = value
	}
	switch {
	case f.deadline < 0:
		return s, usageError("--deadline %s: a positive duration is needed, like 5m", f.deadline)
	case f.deadline > 0:
		s.Deadline = f.deadline.String()
	}
	return s, nil
}

// checkUUID wants the usual form with four hyphens.
func checkUUID(what, s string) error {
	const length = 36
	if _, err := uuid.Parse(s); err != nil || len(s) != length {
		return usageError("%s %q is no UUID", what, s)
	}
	return nil
}

// submit sends the job with its data, or with the name of a file that the node reads.
func (p *program) submit(ctx context.Context, c *client, s submission, data string, shown *progress) (job, error) {
	if s.File != "" {
		return c.hand(ctx, s)
	}
	if s.File = c.nodeFile(ctx, data); s.File != "" {
		j, err := c.hand(ctx, s)
		if !elsewhere(err) {
			if err == nil {
				shown.say("weft: the node has read %s itself", oneLine(strings.TrimPrefix(data, "@")))
			}
			return j, err
		}
		s.File = ""
	}
	if ctx.Err() != nil {
		return job{}, context.Cause(ctx)
	}
	type reading struct {
		value json.RawMessage
		err   error
	}
	read := make(chan reading, 1)
	go func() { // standard input may never end
		value, err := readData(data, p.stdin)
		read <- reading{value, err}
	}()
	select {
	case <-ctx.Done():
		return job{}, context.Cause(ctx)
	case r := <-read:
		if r.err != nil {
			return job{}, r.err
		}
		s.Data = r.value
	}
	return c.hand(ctx, s)
}

// hand gives the job to the gateway. Where it is not known whether the gateway has it the error tells how to look.
func (c *client) hand(ctx context.Context, s submission) (job, error) {
	key, err := uuid.NewRandom()
	if err != nil {
		return job{}, fmt.Errorf("making a key: %w", err)
	}
	s.key = key.String()
	j, err := c.submit(ctx, s)
	if lost(ctx, err) { // under the same key it is the same job
		j, err = c.submit(ctx, s)
	}
	var gone *unreachableError
	switch {
	case errors.Is(err, errInterrupted):
		return j, withHint(err, "the gateway may have accepted the job already: weft job ls --gateway %s", c.base)
	case errors.Is(err, context.DeadlineExceeded) && errors.As(err, &gone):
		return j, withHint(gone, "the gateway may have accepted the job: look with weft job ls --gateway %s before you submit it again", c.base)
	}
	return j, err
}

// lost says whether a gateway that was reached has not answered.
func lost(ctx context.Context, err error) bool {
	var gone *unreachableError
	var dialled *net.OpError
	return errors.As(err, &gone) && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) && !(errors.As(err, &dialled) && dialled.Op == "dial")
}

// invitation is the command line that the other parties need.
func invitation(s submission) string {
	words := []string{"weft", "run", s.Microprotocol, "--parties", strings.Join(s.Parties, ","), "--uuid", s.UUID}
	if s.Parameters != nil {
		words = append(words, "--parameters", string(s.Parameters))
	}
	for i, w := range words {
		words[i] = quoted(w)
	}
	return strings.Join(words, " ") + " --gateway URL --data DATA"
}

// quoted is a word as a POSIX shell wants it.
func quoted(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,:/@%+="
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(oneLine(word), "'", `'\''`) + "'"
}

// look is how to find the job again.
func look(c *client, j job) string {
	return fmt.Sprintf("weft job show %s --gateway %s", oneLine(j.ID), quoted(c.base))
}

// conclude draws the result of an ended job, if plot is not nil, and prints it, or returns why there is none.
func (p *program) conclude(ctx context.Context, c *client, j job, format output, plot *plotFile) error {
	if j.State != stateDone {
		return ended(j)
	}
	j, err := c.withResult(ctx, j)
	if err != nil {
		return err
	}
	envelope, err := enveloped(j)
	if err != nil {
		return err
	}
	drawing := plot.drawJob(c, j) // first: who reads the output may stop reading before its end
	if err := printAs(p.stdout, format, envelope); err != nil {
		return err
	}
	return drawing
}

// withResult is a job that is done with its result, which is fetched by itself where it is large.
func (c *client) withResult(ctx context.Context, j job) (job, error) {
	if j.Result != nil {
		return j, nil
	}
	raw, err := c.result(ctx, j.ID)
	if err != nil {
		return j, withHint(fmt.Errorf("the job is done, but fetching its result failed: %w", err), "try again: %s", look(c, j))
	}
	j.Result = raw
	return j, nil
}

// ended is the error of a job without result.
func ended(j job) error {
	message, reason := j.Detail, ""
	if j.Error != nil {
		message, reason = j.Error.Message, j.Error.Reason
	}
	if message == "" {
		message = "the job has ended as " + j.State
	}
	err := fmt.Errorf("%s: %s", oneLine(j.Microprotocol), message)
	switch reason {
	case "not-joined":
		return withHint(err, "every party submits the same computation before the deadline, with --uuid %s", j.UUID)
	case "conflict":
		return withHint(err, "all parties name the same microprotocol, the same parameters and the same parties in the same order")
	}
	return err
}

// printRaw writes JSON in one line.
func printRaw(w io.Writer, raw json.RawMessage) error {
	b, err := compact(raw)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", b)
	return err
}
