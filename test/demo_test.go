package test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestDemoOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "demo", "--once", "--port", "0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	if string(out) != `{"inputs":3,"result":{"samples":3,"sum":85}}`+"\n" || stderr.Len() != 0 {
		t.Errorf("stdout %q, stderr %q", out, &stderr)
	}
}

func TestDemoSaysWhatItDidAndEndsAtOnce(t *testing.T) {
	d := startDemo(t)
	first, _, _ := strings.Cut(d.stdout.String(), "\n")
	if want := "weft demo: alice gave 19, bob gave 5, carol gave 61; all of them learned the sum, 85, and nothing else ("; !strings.HasPrefix(first, want) {
		t.Errorf("the first line is %q", first)
	}
	for _, want := range []string{"federatedsecure.client.Api(nodes[me])", d.urls[2]} {
		if !strings.Contains(d.stdout.String(), want) {
			t.Errorf("the demo does not say %q", want)
		}
	}
	// A download that waits must not hold the end up.
	id := d.submit(0, uuid.NewString(), "1")
	began, err := net.Dial("tcp", strings.TrimPrefix(d.urls[0], "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer began.Close()
	fmt.Fprintf(began, "GET /v1/jobs/%s/result HTTP/1.1\r\nHost: %s\r\n\r\n", id, strings.TrimPrefix(d.urls[0], "http://"))
	d.signal(syscall.SIGINT)
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if b, _ := io.ReadAll(began); len(b) > 0 && !strings.HasPrefix(string(b), "HTTP/1.1 503 ") { // it may not have been read
		t.Errorf("the waiting download got %q", b)
	}
}

func TestDemoWithOtherNumbersOfParties(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 16} {
		d := startDemo(t, "--parties", strconv.Itoa(n))
		if len(d.urls) != n {
			t.Errorf("%d parties have %d gateways", n, len(d.urls))
		}
		d.signal(syscall.SIGTERM)
	}
	out, err := exec.Command(binary, "demo", "--parties", "17").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "between 2 and 16") {
		t.Errorf("17 parties: %v: %s", err, out)
	}
}

func TestDemoNamesAPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	out, err := exec.Command(binary, "demo", "--port", port).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "port "+port+" is in use") || !strings.Contains(string(out), "--port") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestDemoListensOnLoopbackOnly(t *testing.T) {
	out, err := exec.Command(binary, "demo", "--nats", "0.0.0.0:4222").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "loopback") {
		t.Errorf("%v: %s", err, out)
	}
}

// A demo with a state folder is killed while jobs wait. Started again, it completes them when the other parties come.
func TestDemoGoesOnAfterAKill(t *testing.T) {
	t.Parallel()
	state, id := t.TempDir(), uuid.NewString()
	d := startDemo(t, "--state", state)
	alice, bob := d.submit(0, id, "19"), d.submit(1, id, "5")
	if _, job := call(t, "GET", d.urls[0]+"/v1/jobs/"+alice, ""); job["state"] == "done" {
		t.Fatal("done without carol")
	}
	d.signal(syscall.SIGKILL)

	d = startDemo(t, "--state", state)
	carol := d.submit(2, id, "61")
	for party, job := range []string{alice, bob, carol} {
		if code, got := d.result(party, job); code != 200 || got["sum"] != 85.0 {
			t.Errorf("party %d: %d %v", party, code, got)
		}
	}
	d.signal(syscall.SIGKILL)

	d = startDemo(t, "--state", state) // a finished result is still there
	if code, got := d.result(0, alice); code != 200 || got["sum"] != 85.0 {
		t.Errorf("after another kill: %d %v", code, got)
	}
}

func TestOneDemoPerStateFolder(t *testing.T) {
	state := t.TempDir()
	startDemo(t, "--state", state)
	out, err := exec.Command(binary, "demo", "--port", "0", "--state", state).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in use by another weft process") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestALatePartyIsNamed(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "--deadline", "1s")
	id := uuid.NewString()
	began := time.Now()
	a, b := d.submit(0, id, "19"), d.submit(1, id, "5")
	for party, job := range []string{a, b} {
		code, got := d.result(party, job)
		if text, _ := got["detail"].(string); code != 504 || !strings.Contains(text, "carol did not join within 1s") {
			t.Errorf("party %d: %d %v", party, code, got)
		}
	}
	if d := time.Since(began); d > 30*time.Second {
		t.Errorf("that took %s", d)
	}
}
