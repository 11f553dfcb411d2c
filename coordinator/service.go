package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
)

const (
	sweepEvery     = 5 * time.Second
	stopWait       = 2 * time.Second
	defaultVersion = "0.1.0"
)

// Service is a coordinator on a NATS connection. Its endpoints only sort what comes into a queue per party; workers serve
// the parties in turn, so that nobody's messages, good or bad, keep the others' out.
type Service struct {
	table   *Table
	micro   micro.Service
	nc      *nats.Conn
	logger  *slog.Logger
	queues  *queues
	dropped atomic.Uint64 // messages refused unread
	stop    context.CancelFunc
	done    chan struct{}
}

// Serve starts the NATS micro service broker.ServiceCoordinator on nc with the endpoints join, leave and status. It ends with
// ctx or Stop; the connection stays the caller's.
func Serve(ctx context.Context, nc *nats.Conn, c Config) (*Service, error) {
	if c.Identity == nil {
		return nil, errors.New("starting the coordinator: it has no identity; have one issued by the consortium's authority")
	}
	if c.Version == "" {
		c.Version = defaultVersion
	}
	t := NewTable(c)
	s := &Service{table: t, nc: nc, logger: t.config.Logger, queues: newQueues(), done: make(chan struct{})}
	m, err := micro.AddService(nc, micro.Config{
		Name:        broker.ServiceCoordinator,
		Version:     c.Version,
		Description: "Gathers the signed JOINs of a computation's parties and starts it. Sees who computes what with whom; no data, no keys, no results.",
		Metadata: map[string]string{
			"fingerprint": t.self.String(),
			"format":      fmt.Sprint(formatVersion),
			"max_parties": fmt.Sprint(t.config.MaxParties),
		},
		StatsHandler: s.stats,
		ErrorHandler: func(_ micro.Service, e *micro.NATSError) {
			s.logger.Warn("coordinator: broker reports an error", "subject", e.Subject, "error", e.Description)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("starting the coordinator: %w", err)
	}
	s.micro = m
	endpoints := []struct {
		name, subject, description string
		handler                    micro.HandlerFunc
	}{
		{"join", broker.JoinSubject("*"), "A party's signed JOIN; the reply is START, who is missing, another party's differing JOIN, or a refusal.", s.join},
		{"leave", broker.LeaveSubject("*"), "Withdraws the open JOIN that it names; signed by the same party.", s.leave},
		{endpointStatus, broker.SubjectStatus, "The coordinator's name, fingerprint and clock as JSON; numbers of JOINs and computations in its statistics.", s.status},
	}
	for _, e := range endpoints {
		err := m.AddEndpoint(e.name, e.handler, micro.WithEndpointSubject(e.subject),
			micro.WithEndpointMetadata(map[string]string{"description": e.description}))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("starting the coordinator's endpoint %s: %w", e.name, err), m.Stop())
		}
	}
	ctx, s.stop = context.WithCancel(ctx)
	go s.run(ctx)
	return s, nil
}

// run sweeps until ctx ends, then takes the endpoints down.
func (s *Service) run(ctx context.Context) {
	defer close(s.done)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) { // their work is signature checks
		workers.Go(func() { s.queues.serve(s.handle) })
	}
	defer workers.Wait()
	defer s.queues.close()
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.table.Sweep()
		case <-ctx.Done():
			err := s.micro.Stop()
			if err == nil { // until the broker has taken the subscriptions away, parties would be answered from a dead table
				err = s.nc.FlushTimeout(stopWait)
			}
			if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
				s.logger.Warn("coordinator: stopping", "error", err)
			}
			return
		}
	}
}

// Stop ends the endpoints and waits for the service's goroutines. Open JOINs are forgotten: parties repeat theirs, and
// whichever coordinator hears them next goes on.
func (s *Service) Stop() {
	s.stop()
	<-s.done
}

