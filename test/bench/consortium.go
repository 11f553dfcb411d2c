package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience bounds every wait for a process.
const patience = time.Minute

// partyNames are those of the consortium of separate processes.
var partyNames = []string{"alice", "bob", "carol"}

// consortium is a hub, a coordinator and three nodes, each a process of its own, over TLS.
type consortium struct {
	dir       string
	processes []*process
	nodes     []*process
	urls      []string
}

// process is one of them.
type process struct {
	cmd  *exec.Cmd
	mu   sync.Mutex
	said bytes.Buffer
	done chan struct{}
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// start runs weft until stop.
func (s *stage) start(dir string, env []string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(s.weft, args...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, p, p
	p.cmd.Env = append(append(os.Environ(), "TMPDIR="+s.dir), env...)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop asks the process to end, and kills it if it does not.
func (p *process) stop() {
	if p.cmd.Process.Signal(syscall.SIGTERM) != nil {
		_ = p.cmd.Process.Kill()
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// separate sets a consortium up as its members would, and starts it. stop must be called after an error, too.
func (s *stage) separate(ctx context.Context, durability string) (c *consortium, err error) {
	c = &consortium{}
	if c.dir, err = os.MkdirTemp(s.dir, "consortium-"); err != nil {
		return c, err
	}
	ports, err := freePorts(1 + len(partyNames))
	if err != nil {
		return c, err
	}
	hub := fmt.Sprintf("localhost:%d", ports[0])
	lines := [][]string{
		{"ca", "init"},
		{"ca", "issue", "coordinator", "--coordinator"},
		{"ca", "issue", "hub", "--host", "localhost"},
	}
	for i, name := range partyNames {
		c.urls = append(c.urls, "http://127.0.0.1:"+strconv.Itoa(ports[i+1]))
		lines = append(lines, []string{"ca", "issue", name, "--organisation", name + " institution", "--gateway", c.urls[i]})
	}
	lines = append(lines, []string{"broker", "hub", "init", "--listen", hub}, []string{"coordinator", "init", "--hub", "tls://" + hub})
	for _, name := range partyNames {
		lines = append(lines, []string{"node", "init", "--dir", name, "--hub", "tls://" + hub})
	}
	for _, args := range lines {
		cmd := exec.CommandContext(ctx, s.weft, args...)
		cmd.Dir = c.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return c, fmt.Errorf("weft %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	run := func(args ...string) (*process, error) {
		p, err := s.start(c.dir, []string{"WEFT_DURABILITY=" + durability, "WEFT_LOG_LEVEL=warn"}, args...)
		if err == nil {
			c.processes = append(c.processes, p)
		}
		return p, err
	}
	if _, err := run("broker", "hub", "--config", filepath.Join("hub", "hub.yaml")); err != nil {
		return c, err
	}
	if _, err := run("coordinator", "--config", filepath.Join("coordinator", "coordinator.yaml")); err != nil {
		return c, err
	}
	for _, name := range partyNames {
		p, err := run("node", "--config", filepath.Join(name, "node.yaml"))
		if err != nil {
			return c, err
		}
		c.nodes = append(c.nodes, p)
	}
	return c, c.ready(ctx)
}

// ready waits until all gateways say that they can compute.
func (c *consortium) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, u := range c.urls {
		for !answersOK(ctx, u+"/readyz") {
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s does not get ready\n%s", u, c.logs())
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

func answersOK(ctx context.Context, url string) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

func (c *consortium) logs() string {
	var all strings.Builder
	for _, p := range c.processes {
		fmt.Fprintf(&all, "%s:\n%s", strings.Join(p.cmd.Args[1:], " "), p.log())
	}
	return all.String()
}

// stop ends the nodes first.
func (c *consortium) stop() error {
	for i := len(c.processes) - 1; i >= 0; i-- {
		c.processes[i].stop()
	}
	if c.dir == "" {
		return nil
	}
	return os.RemoveAll(c.dir)
}

// gateways are the arguments with which weft bench measures the consortium.
func (c *consortium) gateways() []string {
	var args []string
	for _, u := range c.urls {
		args = append(args, "--gateway", u)
	}
	return args
}

// peak is the largest memory that any node has had, in MB; 0 where the system does not tell.
func (c *consortium) peak() (float64, error) {
	var most float64
	for _, p := range c.nodes {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
		if errors.Is(err, os.ErrNotExist) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) == 3 && f[0] == "VmHWM:" {
				kib, err := strconv.ParseFloat(f[1], 64)
				if err != nil {
					return 0, err
				}
				most = max(most, kib*1024/1e6)
			}
		}
	}
	return most, nil
}

// freePorts finds ports that nobody listens on at the moment.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all are taken before any is given back, so they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// with runs f at a fresh consortium: what it has computed before does not show in its memory.
func (s *stage) with(ctx context.Context, durability string, f func(*consortium) error) (err error) {
	c, err := s.separate(ctx, durability)
	defer func() { err = errors.Join(err, c.stop()) }()
	if err != nil {
		return err
	}
	if err := f(c); err != nil {
		return fmt.Errorf("%w\n%s", err, c.logs())
	}
	return nil
}

// separateSums measures sums of three processes, with writes as durable as the floor's and then with each on disk.
func separateSums(ctx context.Context, s *stage, f figures) error {
	for _, d := range []struct{ durability, figure string }{{"process", "b.weft"}, {"power", "b.power"}} {
		if err := s.with(ctx, d.durability, func(c *consortium) error {
			rows, err := s.bench(ctx, 300, append(c.gateways(), "--rows", "http")...)
			f.add(d.figure, rows["http-nodes"].P50)
			if d.durability == "process" {
				f.add("b.http", rows["http"].P50)
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// separateVectors measures vectors of three processes, and their memory.
func separateVectors(ctx context.Context, s *stage, f figures) error {
	return s.with(ctx, "process", func(c *consortium) error {
		rows, err := s.bench(ctx, 90, append(c.gateways(), "--rows", "vector", "--vector", strconv.Itoa(vectorValues))...)
		if err != nil {
			return err
		}
		f.add("d.weft", rows["vector-nodes"].P50)
		f.add("d.whole", rows["vector"].P50)
		if mb, err := c.peak(); err != nil {
			return err
		} else if mb > 0 {
			f.add("d.memory", mb)
		}
		return nil
	})
}
