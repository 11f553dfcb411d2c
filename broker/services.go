package broker

import (
	"context"
	crand "crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/weftmpc/weft/broker/identity"
)

// ServiceMetadata is the key of a micro service's metadata under which it announces its representation.
const ServiceMetadata = "weft.representation"

// Bounds of looking for services.
const (
	servicesAtOnce  = 64       // that one look asks by name
	instancesAtOnce = 16       // of a service, that are heard
	pingsAtOnce     = 1024     // answers to the question who is there
	mostPing        = 32 << 10 // bytes of such an answer, and of an announcement
	mostPending     = 4 << 20  // bytes of answers that wait to be read

	lookFor     = time.Second            // for the first answer
	quietAll    = 150 * time.Millisecond // after the last answer of all services
	quietNamed  = 100 * time.Millisecond // after the last answer of one
	probesAtMax = 16                     // services that are asked by name at the same time
)

// Services finds and calls the NATS micro services of a party's private account.
//
// A look asks everybody who is there, and then each by its name. Only the second answer counts: where every service has a
// user of its own, none but a service itself hears what it is asked by its name, and the way back of the question is drawn at
// random. So a service cannot speak for another one, and one that answers without end drowns nothing but itself.
type Services struct{ nc *nats.Conn }

// NewServices takes a connection to the private account; it stays the caller's.
func NewServices(nc *nats.Conn) *Services { return &Services{nc} }

// ServiceInstance is one running copy of a service, as it announces itself.
type ServiceInstance struct {
	Name      string
	Version   string
	Metadata  string   // under ServiceMetadata; "" if there is none
	Endpoints []string // names of those whose subject is ServiceSubject(Name, name)
}

// Limit is the largest body of a request, in bytes.
func (s *Services) Limit() int { return int(s.nc.MaxPayload()) }

// Find returns the instances of the services named and of whichever others there are, 64 services at most: the named ones
// first. Services without ServiceMetadata are nobody's objects and are left out.
func (s *Services) Find(ctx context.Context, names []string) ([]ServiceInstance, error) {
	var (
		mu    sync.Mutex
		there = map[string]bool{}
	)
	err := s.ask(ctx, micro.APIPrefix+".PING", pingsAtOnce, quietAll, func(m *nats.Msg) {
		var p struct{ Name string }
		if json.Unmarshal(m.Data, &p) == nil && identity.CheckName(p.Name) == nil {
			mu.Lock()
			defer mu.Unlock()
			there[p.Name] = true
		}
	})
	if err != nil {
		return nil, fmt.Errorf("looking for services: %w", err)
	}
	mu.Lock()
	asked := slices.Clone(names)
	for _, name := range names {
		delete(there, name)
	}
	others := make([]string, 0, len(there))
	for name := range there {
		others = append(others, name)
	}
	mu.Unlock()
	// Whoever comes under many names takes the others' place in some looks, and not in all.
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	asked = append(asked, others...)
	return s.inquire(ctx, asked[:min(len(asked), servicesAtOnce)])
}

// inquire asks services by their names.
func (s *Services) inquire(ctx context.Context, names []string) ([]ServiceInstance, error) {
	var (
		wg    sync.WaitGroup
		slots = make(chan struct{}, probesAtMax)
		found = make([][]ServiceInstance, len(names))
		errs  = make([]error, len(names))
	)
	for i, name := range names {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			var (
				mu   sync.Mutex
				list []ServiceInstance
			)
			errs[i] = s.ask(ctx, micro.APIPrefix+".INFO."+name, instancesAtOnce, quietNamed, func(m *nats.Msg) {
				if one, ok := readInstance(name, m.Data); ok {
					mu.Lock()
					defer mu.Unlock()
					list = append(list, one)
				}
			})
			mu.Lock() // an answer may still come in
			defer mu.Unlock()
			found[i] = slices.Clone(list)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("asking services: %w", err)
	}
	return slices.Concat(found...), nil
}

// readInstance reads the answer to an INFO.
func readInstance(name string, data []byte) (ServiceInstance, bool) {
	var info micro.Info
	if json.Unmarshal(data, &info) != nil || info.Name != name || info.Metadata[ServiceMetadata] == "" {
		return ServiceInstance{}, false
	}
	one := ServiceInstance{Name: name, Version: info.Version, Metadata: info.Metadata[ServiceMetadata]}
	for _, e := range info.Endpoints {
		if e.Subject == ServiceSubject(name, e.Name) {
			one.Endpoints = append(one.Endpoints, e.Name)
		}
	}
	return one, true
}

// ask publishes a question and hands over answers until there are most, or none has come for the time quiet. Longer ones
// than mostPing are passed over. No answer at all is no error.
func (s *Services) ask(ctx context.Context, subject string, most int, quiet time.Duration, take func(*nats.Msg)) error {
	// The library's own inboxes follow one from the other, and a stranger could count on.
	secret := make([]byte, 16)
	_, _ = crand.Read(secret) // never fails
	inbox := s.nc.NewInbox() + "." + hex.EncodeToString(secret)
	heard, nobody := make(chan struct{}, 1), make(chan struct{}, 1)
	sub, err := s.nc.Subscribe(inbox, func(m *nats.Msg) {
		into := heard
		switch {
		case len(m.Data) == 0 && m.Header.Get("Status") == "503":
			into = nobody
		case len(m.Data) <= mostPing:
			take(m)
		}
		select {
		case into <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }() // an error is a connection that is gone
	if err := errors.Join(sub.SetPendingLimits(most, mostPending), sub.AutoUnsubscribe(most)); err != nil {
		return err
	}
	if err := s.nc.PublishRequest(subject, inbox, nil); err != nil {
		return err
	}
	end := time.NewTimer(lookFor)
	defer end.Stop()
	wait := time.NewTimer(lookFor)
	defer wait.Stop()
	for {
		select {
		case <-heard:
			wait.Reset(quiet)
		case <-nobody: // so says the broker, or a service that wants the others not to be heard
			wait.Reset(quiet)
		case <-wait.C:
			return nil
		case <-end.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ErrNoService says that no instance of a service is there.
var ErrNoService = errors.New("no such service is running")

// ServiceError is what a service answers with in place of a result.
type ServiceError struct {
	Code int    // of the header Nats-Service-Error-Code; 0 if that is no number of three digits
	Text string // of the header Nats-Service-Error; it may hold data
}

func (e *ServiceError) Error() string { return "the service answered with an error" }

// Call sends a request to an endpoint of a service and returns the answer. It waits as long as ctx says.
func (s *Services) Call(ctx context.Context, service, endpoint string, body []byte) ([]byte, error) {
	m, err := s.nc.RequestWithContext(ctx, ServiceSubject(service, endpoint), body)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, ErrNoService
	case err != nil:
		return nil, fmt.Errorf("calling the service %s: %w", service, err)
	}
	text, code := m.Header.Get(micro.ErrorHeader), m.Header.Get(micro.ErrorCodeHeader)
	if text == "" && code == "" {
		return m.Data, nil
	}
	e := &ServiceError{Text: text}
	if n, err := strconv.ParseUint(code, 10, 16); err == nil && len(code) == 3 {
		e.Code = int(n)
	}
	return nil, e
}
