package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// clientScript computes a sum with the official client for each line of standard input.
//
//go:embed client.py
var clientScript string

// pythonExchanges measures the four requests of a sum against a server that has its answers ready, as the same clients
// make them: three at once, like the parties of a sum, and one alone.
func pythonExchanges(ctx context.Context, s *stage, f figures) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	empty := &http.Server{Handler: http.HandlerFunc(answerAtOnce), ReadHeaderTimeout: patience}
	go func() { _ = empty.Serve(l) }()
	defer empty.Close()
	url := "http://" + l.Addr().String()
	for _, c := range []struct {
		figure string
		urls   []string
	}{{"c.three", []string{url, url, url}}, {"c.one", []string{url}}} {
		if err := s.clients(ctx, c.urls, c.figure, f); err != nil {
			return err
		}
	}
	return nil
}

// answerAtOnce gives the answers that the official client expects of a gateway.
func answerAtOnce(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	const id = "0d9c1f8e-5a0c-4f0c-9d7e-2b1f6a3c4d5e"
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodGet && strings.Count(r.URL.Path, "/") == 2 { // the download
		fmt.Fprint(w, `{"type":"object","object":{"inputs":3,"result":{"samples":3,"sum":6}}}`)
		return
	}
	fmt.Fprintf(w, `{"type":"uuid","uuid":%q}`, id)
}

// pythonSums measures sums by three official clients at a demo.
func pythonSums(ctx context.Context, s *stage, f figures) error {
	p, err := s.start(s.dir, nil, "demo", "--port", "0")
	if err != nil {
		return err
	}
	defer p.stop()
	urls, err := p.demoURLs(ctx)
	if err != nil {
		return err
	}
	return s.clients(ctx, urls, "c.python", f)
}

// demoURLs waits until a demo has said where its gateways are.
func (p *process) demoURLs(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		said := p.log()
		if strings.Contains(said, "Ctrl-C ends the demo.") {
			var urls []string
			for line := range strings.Lines(said) {
				if f := strings.Fields(line); len(f) == 2 && strings.HasPrefix(f[1], "http://") {
					urls = append(urls, f[1])
				}
			}
			return urls, nil
		}
		select {
		case <-p.done:
			return nil, fmt.Errorf("the demo ended: %s", p.log())
		case <-ctx.Done():
			return nil, fmt.Errorf("the demo does not get ready: %s", said)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// clients lets one official client per address compute at once, again and again, and notes the median of the times from
// the start of the first to the end of the last.
func (s *stage) clients(ctx context.Context, urls []string, figure string, f figures) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var ins []io.Writer
	var outs []*bufio.Reader
	var complaints []*process
	for i := range urls {
		said := &process{}
		cmd := exec.CommandContext(ctx, s.python, "-c", clientScript, strconv.Itoa(i), strings.Join(urls, ","))
		cmd.Stderr = said
		in, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("no Python with the package federatedsecure-client: %w: `make bench` installs it, or set WEFT_PYTHON", err)
		}
		defer func() { // it ends with its input
			_ = in.Close()
			_ = cmd.Wait()
		}()
		ins, outs, complaints = append(ins, in), append(outs, bufio.NewReader(out)), append(complaints, said)
	}
	all := func(line, want string) error {
		for _, in := range ins {
			if _, err := io.WriteString(in, line); line != "" && err != nil {
				return err
			}
		}
		for i, out := range outs {
			got, err := out.ReadString('\n')
			if err != nil || strings.TrimSpace(got) != want {
				return errors.Join(fmt.Errorf("client %d says %q, want %q: %s", i, got, want, complaints[i].log()), err)
			}
		}
		return nil
	}
	if err := all("", "ready"); err != nil {
		return err
	}
	count := s.count(100)
	warm := max(2, count/10)
	var took []float64
	for k := range count + warm {
		line := uuid.NewString() + "\n"
		begin := time.Now()
		if err := all(line, "{'inputs': 3, 'result': {'samples': 3, 'sum': 6}}"); err != nil {
			return err
		}
		if k >= warm {
			took = append(took, float64(time.Since(begin))/float64(time.Millisecond))
		}
	}
	f.add(figure, median(took))
	return nil
}
