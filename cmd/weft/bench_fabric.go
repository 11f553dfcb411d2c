package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/simon"
)

// benchFabric is a fabric that is measured: in this process, or behind gateways.
type benchFabric struct {
	names   []string // of the parties, in the order of the computations
	remote  bool
	parties []*party     // in this process
	sent    func() int64 // bytes that all parties have sent to the broker so far; nil: unknown
	kept    httpAsker    // over HTTP
	fresh   httpAsker    // over HTTP, with a new connection for each request
}

// An asker lets one party take part in a computation.
type asker interface {
	// prepare takes the data, one JSON value, outside of the measured time.
	prepare(w work, data []byte) (input, error)
	// submit returns when the job is accepted.
	submit(ctx context.Context, party int, id uuid.UUID, in input) (job string, err error)
	// done returns when the job has ended well, and says when the party's node had it and when it ended, by its clock.
	done(ctx context.Context, party int, job string) (created, end time.Time, err error)
	// result waits for the job's result.
	result(ctx context.Context, party int, job string) ([]byte, error)
	// forget deletes the job.
	forget(ctx context.Context, party int, job string) error
}

// input is one party's data as its asker wants them.
type input struct {
	work     work
	prepared simon.Prepared
	data     []byte
}

// localFabric measures a demo.
func (p *program) localFabric(d *demo) (*benchFabric, error) {
	b := &benchFabric{names: d.names, parties: d.parties}
	b.sent = func() int64 {
		var n uint64
		for _, nc := range d.conns[1:] { // the first is the coordinator's
			n += nc.Stats().OutBytes
		}
		return int64(n)
	}
	var clients []*client
	for _, address := range d.urls {
		c, err := p.dial(address)
		if err != nil {
			return nil, err
		}
		clients = append(clients, c)
	}
	b.overHTTP(clients)
	return b, nil
}

// remoteFabric asks each gateway whose it is.
func remoteFabric(ctx context.Context, clients []*client) (*benchFabric, error) {
	b := &benchFabric{remote: true}
	for _, c := range clients {
		raw, err := c.do(ctx, http.MethodGet, "/v1/parties", nil, answerTime)
		if err != nil {
			return nil, err
		}
		var answer struct {
			Self string `json:"self"`
		}
		if err := json.Unmarshal(raw, &answer); err != nil || answer.Self == "" {
			return nil, c.foreign(errors.New("it does not say which party it is"))
		}
		if slices.Contains(b.names, answer.Self) {
			return nil, usageError("--gateway: %s is the gateway of %s, as another one is; name one for each party", c.base, answer.Self)
		}
		b.names = append(b.names, answer.Self)
	}
	b.overHTTP(clients)
	return b, nil
}

func (b *benchFabric) overHTTP(clients []*client) {
	with := func(t *http.Transport) httpAsker {
		a := httpAsker{parties: b.names}
		for _, c := range clients {
			hc := *c.http
			hc.Transport = t
			a.clients = append(a.clients, &client{base: c.base, token: c.token, http: &hc})
		}
		return a
	}
	from := http.DefaultTransport
	if len(clients) > 0 && clients[0].http.Transport != nil {
		from = clients[0].http.Transport // with the authority of --ca, which is one for all
	}
	kept := from.(*http.Transport).Clone()
	kept.MaxIdleConns, kept.MaxIdleConnsPerHost = 0, benchMostAtOne
	fresh := kept.Clone()
	fresh.DisableKeepAlives = true
	b.kept, b.fresh = with(kept), with(fresh)
}

// storeAsker goes to the job stores, as the gateways do.
type storeAsker struct{ *benchFabric }

func (b *benchFabric) store() asker { return storeAsker{b} }

func (a storeAsker) prepare(w work, data []byte) (input, error) {
	p, err := w.microprotocol.Prepare(bytes.NewReader(data), w.parameters, simon.Guard{})
	return input{work: w, prepared: p}, err
}

func (a storeAsker) submit(ctx context.Context, party int, id uuid.UUID, in input) (string, error) {
	round, limit, err := simon.Timing(in.prepared.Parameters)
	if err != nil {
		return "", err
	}
	now := time.Now().UTC()
	j, err := a.parties[party].jobs.Submit(ctx, jobs.Job{
		Caller: "bench", UUID: id, Microprotocol: in.work.microprotocol.Name, Version: in.work.microprotocol.Version,
		Parameters: in.prepared.Parameters, Layout: in.prepared.Layout, Parties: a.names, Self: party,
		Round: round, Limit: limit, Created: now, Deadline: now.Add(benchDeadline), Attempts: 5,
	}, in.prepared.Input)
	return j.ID.String(), err
}

func (a storeAsker) wait(ctx context.Context, party int, job string) (jobs.Job, error) {
	id, err := uuid.Parse(job)
	if err != nil {
		return jobs.Job{}, err
	}
	j, err := a.parties[party].jobs.Wait(ctx, id, jobs.Job.Terminal)
	if err == nil && j.State != jobs.Done {
		err = fmt.Errorf("the job has ended as %s", j.State)
		if j.Problem != nil {
			err = errors.New(j.Problem.Message)
		}
	}
	return j, err
}

func (a storeAsker) done(ctx context.Context, party int, job string) (created, end time.Time, err error) {
	j, err := a.wait(ctx, party, job)
	return j.Created, j.Ended, err
}

