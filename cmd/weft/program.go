package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/weftmpc/weft/gateway"
)

// The exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // as a shell reports a program that Ctrl-C ended
)

// program is what the commands know of the world around them, so that tests can be that world.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	signals <-chan os.Signal // each Ctrl-C and each request to terminate
	release func()           // gives signals back to the system: the next one ends the process; nil: nothing to do
	hangup  atomic.Pointer[func()]
	person  bool       // standard input and error are a terminal: somebody can be asked
	width   func() int // columns of the terminal that standard error is; nil: it is none

	token, ca string // --token and --ca of the commands that ask a gateway

	lines *bufio.Reader // of standard input, once a question has been asked

	getenv  func(string) string
	environ func() []string
	now     func() time.Time
	pause   func(context.Context, time.Duration) error
}

// ownSignals marks a command that handles Ctrl-C itself; all others find their context ended.
const ownSignals = "own-signals"

// execute runs one command line and says on standard error why it failed.
func (p *program) execute(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	began, stop := false, func() {}
	root.PersistentPreRun = func(c *cobra.Command, _ []string) {
		began = true
		if c.Annotations[ownSignals] == "" {
			var sub context.Context
			sub, stop = p.interruptible(c.Context(), p.release)
			c.SetContext(sub)
		}
	}
	command, err := root.ExecuteContextC(ctx)
	stop()
	if err != nil && !began {
		err = asUsage(err, command)
	}
	return p.report(err)
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "weft",
		Short: "Compute jointly with other data owners, without anybody showing data",
		Long: `weft lets several data owners compute one result from all their data while everybody's data stay at home: they
learn the result and nothing else.

Every party has a gateway, to which all commands speak. To try it out, start three parties on this machine
with "weft demo" and compute a sum from three other terminals with "weft run".`,
		Example: `  weft demo
  weft run SecureSum --gateway http://127.0.0.1:55501 --parties alice,bob,carol --data 19`,
		Version:       versionText(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("{{.Version}}")
	return group(root, demoCommand(), p.benchCommand(), p.nodeCommand(), p.gatewayCommand(), p.serviceCommand(), p.coordinatorCommand(), p.brokerCommand(), p.doctorCommand(), p.runCommand(), p.jobCommand(), p.tokenCommand(), p.caCommand(), p.microprotocolsCommand(), p.versionCommand())
}

// group makes c a command that only holds others: alone it prints its help, and a wrong name is refused with the nearest.
func group(c *cobra.Command, others ...*cobra.Command) *cobra.Command {
	c.AddCommand(others...)
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var names []string
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				names = append(names, sub.Name())
			}
		}
		err := usageError("%q is no command of %s", args[0], c.CommandPath())
		if near := nearest(args[0], names); near != "" {
			return withHint(err, "did you mean %q?", c.CommandPath()+" "+near)
		}
		return err
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	return c
}

// onHangup has SIGHUP call f from now on, rather than end the command.
func (p *program) onHangup(f func()) { p.hangup.Store(&f) }

// interruptible returns a context that the next signal ends, with errInterrupted as its cause. then, if any, is called
// after that. The function that it returns must be called before anything else reads the signals.
func (p *program) interruptible(ctx context.Context, then func()) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case s := <-p.signals:
				if reload := p.hangup.Load(); s == syscall.SIGHUP && reload != nil {
					(*reload)()
					continue
				}
				cancel(errInterrupted)
				if then != nil {
					then()
				}
			case <-ctx.Done():
			}
			return
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

// errInterrupted says that Ctrl-C ended a command before it was done.
var errInterrupted = errors.New("interrupted")

// exitError ends the program with a code after everything has been said.
type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// usage is an error of the command line itself.
type usage struct{ err error }

func (e *usage) Error() string { return e.err.Error() }
func (e *usage) Unwrap() error { return e.err }

// usageError is an error of the command line: exit code 2.
func usageError(format string, args ...any) error { return &usage{fmt.Errorf(format, args...)} }

// asUsage is for the errors that cobra finds before a command begins.
func asUsage(err error, c *cobra.Command) error {
	var u *usage
	if !errors.As(err, &u) {
		err = &usage{err}
	}
	var h *hinted
	if errors.As(err, &h) {
		return err
	}
	return withHint(err, "`%s --help` shows what is possible", c.CommandPath())
}

// hinted is an error with a sentence on what to do about it.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

func withHint(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// report writes the error, and its hint if it has one, and returns the exit code.
func (p *program) report(err error) int {
	var (
		exit  *exitError
		wrong *usage
		hint  *hinted
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &exit):
		return exit.code
	}
	fmt.Fprintf(p.stderr, "weft: error: %s\n", printable(err.Error()))
	if errors.As(err, &hint) {
		fmt.Fprintf(p.stderr, "weft: hint: %s\n", printable(hint.hint))
	}
	switch {
	case errors.Is(err, errInterrupted):
		return exitInterrupted
	case errors.As(err, &wrong):
		return exitUsage
	}
	return exitFailed
}

// printable replaces what could move a terminal's cursor or change its colours: text from a gateway is foreign.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

// oneLine is printable without line breaks.
func oneLine(s string) string { return strings.Join(strings.Fields(printable(s)), " ") }

// nearest is the name that a mistyped one most likely stands for, or "".
func nearest(typed string, names []string) string { return gateway.Nearest(typed, names) }
