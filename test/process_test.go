package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is weft, built once for all tests of this package.
var binary string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

// binaryVariable names a weft that is there already, for a test that runs others in a process of their own.
const binaryVariable = "WEFT_TEST_BINARY"

func runTests(m *testing.M) int {
	if binary = os.Getenv(binaryVariable); binary != "" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "weft-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "weft")
	build := exec.Command("go", "build", "-o", binary, "../cmd/weft")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building weft:", err)
		return 1
	}
	return m.Run()
}

// patience bounds every wait for a process.
const patience = time.Minute

// demoProcess is a running `weft demo`.
type demoProcess struct {
	t      *testing.T
	cmd    *exec.Cmd
	urls   []string
	stdout *lockedBuffer
	stderr *lockedBuffer
	exited chan struct{}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startDemo runs the demo with free ports, and waits until it has said everything.
func startDemo(t *testing.T, args ...string) *demoProcess {
	t.Helper()
	return startDemoEnv(t, nil, append([]string{"--port", "0"}, args...)...)
}

func startDemoEnv(t *testing.T, env []string, args ...string) *demoProcess {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"demo"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	return watchDemo(t, cmd)
}

// watchDemo starts a command that runs a demo, and waits until the demo has said everything.
func watchDemo(t *testing.T, cmd *exec.Cmd) *demoProcess {
	t.Helper()
	d := &demoProcess{t: t, cmd: cmd, stdout: &lockedBuffer{}, stderr: &lockedBuffer{}, exited: make(chan struct{})}
	d.cmd.Stderr = d.stderr
	if d.cmd.Env == nil {
		d.cmd.Env = os.Environ()
	}
	d.cmd.Env = append(d.cmd.Env, "TMPDIR="+t.TempDir()) // a killed demo cannot clear its folder away
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	go func() {
		defer close(d.exited)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			fmt.Fprintln(d.stdout, lines.Text())
			if f := strings.Fields(lines.Text()); len(f) == 2 && strings.HasPrefix(f[1], "http://") {
				d.urls = append(d.urls, f[1])
			}
			if strings.HasPrefix(lines.Text(), "Ctrl-C") {
				close(ready)
			}
		}
		_ = d.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = d.send(syscall.SIGKILL)
		<-d.exited
		if t.Failed() {
			t.Logf("the demo said:\n%s\n%s", d.stdout, d.stderr)
		}
	})
	select {
	case <-ready:
	case <-d.exited:
		t.Fatalf("the demo ended: %s%s", d.stdout, d.stderr)
	case <-time.After(patience):
		t.Fatalf("the demo does not get ready: %s%s", d.stdout, d.stderr)
	}
	return d
}

// signal sends a signal and waits for the end of the process.
func (d *demoProcess) signal(s syscall.Signal) {
	d.t.Helper()
	if err := d.send(s); err != nil {
		d.t.Fatal(err)
	}
	select {
	case <-d.exited:
	case <-time.After(patience):
		d.t.Fatalf("the demo goes on after %s", s)
	}
}

// send passes a signal on, to all of the command's own group if it has one.
func (d *demoProcess) send(s syscall.Signal) error {
	if d.cmd.SysProcAttr != nil {
		return signalGroup(d.cmd.Process, s)
	}
	return d.cmd.Process.Signal(s)
}

// call makes one request with a JSON body and decodes the answer.
func call(t *testing.T, method, url, body string) (int, map[string]any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%s %s: %d: not JSON: %s", method, url, answer.StatusCode, b)
	}
	return answer.StatusCode, v
}

// submit posts a job and returns its id.
func (d *demoProcess) submit(party int, uuid, data string, more ...string) string {
	d.t.Helper()
	body := fmt.Sprintf(`{"microprotocol":"SecureSum","data":%s,"parties":["alice","bob","carol"],"uuid":%q%s}`, data, uuid, strings.Join(more, ""))
	code, job := call(d.t, "POST", d.urls[party]+"/v1/jobs", body)
	if code != 202 {
		d.t.Fatalf("submitting at party %d: %d %v", party, code, job)
	}
	return job["id"].(string)
}

// result waits for a job's result.
func (d *demoProcess) result(party int, id string) (int, map[string]any) {
	d.t.Helper()
	return call(d.t, "GET", d.urls[party]+"/v1/jobs/"+id+"/result", "")
}
