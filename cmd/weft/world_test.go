package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	testJob  = "0d9c1f8e-5a0c-4f0c-9d7e-2b1f6a3c4d5e"
	testUUID = "387a7282-c380-44c9-aede-08da7e931931"
)

// world is a program with a gateway double around it.
type world struct {
	t              *testing.T
	program        *program
	stdout, stderr *screen
	keyboard       *io.PipeWriter // what the person types
	signals        chan os.Signal
	gateway        *double
	code           chan int
	pauses         chan time.Duration
}

func newWorld(t *testing.T) *world {
	t.Helper()
	in, keyboard := io.Pipe()
	t.Cleanup(func() { _ = keyboard.Close() })
	w := &world{
		t: t, stdout: newScreen(t), stderr: newScreen(t), keyboard: keyboard,
		signals: make(chan os.Signal, 4), gateway: newDouble(t), code: make(chan int, 1), pauses: make(chan time.Duration, 1000),
	}
	w.program = &program{
		stdin: in, stdout: w.stdout, stderr: w.stderr, signals: w.signals,
		getenv: func(name string) string { return map[string]string{gatewayVariable: w.gateway.URL}[name] },
		now:    func() time.Time { return time.Date(2026, 11, 21, 12, 5, 0, 0, time.UTC) },
		pause: func(ctx context.Context, d time.Duration) error {
			w.pauses <- d
			return context.Cause(ctx)
		},
	}
	return w
}

// atTerminal makes standard input and error a terminal of 80 columns.
func (w *world) atTerminal() *world {
	w.program.person, w.program.width = true, func() int { return 80 }
	return w
}

func (w *world) start(args ...string) {
	go func() { w.code <- w.program.execute(w.t.Context(), args) }()
}

func (w *world) sum(more ...string) {
	w.start(append([]string{"run", "SecureSum", "--parties", "alice,bob,carol"}, more...)...)
}

func (w *world) interrupt() { w.signals <- os.Interrupt }

func (w *world) types(text string) {
	w.t.Helper()
	if _, err := io.WriteString(w.keyboard, text); err != nil {
		w.t.Fatal(err)
	}
}

// ends wants the exit code.
func (w *world) ends(want int) {
	w.t.Helper()
	select {
	case got := <-w.code:
		if got != want {
			w.t.Fatalf("exit code %d, want %d\nstdout: %s\nstderr: %s", got, want, w.stdout, w.stderr)
		}
		w.gateway.mu.Lock()
		defer w.gateway.mu.Unlock()
		if w.gateway.stale {
			w.t.Error("the gateway was asked without the revision of its last answer")
		}
	case <-time.After(20 * time.Second):
		w.t.Fatalf("the program does not end\nstdout: %s\nstderr: %s", w.stdout, w.stderr)
	}
}

func (w *world) wantOut(want string) {
	w.t.Helper()
	if got := w.stdout.String(); got != want {
		w.t.Errorf("standard output:\n%s\nwant:\n%s", got, want)
	}
}

func (w *world) wantErr(parts ...string) {
	w.t.Helper()
	for _, p := range parts {
		if !strings.Contains(w.stderr.String(), p) {
			w.t.Errorf("standard error lacks %q:\n%s", p, w.stderr)
		}
	}
}

func (w *world) lackErr(parts ...string) {
	w.t.Helper()
	for _, p := range parts {
		if strings.Contains(w.stderr.String(), p) {
			w.t.Errorf("standard error has %q:\n%s", p, w.stderr)
		}
	}
}

// screen collects output and lets a test wait for a text.
type screen struct {
	t       *testing.T
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan struct{}
}

func newScreen(t *testing.T) *screen { return &screen{t: t, changed: make(chan struct{})} }

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
	return s.b.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// shows waits until text stands on the screen.
func (s *screen) shows(text string) {
	s.t.Helper()
	s.showsTimes(text, 1)
}

func (s *screen) showsTimes(text string, n int) {
	s.t.Helper()
	late := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		found, changed := strings.Count(s.b.String(), text) >= n, s.changed
		s.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-late:
			s.t.Fatalf("%q does not appear:\n%s", text, s)
		}
	}
}

// double is a gateway with one job that the test moves.
type double struct {
	*httptest.Server
	mu        sync.Mutex
	job       map[string]any
	result    string // served at /result
	revision  uint64
	served    uint64 // the revision that the program saw last
	stale     bool   // it asked for changes since another one
	changed   chan struct{}
	posted    [][]byte
	key       string // of the last submission
	lost      bool   // the next submission is taken and not answered
	files     string // the folder of its files
	refused   string // the reason why it takes no file
	requests  []string
	cancelled func(w http.ResponseWriter) // answers a cancellation; nil: 202
	broken    int                         // questions that are answered with 503 from now on; negative: by hanging up
}

func newDouble(t *testing.T) *double {
	d := &double{changed: make(chan struct{}), revision: 1}
	d.job = map[string]any{
		"id": testJob, "uuid": testUUID, "microprotocol": "SecureSum", "state": "waiting",
		"detail": "waiting for bob and carol until 12:10 UTC", "waiting": []string{"bob", "carol"}, "attempt": 1, "attempts": 5,
		"created": "2026-11-21T12:03:00Z", "deadline": "2026-11-21T12:10:00Z", "parties": []string{"alice", "bob", "carol"},
	}
	d.Server = httptest.NewServer(d)
	t.Cleanup(d.CloseClientConnections)
	t.Cleanup(d.Close)
	return d
}

