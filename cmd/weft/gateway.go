package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	gatewayVariable = "WEFT_GATEWAY"
	defaultGateway  = "http://127.0.0.1:55501" // the first party of weft demo

	longPoll    = 30 * time.Second // how long the gateway may hold a question about a job
	answerTime  = 20 * time.Second // for an answer without waiting, and on top of longPoll
	uploadTime  = 10 * time.Minute // for data to go up
	readTime    = time.Hour        // for the node to read a file
	answerLimit = 256 << 20        // bytes of one answer
)

// job is a job as the gateway shows it; openapi.yaml there describes the fields.
type job struct {
	ID            string          `json:"id"`
	UUID          string          `json:"uuid"`
	Microprotocol string          `json:"microprotocol"`
	State         string          `json:"state"`
	Detail        string          `json:"detail"`
	Waiting       []string        `json:"waiting"`
	WaitingSince  time.Time       `json:"waiting_since"`
	Progress      jobProgress     `json:"progress"`
	Attempt       int             `json:"attempt"`
	Attempts      int             `json:"attempts"`
	Created       time.Time       `json:"created"`
	Started       time.Time       `json:"started"`
	Ended         time.Time       `json:"ended"`
	Deadline      time.Time       `json:"deadline"`
	Parties       []string        `json:"parties"`
	Revision      uint64          `json:"revision"`
	Result        json.RawMessage `json:"result"`
	Error         *jobError       `json:"error"`
	Approval      *jobApproval    `json:"approval"`

	raw json.RawMessage // as it came, for --json
}

// jobProgress counts message steps.
type jobProgress struct {
	Done    int `json:"done"`
	Planned int `json:"planned"` // 0: not known
}