func (a storeAsker) result(ctx context.Context, party int, job string) ([]byte, error) {
	j, err := a.wait(ctx, party, job)
	if err != nil {
		return nil, err
	}
	return a.parties[party].jobs.Read(ctx, j.Result)
}

func (a storeAsker) forget(ctx context.Context, party int, job string) error {
	id, err := uuid.Parse(job)
	if err != nil {
		return err
	}
	err = a.parties[party].jobs.Delete(ctx, id)
	if errors.Is(err, jobs.ErrActive) || errors.Is(err, jobs.ErrNotFound) {
		return nil // interrupted: it goes with the fabric
	}
	return err
}

// httpAsker goes to the gateways.
type httpAsker struct {
	clients []*client
	parties []string
}

func (a httpAsker) prepare(w work, data []byte) (input, error) {
	return input{work: w, data: data}, nil
}

func (a httpAsker) submit(ctx context.Context, party int, id uuid.UUID, in input) (string, error) {
	j, err := a.post(ctx, party, id, in)
	return j.ID, err
}

// post submits a job, and returns it as it stands then.
func (a httpAsker) post(ctx context.Context, party int, id uuid.UUID, in input, header ...string) (job, error) {
	names, err := json.Marshal(a.parties)
	if err != nil {
		return job{}, err
	}
	parameters := in.work.parameters
	if parameters == nil {
		parameters = json.RawMessage("{}")
	}
	body := fmt.Appendf(nil, `{"microprotocol":%q,"uuid":%q,"parties":%s,"deadline":%q,"parameters":%s,"data":`,
		in.work.microprotocol.Name, id, names, benchDeadline, parameters)
	body = append(append(slices.Grow(body, len(in.data)+1), in.data...), '}')
	return a.clients[party].one(ctx, http.MethodPost, "/v1/jobs", body, uploadTime, header...)
}

func (a httpAsker) done(ctx context.Context, party int, id string) (created, end time.Time, err error) {
	for {
		q := url.Values{"wait": {longPoll.String()}}
		j, err := a.clients[party].one(ctx, http.MethodGet, "/v1/jobs/"+id+"?"+q.Encode(), nil, longPoll+answerTime)
		switch {
		case err != nil:
			return created, end, err
		case j.State == stateDone:
			return j.Created, j.Ended, nil
		case j.terminal():
			return created, end, ended(j)
		}
	}
}

func (a httpAsker) result(ctx context.Context, party int, id string) ([]byte, error) {
	return a.clients[party].result(ctx, id)
}

func (a httpAsker) forget(ctx context.Context, party int, id string) error {
	_, err := a.clients[party].do(ctx, http.MethodDelete, "/v1/jobs/"+id, nil, answerTime)
	return err
}

// waitingAsker goes to the gateways once for each job: the POST waits for its end and brings the result.
type waitingAsker struct {
	httpAsker
	results *sync.Map // by job
}

func (a waitingAsker) submit(ctx context.Context, party int, id uuid.UUID, in input) (string, error) {
	j, err := a.post(ctx, party, id, in, "Prefer", "wait="+strconv.Itoa(int(benchDeadline.Seconds())))
	switch {
	case err != nil:
		return j.ID, err
	case j.State != stateDone:
		return j.ID, ended(j)
	case j.Result == nil:
		return j.ID, errors.New("the job is done and brings no result")
	}
	a.results.Store(j.ID, []byte(j.Result))
	return j.ID, nil
}

func (a waitingAsker) result(_ context.Context, _ int, job string) ([]byte, error) {
	result, _ := a.results.LoadAndDelete(job)
	b, _ := result.([]byte)
	return b, nil
}

// benchData is what party k gives: the number k+1, or one list of values that begins with it.
func benchData(k, values int) []byte {
	if values == 0 {
		return strconv.AppendInt(nil, int64(k+1), 10)
	}
	b := append(make([]byte, 0, 5*values), "[["...)
	for i := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(k+1+i%1000), 10)
	}
	return append(b, "]]"...)
}

// checkBench compares results with what the data add up to.
func checkBench(results [][]byte, values int) error {
	n := len(results)
	if err := sameResults(results); err != nil {
		return err
	}
	var got struct {
		Samples int             `json:"samples"`
		Sum     json.RawMessage `json:"sum"`
	}
	if err := json.Unmarshal(results[0], &got); err != nil {
		return fmt.Errorf("the result is no sum: %w", err)
	}
	first := n * (n + 1) / 2
	if got.Samples != n {
		return fmt.Errorf("the result has %d samples, want %d", got.Samples, n)
	}
	if values == 0 {
		if string(got.Sum) != strconv.Itoa(first) {
			return fmt.Errorf("the sum is %.20s, want %d", got.Sum, first)
		}
		return nil
	}
	list := strings.Split(strings.Trim(string(got.Sum), "[]"), ",")
	if len(list) != values {
		return fmt.Errorf("the result has %d sums, want %d", len(list), values)
	}
	for i, s := range list {
		if want := first + n*(i%1000); strings.TrimSpace(s) != strconv.Itoa(want) {
			return fmt.Errorf("sum %d is %.20s, want %d", i, s, want)
		}
	}
	return nil
}

// atAll calls f for every party at once and returns when the last is ready, with the errors of all.
func (b *benchFabric) atAll(f func(party int) error) error {
	errs := make([]error, len(b.names))
	var all sync.WaitGroup
	for i, name := range b.names {
		all.Go(func() {
			if err := f(i); err != nil {
				errs[i] = fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
