package gateway

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/access"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/simon"
)

// world is a gateway that lives: it serves over a socket, a node ends its jobs, what is old goes, and what its answers
// give is asked for in later requests.
type world struct {
	*party
	people *people
	names  []string // of microprotocols
	socket string
	errors *errorLog
	closed func()

	mu     sync.Mutex
	things map[string][]made // by what they are, at most mostThings of each

	served   atomic.Int64 // answers
	statuses sync.Map     // number of answers by status
}

const (
	mostThings = 48
	mostKept   = 400 // ended jobs, and objects, that the world keeps
)

// errorLog keeps the errors of a log, which are defects.
type errorLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *errorLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) < 20 {
		l.lines = append(l.lines, string(p))
	}
	return len(p), nil
}

func (l *errorLog) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.lines
	l.lines = nil
	return was
}

// newWorld starts a world with access control. Every person has the roots.
func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{people: newPeople(t), errors: &errorLog{}, things: map[string][]made{}}
	w.party = newParty(t, func(c *Config) {
		c.Catalogue, c.Wait, c.MaxBody = simon.Catalogue(), 5*time.Millisecond, 1<<20
		c.Access = &Access{Authenticators: []access.Authenticator{w.people.authenticator()}, Rate: maxRate}
		c.Logger = slog.New(slog.NewTextHandler(w.errors, &slog.HandlerOptions{Level: slog.LevelError}))
	})
	for _, m := range w.gateway.config.Catalogue {
		w.names = append(w.names, m.Name)
	}
	for name := range w.people.tokens {
		caller := "token:" + name
		for _, root := range w.gateway.handles.roots {
			d := root.service.Description()
			what := d[len(d)-1].Value
			if what == officialVersion {
				what = "Simon"
			}
			w.keep(what, w.gateway.handles.rootID(caller, root).String(), name)
			for member := range root.members {
				w.keep(what+"."+member, w.gateway.handles.memberID(caller, root, member).String(), name)
			}
		}
	}
	w.live(t)
	return w
}

// live serves, and runs the node, until the test ends.
func (w *world) live(t testing.TB) {
	t.Helper()
	w.socket = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", w.socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := w.gateway.Serve(ctx, l); err != nil {
			w.errors.Write([]byte(err.Error()))
		}
	})
	news := w.jobs.Changes(ctx)
	wg.Go(func() {
		for j := range news {
			w.node(ctx, j)
		}
	})
	wg.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				w.tidy(ctx, mostKept)
			case <-ctx.Done():
				return
			}
		}
	})
	w.closed = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(w.closed)
}

// node ends jobs, each in a way that its identifier decides.
func (w *world) node(ctx context.Context, j jobs.Job) {
	if j.Terminal() {
		return
	}
	end := func(to jobs.State, p *jobs.Problem) {
		_, _ = w.jobs.Change(ctx, j.ID, func(j jobs.Job) (jobs.Job, error) { // another request may have ended it
			j, err := j.Move(to)
			j.Problem = p
			return j, err
		})
	}
	way := int(j.ID[15])
	switch {
	case j.CancelRequested:
		end(jobs.Cancelled, &jobs.Problem{Code: 409, Reason: "cancelled", Message: "the job was cancelled"})
	case way < 200:
		problems := []jobs.Problem{
			{Code: 504, Reason: "not-joined", Message: "bob did not join"}, {Code: 400, Reason: "outcome", Message: "too few samples"},
			{Code: 403, Reason: "policy", Message: "forbidden"}, {Code: 501, Reason: "not-available", Message: "update the node"}, {Code: 409, Reason: "replaced", Message: "replaced"},
		}
		end(jobs.Failed, &problems[way%len(problems)])
	case way < 250:
		body, err := w.jobs.Put(ctx, []byte(`{"samples":3,"sum":`+secretValue+`}`))
		if err != nil {
			return
		}
		for _, to := range []jobs.State{jobs.Waiting, jobs.Committed, jobs.Done} {
			_, _ = w.jobs.Change(ctx, j.ID, func(j jobs.Job) (jobs.Job, error) {
				j, err := j.Move(to)
				if to == jobs.Done {
					j.Result = body
				}
				return j, err
			})
		}
	}
}

