package coordinator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/weftmpc/weft/broker"
)

const (
	sweepEvery     = 5 * time.Second
	stopWait       = 2 * time.Second
	defaultVersion = "0.1.0"
)

// Service is a coordinator on a NATS connection.
type Service struct {
	table  *Table
	micro  micro.Service
	nc     *nats.Conn
	logger *slog.Logger
	stop   context.CancelFunc
	done   chan struct{}
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
	s := &Service{table: t, nc: nc, logger: t.config.Logger, done: make(chan struct{})}
	m, err := micro.AddService(nc, micro.Config{
		Name:        broker.ServiceCoordinator,
		Version:     c.Version,
		Description: "Gathers the signed JOINs of a computation's parties and starts it. Sees who computes what with whom; no data, no keys, no results.",
		Metadata: map[string]string{
			"fingerprint": t.self.String(),
			"format":      fmt.Sprint(formatVersion),
			"max_parties": fmt.Sprint(t.config.MaxParties),
		},
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
		{"join", broker.SubjectJoin, "A party's signed JOIN; the reply is START, who is missing, another party's differing JOIN, or a refusal.", s.join},
		{"leave", broker.SubjectLeave, "Withdraws the open JOIN that it names; signed by the same party.", s.leave},
		{"status", broker.SubjectStatus, "Numbers of JOINs and computations as JSON.", s.status},
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

// Stop ends the endpoints and waits for the service's goroutine. Open JOINs are forgotten: parties repeat theirs, and
// whichever coordinator hears them next goes on.
func (s *Service) Stop() {
	s.stop()
	<-s.done
}

func (s *Service) join(r micro.Request) {
	reply, push := s.table.Join(r.Data())
	// The others first: who asked will begin to send at once.
	for _, d := range push {
		if err := s.nc.Publish(broker.StartSubject(d.Name), d.Answer.Encode()); err != nil {
			s.logger.Warn("coordinator: telling a party", "party", d.Name, "kind", d.Answer.Kind.String(), "error", err)
		}
	}
	if reply.Kind == AnswerRefused {
		s.logger.Info("coordinator: JOIN refused", "uuid", reply.UUID, "code", reply.Code, "reason", reply.Text)
	}
	s.respond(r, reply.Encode())
}

func (s *Service) leave(r micro.Request) {
	if err := s.table.Leave(r.Data()); err != nil {
		s.logger.Info("coordinator: LEAVE refused", "reason", err)
		if r.Reply() == "" {
			return
		}
		if err := r.Error("400", printable(err.Error(), maxText), nil); err != nil {
			s.logger.Warn("coordinator: replying", "error", err)
		}
		return
	}
	s.respond(r, nil)
}

func (s *Service) status(r micro.Request) {
	b, err := json.Marshal(s.table.Counts())
	if err != nil {
		panic("coordinator: encoding counts: " + err.Error()) // integers only
	}
	s.respond(r, b)
}

func (s *Service) respond(r micro.Request, b []byte) {
	if r.Reply() == "" { // published, not requested; r.Respond would fail
		return
	}
	if err := r.Respond(b); err != nil {
		s.logger.Warn("coordinator: replying", "error", err)
	}
}