// move changes the job and wakes whoever waits for it.
func (d *double) move(fields map[string]any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.moveLocked(fields)
}

func (d *double) moveLocked(fields map[string]any) {
	for k, v := range fields {
		d.job[k] = v
	}
	d.revision++
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *double) done(result string) {
	d.move(map[string]any{"state": "done", "detail": "done", "waiting": []string{}, "result": json.RawMessage(result)})
}

func (d *double) failed(state, reason, message string) {
	d.move(map[string]any{"state": state, "detail": message, "error": map[string]any{"code": 504, "reason": reason, "message": message}})
}

func (d *double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.requests = append(d.requests, r.Method+" "+r.URL.Path)
	w.Header().Set("Content-Type", "application/json")
	switch r.Method + " " + r.URL.Path {
	case "POST /v1/jobs":
		if r.Header.Get("Content-Type") != "application/json" {
			problem(w, 415, "not-json", "the body must be JSON")
			return
		}
		if d.refused != "" && bytes.Contains(body, []byte(`"file":`)) {
			problem(w, 400, d.refused, "file: it cannot be used")
			return
		}
		if key := r.Header.Get("Idempotency-Key"); key == "" || key != d.key {
			d.posted, d.key = append(d.posted, body), key
		}
		if d.lost {
			d.lost = false
			panic(http.ErrAbortHandler)
		}
		d.write(w, http.StatusAccepted)
	case "GET /v1/jobs":
		fmt.Fprintf(w, `{"jobs":[%s, %s],"more":true}`, d.view(), `{"id":"b8a3a5ac-1ad0-4d6c-9d1e-0d7d3f0f5b3c","microprotocol":"SecureSum","state":"done","detail":"done","created":"2026-11-21T10:00:00Z"}`)
	case "GET /v1/parties":
		_ = json.NewEncoder(w).Encode(map[string]any{"self": "alice", "parties": []any{}, "files": d.files})
	case "GET /v1/jobs/" + testJob:
		d.get(w, r)
	case "GET /v1/jobs/" + testJob + "/events":
		d.events(w, r)
	case "GET /v1/jobs/" + testJob + "/result":
		_, _ = io.WriteString(w, d.result)
	case "POST /v1/jobs/" + testJob + "/cancel":
		if d.cancelled != nil {
			d.cancelled(w)
			return
		}
		d.write(w, http.StatusAccepted)
	default:
		problem(w, 404, "unknown-job", "there is no such job here")
	}
}

// get holds the question as the gateway does.
func (d *double) get(w http.ResponseWriter, r *http.Request) {
	if d.broken != 0 {
		if d.broken < 0 {
			d.broken++
			panic(http.ErrAbortHandler)
		}
		d.broken--
		problem(w, 503, "draining", "this gateway is shutting down")
		return
	}
	if since := r.URL.Query().Get("revision"); r.URL.Query().Get("wait") == "30s" {
		d.stale = d.stale || strconv.FormatUint(d.served, 10) != since
		for strconv.FormatUint(d.revision, 10) == since {
			changed := d.changed
			d.mu.Unlock()
			select {
			case <-changed:
			case <-r.Context().Done():
			}
			d.mu.Lock()
			if r.Context().Err() != nil {
				return
			}
		}
	}
	d.write(w, http.StatusOK)
}

// events tells of the job until it has ended; a negative broken hangs up in the middle, a positive one answers 503.
func (d *double) events(w http.ResponseWriter, r *http.Request) {
	if d.broken > 0 {
		d.broken--
		problem(w, 503, "busy", "too many listen")
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	seen, _ := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64)
	_, _ = io.WriteString(w, "retry: 2000\n\n:\n\n")
	for {
		if d.revision != seen {
			fmt.Fprintf(w, "event: job\nid: %d\ndata: %s\n\n", d.revision, d.view())
			if seen = d.revision; d.job["state"] == "done" || d.job["state"] == "failed" {
				return
			}
		}
		_ = http.NewResponseController(w).Flush()
		if d.broken < 0 {
			d.broken++
			panic(http.ErrAbortHandler)
		}
		changed := d.changed
		d.mu.Unlock()
		select {
		case <-changed:
		case <-r.Context().Done():
		}
		d.mu.Lock()
		if r.Context().Err() != nil {
			return
		}
	}
}

func (d *double) write(w http.ResponseWriter, code int) {
	w.WriteHeader(code)
	_, _ = w.Write(d.view())
}

func (d *double) view() []byte {
	d.job["revision"], d.served = d.revision, d.revision
	b, err := json.Marshal(d.job)
	if err != nil {
		panic(err)
	}
	return b
}

// asked counts the requests of one kind.
func (d *double) asked(request string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, r := range d.requests {
		if r == request {
			n++
		}
	}
	return n
}

// submitted is the one job that was posted.
func (d *double) submitted(t *testing.T) string {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.posted) != 1 {
		t.Fatalf("%d jobs were posted", len(d.posted))
	}
	return strings.TrimSpace(string(d.posted[0]))
}

func problem(w http.ResponseWriter, code int, reason, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "about:blank", "title": http.StatusText(code), "status": code, "detail": detail, "reason": reason})
}