// tidy deletes the oldest jobs and objects but so many of each, and cancels jobs that wait.
func (w *world) tidy(ctx context.Context, keep int) {
	all, _ := w.jobs.List(ctx, "")
	for _, j := range all[min(keep, len(all)):] {
		if !j.Terminal() {
			_, _ = w.jobs.RequestCancel(ctx, j.ID)
		}
		_ = w.jobs.Delete(ctx, j.ID)
	}
	records, _ := w.objects.List(ctx, "")
	for _, r := range records[min(keep, len(records)):] {
		_ = w.objects.Delete(ctx, r.ID)
	}
	now := time.Now()
	_ = w.jobs.Sweep(ctx, now)
	_ = w.objects.Sweep(ctx, now)
}

// keep remembers a thing for later requests, and forgets one for it when there are many.
func (w *world) keep(what, id, caller string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.things[what]
	if len(list) >= mostThings {
		list = slices.Delete(list, 0, 1)
	}
	w.things[what] = append(list, made{id, what, caller})
}

// program is what one client sends: requests over one connection, one of them perhaps spoiled.
func (w *world) program(decided []byte) (requests []sketch, raw [][]byte, spoiled bool) {
	c := &choices{decided}
	things := func(what string) made {
		w.mu.Lock()
		defer w.mu.Unlock()
		if list := w.things[what]; len(list) > 0 {
			return list[c.n(len(list))]
		}
		return made{}
	}
	for len(c.b) > 0 && len(raw) < 64 && !spoiled {
		s := drawRequest(c, things, w.names)
		b := s.bytes(w.people.tokens[s.caller])
		if spoiled = c.one(5); spoiled {
			b = spoil(c, b)
		}
		requests, raw = append(requests, s), append(raw, b)
	}
	return requests, raw, spoiled
}

// run sends a program and judges each answer.
func (w *world) run(decided []byte) error {
	requests, raw, spoiled := w.program(decided)
	conn, in, err := w.dial()
	if err != nil {
		return err
	}
	defer func() { conn.Close() }()
	for i, s := range requests {
		if spoiled && i == len(requests)-1 {
			return w.runSpoiled(conn, in, raw[i])
		}
		if _, err := conn.Write(raw[i]); err != nil && !hungUp(err) {
			return fmt.Errorf("%w after %d of %.300q", err, i, raw[i])
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw[i])))
		if err != nil { // a word of the grammar that is no URL or header
			return w.runSpoiled(conn, in, nil)
		}
		res, body, err := w.answer(in, r)
		if err != nil && s.odd && hungUp(err) { // net/http refuses without reading the body
			return nil
		}
		if err != nil {
			return fmt.Errorf("%w to %.600q", err, raw[i])
		}
		if err := judge(r, res, body, s.odd); err != nil {
			return fmt.Errorf("%w to %.600q", err, raw[i])
		}
		w.learn(s, res, body)
		if res.Close || r.Close {
			conn.Close()
			if conn, in, err = w.dial(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) dial() (*net.UnixConn, *bufio.Reader, error) {
	conn, err := net.Dial("unix", w.socket)
	if err != nil {
		return nil, nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn.(*net.UnixConn), bufio.NewReader(conn), nil
}

// runSpoiled sends bytes that may be several requests or none, says that there will be no more, and judges what comes.
func (w *world) runSpoiled(conn *net.UnixConn, in *bufio.Reader, raw []byte) error {
	if _, err := conn.Write(raw); err != nil && !hungUp(err) {
		return err
	}
	_ = conn.CloseWrite()
	sent := bufio.NewReader(bytes.NewReader(bytes.TrimLeft(raw, "\r\n"))) // net/http passes over these after a POST
	for broken := false; ; {
		var r *http.Request
		if !broken {
			var err error
			if r, err = http.ReadRequest(sent); err != nil {
				r, broken = nil, true
			} else if _, err = io.Copy(io.Discard, r.Body); err != nil {
				broken = true
			}
		}
		res, body, err := w.answer(in, r)
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || hungUp(err) {
				return nil // the connection ends where its client has said nothing more
			}
			return fmt.Errorf("%w to %.600q", err, raw)
		}
		if err := judge(r, res, body, true); err != nil {
			return fmt.Errorf("%w to %.600q", err, raw)
		}
		if res.Close || r == nil {
			return nil
		}
	}
}

// hungUp says whether the other side has closed the connection.
func hungUp(err error) bool {
	return strings.Contains(err.Error(), "broken pipe") || strings.Contains(err.Error(), "connection reset")
}

// answer reads one. A stream of events is read to the end of its first event.
func (w *world) answer(in *bufio.Reader, r *http.Request) (*http.Response, []byte, error) {
	res, err := http.ReadResponse(in, r)
	for err == nil && res.StatusCode == http.StatusContinue {
		res, err = http.ReadResponse(in, r)
	}
	if err != nil {
		return nil, nil, err
	}
	w.served.Add(1)
	n, _ := w.statuses.LoadOrStore(res.StatusCode, new(atomic.Int64))
	n.(*atomic.Int64).Add(1)
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		res.Close = true // the client leaves
		var b []byte
		for !bytes.HasSuffix(b, []byte("\n\n")) && err == nil {
			var one [1]byte
			_, err = io.ReadFull(res.Body, one[:])
			b = append(b, one[0])
		}
		return res, b, err
	}
	b, err := io.ReadAll(res.Body)
	return res, b, err
}

