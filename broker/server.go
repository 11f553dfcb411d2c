package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// startTimeout bounds the wait for a started server; recovery of a large store happens before it begins.
const startTimeout = 10 * time.Second

// Server is a broker running in this process.
type Server struct {
	srv    *server.Server
	listen bool
	users  map[string]bool // public keys
	log    *slog.Logger
	broken <-chan error

	mu    sync.Mutex
	conns []*nats.Conn // in process; closed by Shutdown
	down  bool
}

// Start runs a broker, which is ready when Start returns. It fails if the store has a stream that cannot be read.
func Start(c Config) (*Server, error) {
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	var streams []string
	if o.JetStream {
		if err := checkStoreKey(c.StoreDir, c.StoreKey); err != nil {
			return nil, fmt.Errorf("opening the store of broker %q: %w", c.Name, err)
		}
		if streams, err = listStreams(c.StoreDir, len(c.StoreKey) > 0); err != nil {
			return nil, fmt.Errorf("opening the store of broker %q: %w", c.Name, err)
		}
	}
	srv, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("configuring broker %q: %w", c.Name, err)
	}
	log := c.Logger
	if log == nil {
		log = slog.Default()
	}
	l := &logger{log: log.With("broker", c.Name), broken: make(chan error, 1)}
	srv.SetLoggerV2(l, false, false, false)
	srv.Start() // does not block; what stops it, it logs as fatal
	if err = l.fatal(); err == nil && !srv.ReadyForConnections(startTimeout) {
		err = fmt.Errorf("it is not ready after %s", startTimeout)
	}
	if err != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
		if c.Listen != "" && srv.Addr() == nil {
			return nil, fmt.Errorf("starting broker %q on %s: %w: is another process using this address?", c.Name, c.Listen, err)
		}
		return nil, fmt.Errorf("starting broker %q: %w", c.Name, err)
	}
	if o.JetStream {
		if err := checkStreams(srv, c.StoreDir, streams); err != nil {
			srv.Shutdown()
			srv.WaitForShutdown()
			return nil, fmt.Errorf("opening the store of broker %q: %w", c.Name, err)
		}
	}
	s := &Server{srv: srv, listen: c.Listen != "", users: map[string]bool{}, log: l.log, broken: l.broken}
	for _, a := range c.Accounts {
		for _, u := range a.Users {
			s.users[u.NKey] = true
		}
	}
	return s, nil
}

// options are the rendered text, and what it does not have.
func (c Config) options() (*server.Options, error) {
	text, err := c.Render()
	if err != nil {
		return nil, err
	}
	if c.TLS != nil {
		if err := c.TLS.checkServer(time.Now()); err != nil {
			return nil, fmt.Errorf("configuring broker %q: %w", c.Name, err)
		}
	}
	o := &server.Options{}
	if err := o.ProcessConfigString(text); err != nil {
		return nil, fmt.Errorf("configuring broker %q: %w", c.Name, err)
	}
	o.NoSigs = true // signals are the program's
	o.DontListen = c.Listen == ""
	o.JetStreamKey = string(c.StoreKey)
	return o, nil
}

// Connect opens a connection in process. The caller drains it when done; Shutdown closes it in any case. The options
// given come after weft's own and win over them.
func (s *Server) Connect(user Key, opts ...nats.Option) (*nats.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errors.New("connecting to the broker in this process: it was shut down")
	}
	if !s.users[user.public] { // the server would hang up without a word, and only when write_deadline has passed
		return nil, fmt.Errorf("connecting to the broker in this process: no account has the user %q", user.public)
	}
	nc, err := nats.Connect("", options(user, s.log, append([]nats.Option{nats.InProcessServer(s.srv)}, opts...))...)
	if err != nil {
		return nil, fmt.Errorf("connecting to the broker in this process as %s: %w", user.public, err)
	}
	s.conns = append(slices.DeleteFunc(s.conns, (*nats.Conn).IsClosed), nc)
	return nc, nil
}

// Broken gets an error when the store of a stream could not write, because the disk is full or fails. The stream takes no
// more writes then; only a new server over the same folder does.
func (s *Server) Broken() <-chan error { return s.broken }

// Addr is the address it listens on, with the real port; empty if it does not.
func (s *Server) Addr() string {
	if !s.listen {
		return ""
	}
	return s.srv.Addr().String()
}

// Shutdown closes the connections that are still open in this process, so that they do not see the server go, then
// stops the server and waits until it has. Callers who want what is under way to be handled drain their connections
// first. A second call does nothing.
func (s *Server) Shutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return
	}
	s.down = true
	for _, nc := range s.conns {
		nc.Close()
	}
	s.conns = nil
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
}
