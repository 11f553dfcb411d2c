// Command weft computes jointly with other data owners without anybody showing data.
//
// A reader who wants to know what a command does starts at the function named after it: nodeCommand, coordinatorCommand,
// hubCommand and caCommand for those who run a fabric, doctorCommand for when it does not run; demoCommand and benchCommand
// for a whole fabric in one process; runCommand, jobCommand and microprotocolsCommand for those who compute. The last three
// speak to a gateway over HTTP as any other client does (gateway.go). party.go is a node with its stores and its gateway,
// whoever starts it; config.go reads and writes configuration files; execute ties all together and turns what the commands
// return into an exit code.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program for one command line. It returns the exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	p := &program{
		stdin: stdin, stdout: stdout, stderr: stderr,
		signals: signals, release: func() { signal.Stop(signals) },
		getenv: os.Getenv, environ: os.Environ, now: machineTime, pause: pause,
	}
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.width = func() int {
			w, _, err := term.GetSize(int(f.Fd()))
			if err != nil || w < 20 {
				return 80
			}
			return w
		}
		in, ok := stdin.(*os.File)
		p.person = ok && term.IsTerminal(int(in.Fd()))
	}
	return p.execute(ctx, args)
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