type jobError struct {
	Code    int    `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// The states that the commands tell apart; a gateway may have others.
const (
	stateHeld      = "held"
	stateDone      = "done"
	stateFailed    = "failed"
	stateCancelled = "cancelled"
)

func (j job) terminal() bool {
	return j.State == stateDone || j.State == stateFailed || j.State == stateCancelled
}

// submission is the body of POST /v1/jobs.
type submission struct {
	Microprotocol string          `json:"microprotocol"`
	Data          json.RawMessage `json:"data,omitempty"`
	File          string          `json:"file,omitempty"` // in place of Data: a file that the node reads
	Parameters    json.RawMessage `json:"parameters,omitempty"`
	Parties       []string        `json:"parties"`
	UUID          string          `json:"uuid,omitempty"`
	Deadline      string          `json:"deadline,omitempty"`

	key string // by which the gateway knows the request when it comes again; a UUID
}

// client speaks to one gateway.
type client struct {
	base  string // without a slash at its end
	token string // "": none
	http  *http.Client
}

// gatewayFlag adds --gateway to c, and what a gateway may ask for.
func (p *program) gatewayFlag(c *cobra.Command, into *string) {
	c.Flags().StringVar(into, "gateway", "", "address of your party's gateway (default: "+gatewayVariable+", else "+defaultGateway+")")
	p.credentialFlags(c)
}

// dial checks the address of the gateway; nothing is sent yet.
func (p *program) dial(flag string) (*client, error) {
	address, from := flag, "--gateway"
	if address == "" {
		address, from = p.getenv(gatewayVariable), gatewayVariable
	}
	if address == "" {
		address = defaultGateway
	}
	u, err := url.Parse(address)
	switch {
	case err == nil && u.User != nil:
		return nil, usageError("%s: an address with a user name or password in it is not possible", from)
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "":
		return nil, withHint(usageError("%s %q is no address of a gateway", from, address), "write it like %s", defaultGateway)
	}
	// Data must not follow a redirect to another host.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	token, err := p.credential(u)
	if err != nil {
		return nil, err
	}
	transport, err := p.transport()
	if err != nil {
		return nil, err
	}
	return &client{base: strings.TrimRight(u.String(), "/"), token: token, http: &http.Client{CheckRedirect: stay, Transport: transport}}, nil
}

func (c *client) submit(ctx context.Context, s submission) (job, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		return job{}, fmt.Errorf("writing the request: %w", err)
	}
	within := uploadTime
	if s.File != "" {
		within = readTime
	}
	return c.one(ctx, http.MethodPost, "/v1/jobs", b.Bytes(), within, "Idempotency-Key", `"`+s.key+`"`)
}

// get returns the job as it stands, at once.
func (c *client) get(ctx context.Context, id string) (job, error) {
	return c.one(ctx, http.MethodGet, "/v1/jobs/"+url.PathEscape(id), nil, answerTime)
}

// next waits until the job differs from revision, at most longPoll.
func (c *client) next(ctx context.Context, id string, revision uint64) (job, error) {
	q := url.Values{"wait": {longPoll.String()}, "revision": {strconv.FormatUint(revision, 10)}}
	return c.one(ctx, http.MethodGet, "/v1/jobs/"+url.PathEscape(id)+"?"+q.Encode(), nil, longPoll+answerTime)
}

func (c *client) cancel(ctx context.Context, id string) (job, error) {
	return c.one(ctx, http.MethodPost, "/v1/jobs/"+url.PathEscape(id)+"/cancel", nil, answerTime)
}

// result fetches the result of a job that is done.
func (c *client) result(ctx context.Context, id string) (json.RawMessage, error) {
	return c.do(ctx, http.MethodGet, "/v1/jobs/"+url.PathEscape(id)+"/result", nil, uploadTime)
}

// jobList is the answer of GET /v1/jobs.
type jobList struct {
	Jobs []job `json:"jobs"`
	More bool  `json:"more"` // there are older ones

	raw json.RawMessage // as it came, for --json
}

// jobFilter is which jobs are listed; zero fields choose none.
type jobFilter struct {
	state, microprotocol, uuid string
	limit                      int
}

// list returns the newest jobs, without results.
func (c *client) list(ctx context.Context, which jobFilter) (jobList, error) {
	q := url.Values{}
	for name, value := range map[string]string{"state": which.state, "microprotocol": which.microprotocol, "uuid": which.uuid} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if which.limit != 0 {
		q.Set("limit", strconv.Itoa(which.limit))
	}
	path := "/v1/jobs"
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	raw, err := c.do(ctx, http.MethodGet, path, nil, answerTime)
	if err != nil {
		return jobList{}, err
	}
	all := jobList{raw: raw}
	if err := json.Unmarshal(raw, &all); err != nil {
		return jobList{}, c.foreign(err)
	}
	return all, nil
}

func (c *client) one(ctx context.Context, method, path string, body []byte, within time.Duration, header ...string) (job, error) {
	raw, err := c.do(ctx, method, path, body, within, header...)
	if err != nil {
		return job{}, err
	}
	j := job{raw: raw}
	if err := json.Unmarshal(raw, &j); err != nil {
		return job{}, c.foreign(err)
	}
	if j.ID == "" || j.State == "" {
		return job{}, c.foreign(errors.New("the answer is no job"))
	}
	return j, nil
}

// do asks once and returns the body of a good answer. header has names and values by turns.
func (c *client) do(ctx context.Context, method, path string, body []byte, within time.Duration, header ...string) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("no answer within %s", within))
	defer cancel()
	answer, err := c.send(ctx, method, path, body, append(header, "Accept", "application/json, application/problem+json"))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	b, err := readAnswer(answer)
	if err != nil {
		return nil, c.unreachable(ctx, method, path, err)
	}
	if len(b) > answerLimit {
		return nil, fmt.Errorf("the answer of %s is larger than %d bytes", c.base+path, answerLimit)
	}
	if answer.StatusCode >= 200 && answer.StatusCode < 300 {
		return b, nil
	}
	return nil, c.refused(answer, b)
}

// send makes every request; header has names and values by turns. The caller closes the answer's body.
func (c *client) send(ctx context.Context, method, path string, body []byte, header []string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		var unknown *tls.CertificateVerificationError
		if errors.As(err, &unknown) {
			return nil, withHint(fmt.Errorf("the certificate of %s is not accepted: %w", c.base, unknown.Err), "name the file of the authority that issued it with --ca")
		}
		return nil, c.unreachable(ctx, method, path, err)
	}
	return answer, nil
}

// readAnswer reads a body, and a byte more than answerLimit at most.
func readAnswer(answer *http.Response) ([]byte, error) {
	return io.ReadAll(io.LimitReader(answer.Body, answerLimit+1))
}

// unreachableError says that no answer came: a later attempt may have one.
type unreachableError struct {
	tried string // method and address
	cause error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("the gateway cannot be reached (%s): %s", e.tried, e.cause)
}
func (e *unreachableError) Unwrap() error { return e.cause }

func (c *client) unreachable(ctx context.Context, method, path string, err error) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, errInterrupted) {
		return errInterrupted
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // the address is in tried
	}
	if cause != nil {
		err = cause
	}
	path, _, _ = strings.Cut(path, "?")
	return withHint(&unreachableError{method + " " + c.base + path, err},
		"`weft demo` starts gateways on this machine; --gateway or %s names the address of another", gatewayVariable)
}

// refusal is an answer that is no success: problem details (RFC 9457).
type refusal struct {
	Type   string `json:"type"`
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Reason string `json:"reason"`
}

func (e *refusal) Error() string {
	if e.Detail != "" {
		return e.Detail
	}
	return fmt.Sprintf("the gateway answered %d %s", e.Status, e.Title)
}

// temporary says whether the same question may have another answer soon.
func (e *refusal) temporary() bool {
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func (c *client) refused(answer *http.Response, body []byte) error {
	if answer.StatusCode >= 300 && answer.StatusCode < 400 {
		return withHint(fmt.Errorf("%s wants to send the request to %q, which is not done with data", c.base, answer.Header.Get("Location")),
			"name the gateway's own address with --gateway")
	}
	e := &refusal{}
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	ours := kind == "application/problem+json" && json.Unmarshal(body, e) == nil
	if !ours {
		e = &refusal{}
	}
	e.Status, e.Title = answer.StatusCode, http.StatusText(answer.StatusCode)
	switch {
	case ours && e.Status == http.StatusUnauthorized:
		return withHint(e, "give the token with --token @FILE or in %s; `weft token create` makes one at the node", tokenVariable)
	case ours, e.temporary():
		return e
	}
	return c.foreign(e)
}

// foreign is for answers that no gateway gives.
func (c *client) foreign(err error) error {
	return withHint(fmt.Errorf("what answers at %s is no gateway of weft, or one of another version: %w", c.base, err),
		"check the address; --gateway or %s names another", gatewayVariable)
}

// transient says whether a question is worth repeating.
func transient(err error) bool {
	var gone *unreachableError
	var no *refusal
	return errors.As(err, &gone) || errors.As(err, &no) && no.temporary()
}
