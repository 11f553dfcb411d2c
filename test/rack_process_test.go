package test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// rackProcess is one member's weft, started again and again over the same folder. What all its lives say is kept, and
// shown when the test fails. Its methods may be called from any goroutine; those that a test calls end the test on failure,
// launch and end return an error instead.
type rackProcess struct {
	t    testing.TB
	name string // of the member
	dir  string // where it runs
	args []string
	env  []string // more of the environment, KEY=value
	wrap []string // a command to run it under, such as ip netns exec NAME
	log  *lockedBuffer

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{} // closed when the current life is over
	mark   int           // length of the log when the current life began
	lives  int
}

func newRackProcess(t testing.TB, dir, name string, args ...string) *rackProcess {
	p := &rackProcess{t: t, name: name, dir: dir, args: args, log: &lockedBuffer{}}
	t.Cleanup(func() {
		_ = p.end(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("%s said:\n%s", name, lastLines(p.log.String(), 80))
		}
	})
	return p
}

// lastLines keeps the log of a failed test readable.
func lastLines(s string, n int) string {
	lines := strings.SplitAfter(s, "\n")
	if len(lines) <= n {
		return s
	}
	return fmt.Sprintf("(%d lines before)\n%s", len(lines)-n, strings.Join(lines[len(lines)-n:], ""))
}

// rackEnviron is the test's own environment without what would override configurations.
func rackEnviron() []string {
	return slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "WEFT_") })
}

// launch begins a life of the process, and does not wait until it is ready.
func (p *rackProcess) launch() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exited != nil {
		select {
		case <-p.exited:
		default:
			return fmt.Errorf("%s runs already", p.name)
		}
	}
	p.lives++
	fmt.Fprintf(p.log, "--- %s, life %d\n", p.name, p.lives)
	argv := append(slices.Clone(p.wrap), append([]string{binary}, p.args...)...)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, p.log, p.log
	cmd.Env = append(rackEnviron(), p.env...)
	p.mark = len(p.log.String())
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	p.cmd, p.exited = cmd, exited
	go func() {
		defer close(exited)
		_ = cmd.Wait()
	}()
	return nil
}

// life is the current life's part of the log.
func (p *rackProcess) life() string {
	p.mu.Lock()
	mark := p.mark
	p.mu.Unlock()
	return p.log.String()[mark:]
}

// over is closed when the current life is over.
func (p *rackProcess) over() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exited
}

// end sends a signal and waits until the process is gone.
func (p *rackProcess) end(s syscall.Signal) error {
	p.mu.Lock()
	cmd, exited := p.cmd, p.exited
	p.mu.Unlock()
	if cmd == nil {
		return nil
	}
	_ = cmd.Process.Signal(s) // an error says that it has ended already
	select {
	case <-exited:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("%s goes on after %s", p.name, s)
	}
}

// start begins a life of the process, and does not wait until it is ready.
func (p *rackProcess) start() {
	p.t.Helper()
	must(p.t, p.launch())
}

// stop asks the process to end, as an operator does, and wants a clean end.
func (p *rackProcess) stop() {
	p.t.Helper()
	must(p.t, p.end(syscall.SIGTERM))
	if code := p.code(); code != 0 {
		p.t.Errorf("%s ended with code %d", p.name, code)
	}
}

// kill is kill -9.
func (p *rackProcess) kill() {
	p.t.Helper()
	must(p.t, p.end(syscall.SIGKILL))
}

// code waits until the process has ended by itself and returns its exit code, -1 after a signal.
func (p *rackProcess) code() int {
	p.t.Helper()
	select {
	case <-p.over():
	case <-time.After(patience):
		p.t.Fatalf("%s does not end", p.name)
	}
	return p.cmd.ProcessState.ExitCode()
}

// says waits until the current life's log has all of the texts.
func (p *rackProcess) says(texts ...string) {
	p.t.Helper()
	await(p.t, fmt.Sprintf("%q in the log of %s", texts, p.name), func() bool {
		life := p.life()
		return !slices.ContainsFunc(texts, func(s string) bool { return !strings.Contains(life, s) })
	})
}

// await looks until cond is true, and fails the test when it does not become so.
func await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for began := time.Now(); !cond(); <-look.C {
		switch waited := time.Since(began); {
		case waited > patience:
			t.Fatalf("%s: it has not come to that in %s", what, patience)
		case waited > time.Second: // what takes long is not worth a core
			look.Reset(50 * time.Millisecond)
		}
	}
}