// judge says what is wrong with an answer. r is nil where the request was none; odd: net/http may have refused it before the
// gateway saw it.
func judge(r *http.Request, res *http.Response, body []byte, odd bool) error {
	what := fmt.Errorf("the answer %d %v %.500q", res.StatusCode, res.Header, body)
	switch res.StatusCode {
	case 501, 503, 504:
	case http.StatusHTTPVersionNotSupported: // before there is a request
		if !odd {
			return what
		}
	default:
		if res.StatusCode >= 500 {
			return what
		}
	}
	media := res.Header.Get("Content-Type")
	if own := res.Header.Get("X-Content-Type-Options") == "nosniff"; !own {
		// net/http's own, before there is a request: 417 to an Expect that it does not know, the others in plain text.
		ok := slices.Contains([]int{400, 431, 501, 505}, res.StatusCode) && strings.HasPrefix(media, "text/plain") || res.StatusCode == http.StatusExpectationFailed && len(body) == 0
		if r != nil && r.Method == http.MethodOptions && r.RequestURI == "*" && res.StatusCode == http.StatusOK {
			return nil
		}
		if !ok || !res.Close || !odd {
			return fmt.Errorf("%w is not the gateway's", what)
		}
		return nil
	}
	if r == nil {
		return fmt.Errorf("%w, and there was no request", what)
	}
	if r.Method == http.MethodHead || res.StatusCode == http.StatusNoContent {
		return nil
	}
	if res.StatusCode >= 400 {
		if bytes.Contains(body, []byte(secretValue)) && !odd {
			return fmt.Errorf("%w repeats data", what)
		}
		if !json.Valid(body) || media != "application/json" && media != "application/problem+json" {
			return fmt.Errorf("%w is no JSON", what)
		}
	}
	if res.StatusCode >= 500 && isV1(r) && !bytes.Contains(body, []byte(`"type":"`+problemURI)) {
		return fmt.Errorf("%w has no type", what)
	}
	var key [sha256.Size]byte
	if len(body) < 1<<12 {
		key = sha256.Sum256(fmt.Appendf(nil, "%s %s %d %s %s", r.Method, anyUUID.ReplaceAllString(r.URL.Path, "U"), res.StatusCode, media, anyUUID.ReplaceAll(body, []byte("U"))))
	}
	if _, judged := rightAnswers.Load(key); judged {
		return nil
	}
	if err := answerFault(r, res, body); err != nil {
		return fmt.Errorf("%w: %w", what, err)
	}
	if key != [sha256.Size]byte{} && rightCount.Add(1) < 30_000 {
		rightAnswers.Store(key, true)
	}
	return nil
}

// Answers that openapi.yaml has nothing against are not held against it again: its validator is slow.
var (
	rightAnswers sync.Map
	rightCount   atomic.Int64
	anyUUID      = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
)

// learn keeps what an answer has made.
func (w *world) learn(s sketch, res *http.Response, body []byte) {
	var v struct{ UUID, ID uuid.UUID }
	if s.asked == "" || res.StatusCode >= 300 || json.Unmarshal(body, &v) != nil {
		return
	}
	id := v.UUID
	if v.ID != uuid.Nil {
		id = v.ID
	}
	if id != uuid.Nil {
		w.keep(s.asked, id.String(), s.caller)
	}
}

// tally is the number of answers by status.
func (w *world) tally() string {
	var all []string
	w.statuses.Range(func(status, n any) bool {
		all = append(all, fmt.Sprintf("%d: %d", status, n.(*atomic.Int64).Load()))
		return true
	})
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// decide is the bytes of a seed's program of so many.
func decide(seed, at uint64) []byte {
	r := rand.New(rand.NewPCG(seed, at))
	b := make([]byte, 16+r.IntN(1500))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}