// join and leave sort only: each endpoint has one goroutine for all parties.
func (s *Service) join(r micro.Request) {
	m := message{party: strings.TrimPrefix(r.Subject(), broker.JoinSubject("")), reply: r.Reply(), data: r.Data()}
	if len(m.data) > maxJoin {
		s.dropped.Add(1)
		s.reply(m, refuse(CodeMalformed, "a JOIN of %d bytes; at most %d", len(m.data), maxJoin).answer(uuid.UUID{}).Encode(), nil)
		return
	}
	if !s.queues.add(m) {
		s.dropped.Add(1)
		s.reply(m, refuse(CodeBusy, "busy: %d messages of %s wait already; try again later", maxQueued, m.party).answer(uuid.UUID{}).Encode(), nil)
	}
}

func (s *Service) leave(r micro.Request) {
	m := message{leave: true, party: strings.TrimPrefix(r.Subject(), broker.LeaveSubject("")), reply: r.Reply(), data: r.Data()}
	if len(m.data) > maxJoin || !s.queues.add(m) {
		s.dropped.Add(1)
		s.reply(m, nil, errors.New("too long, or too many messages wait already"))
	}
}

// handle serves a message when its party's turn has come.
func (s *Service) handle(m message) {
	if m.leave {
		err := s.table.LeaveFrom(m.party, m.data)
		if err != nil {
			s.logger.Info("coordinator: LEAVE refused", "party", m.party, "reason", err)
		}
		s.reply(m, nil, err)
		return
	}
	reply, push := s.table.JoinFrom(m.party, m.data)
	// The others first: who asked will begin to send at once.
	for _, d := range push {
		if err := s.nc.Publish(broker.StartSubject(d.Name), d.Answer.Encode()); err != nil {
			s.logger.Warn("coordinator: telling a party", "party", d.Name, "kind", d.Answer.Kind.String(), "error", err)
		}
	}
	if reply.Kind == AnswerRefused {
		s.logger.Info("coordinator: JOIN refused", "party", m.party, "computation", reply.UUID, "code", reply.Code, "reason", reply.Text)
	}
	s.reply(m, reply.Encode(), nil)
}

const endpointStatus = "status"

// Status is what a coordinator answers to parties on the status subject. Nothing of it is signed: it is for people who look
// for a fault, and no computation hangs on it. Counts are for operators only: from them a party could tell when others compute.
type Status struct {
	Name        string               `json:"name"`
	Fingerprint identity.Fingerprint `json:"fingerprint"`
	Time        time.Time            `json:"time"` // its clock, UTC
	Deals       bool                 `json:"deals"`
}

// stats is what operators see with the endpoint "status".
func (s *Service) stats(e *micro.Endpoint) any {
	if e.Name != endpointStatus {
		return nil
	}
	n := s.table.Counts()
	n.Dropped = s.dropped.Load()
	return n
}

func (s *Service) status(r micro.Request) {
	now := s.table.config.Now
	b, err := json.Marshal(Status{Name: s.table.config.Identity.Name(), Fingerprint: s.table.self, Time: now().UTC(), Deals: s.table.config.Helper != nil})
	if err != nil {
		panic("coordinator: encoding its status: " + err.Error()) // text and integers only
	}
	if r.Reply() == "" { // published, not requested; r.Respond would fail
		return
	}
	if err := r.Respond(b); err != nil {
		s.logger.Warn("coordinator: replying", "error", err)
	}
}

// reply answers a message that was a request, as a NATS micro service does; its own Request is done with when the endpoint
// has sorted it.
func (s *Service) reply(m message, b []byte, refused error) {
	if m.reply == "" {
		return
	}
	out := &nats.Msg{Subject: m.reply, Data: b}
	if refused != nil {
		out.Header = nats.Header{micro.ErrorHeader: {printable(refused.Error(), maxText)}, micro.ErrorCodeHeader: {"400"}}
	}
	if err := s.nc.PublishMsg(out); err != nil {
		s.logger.Warn("coordinator: replying", "party", m.party, "error", err)
	}
}
