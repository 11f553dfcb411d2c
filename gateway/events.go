package gateway

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/jobs"
)

const (
	heartbeat  = 15 * time.Second // between two signs of life of a stream: proxies close what is silent
	streamTime = 10 * time.Minute // under access control, until a client has to come again, with a credential that is still good
	knownTime  = time.Second      // for which a credential counts that was good
	reconnect  = 2 * time.Second  // until a client that has lost its stream asks again
	// overlap is how many revisions before Last-Event-ID are told again: two changes at a time may be told the other way
	// round, and the client may have lost its stream between them.
	overlap = 128
)

var errBusyWatching = busy("as many clients listen to events as this gateway allows; ask for the job with ?wait=30s instead, or listen later")

// stream is an answer of server-sent events (HTML Living Standard, §9.2).
type stream struct {
	w    http.ResponseWriter
	c    *http.ResponseController
	ctx  context.Context // ends with the client and with the gateway
	beat time.Duration
	b    bytes.Buffer

	known  func() error // why the credential that opened it counts no more
	looked time.Time    // when that was asked last
}

// openStream begins the answer. end must be called.
func (g *Gateway) openStream(w http.ResponseWriter, r *http.Request) (s *stream, end func(), err error) {
	if g.draining.Err() != nil {
		return nil, nil, errDraining
	}
	caller := callerOf(r.Context())
	if !g.watchers.enter(caller) {
		return nil, nil, errBusyWatching
	}
	if g.watching.Add(1) > int64(g.config.MaxWatchers) {
		g.watching.Add(-1)
		g.watchers.leave(caller)
		return nil, nil, errBusyWatching
	}
	ctx, cancel := context.WithCancel(r.Context())
	if g.config.Access != nil {
		ctx, cancel = context.WithTimeout(r.Context(), streamTime)
	}
	calm := context.AfterFunc(g.draining, cancel)
	stepAside(ctx)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Connection", "close")
	h.Set("X-Accel-Buffering", "no") // by which proxies pass events on at once
	s = &stream{w: w, c: http.NewResponseController(w), ctx: ctx, beat: g.beat, known: func() error { return g.stillKnown(r) }, looked: time.Now()}
	s.b.WriteString("retry: " + strconv.FormatInt(reconnect.Milliseconds(), 10) + "\n\n")
	return s, func() { calm(); cancel(); g.watching.Add(-1); g.watchers.leave(caller) }, s.flush()
}

// flush sends what was written. A client that takes too long loses its stream, and so does one whose credential has ended:
// before anything is sent that is asked, once in a second at most.
func (s *stream) flush() error {
	if now := time.Now(); now.Sub(s.looked) >= knownTime {
		if err := s.known(); err != nil {
			return err
		}
		s.looked = now
	}
	// An error means that there is no connection with deadlines below, as in a test's recorder.
	_ = s.c.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := s.w.Write(s.b.Bytes())
	s.b.Reset()
	return errors.Join(err, s.c.Flush(), s.ctx.Err())
}

// event writes one event; flush sends it.
func (s *stream) event(name string, id uint64, data []byte) {
	s.b.WriteString("event: " + name + "\nid: ")
	s.b.Write(strconv.AppendUint(s.b.AvailableBuffer(), id, 10))
	s.b.WriteString("\ndata: ")
	s.b.Write(data) // mustJSON writes one line
	s.b.WriteString("\n\n")
}

func (s *stream) alive() error {
	s.b.WriteString(":\n\n")
	return s.flush()
}

// lastEvent is the Last-Event-ID of a client that comes back, 0 for another.
func lastEvent(r *http.Request) (uint64, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		e := fail(http.StatusBadRequest, "bad-header", "Last-Event-ID: it must be the id of an event, a whole number")
		e.Field = "Last-Event-ID"
		return 0, e
	}
	return n, nil
}

// jobEvents tells where one job stands, now and whenever that changes, and ends with it.
func (g *Gateway) jobEvents(w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	seen, err := lastEvent(r)
	if err != nil {
		return err
	}
	if err := dropBody(w, r); err != nil {
		return err
	}
	j, err := g.pathJob(r)
	if err != nil {
		return err
	}
	if j.Terminal() && j.Revision == seen { // no news will come, which keeps the client from asking again
		w.Header().Del("Content-Type")
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	s, end, err := g.openStream(w, r)
	if err != nil && s == nil {
		return err
	}
	defer end()
	for err == nil {
		if j.Revision != seen {
			s.event("job", j.Revision, mustJSON(g.view(j)))
			seen = j.Revision
			if err = s.flush(); err != nil || j.Terminal() {
				break
			}
		}
		j, err = s.next(g.config.Jobs, j, seen)
	}
	if errors.Is(err, jobs.ErrNotFound) {
		s.gone(j.ID, seen)
		_ = s.flush()
	}
	return nil // what went wrong is no answer any more: the client asks again
}

// next waits for the job to differ from seen, and shows every now and then that the stream is alive.
func (s *stream) next(store *jobs.Store, j jobs.Job, seen uint64) (jobs.Job, error) {
	for {
		ctx, cancel := context.WithTimeout(s.ctx, s.beat)
		now, err := store.Wait(ctx, j.ID, func(j jobs.Job) bool { return j.Revision != seen })
		late := ctx.Err() != nil
		cancel()
		switch {
		case err == nil:
			return now, nil
		case s.ctx.Err() != nil || !late:
			return j, err
		}
		if err := s.alive(); err != nil {
			return j, err
		}
	}
}

// gone tells that a job was deleted.
func (s *stream) gone(id uuid.UUID, seen uint64) {
	s.event("deleted", seen, mustJSON(struct {
		ID uuid.UUID `json:"id"`
	}{id}))
}

// events tells where all of the caller's jobs stand, whenever one changes. It begins with those that have not ended and,
// for a client that comes back, those that have changed since.
func (g *Gateway) events(w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	since, err := lastEvent(r)
	if err != nil {
		return err
	}
	if err := dropBody(w, r); err != nil {
		return err
	}
	caller := listedFor(r.Context())
	s, end, err := g.openStream(w, r)
	if err != nil && s == nil {
		return err
	}
	defer end()
	l, silence := g.changes.listen(g.config.Jobs, caller)
	defer silence()
	if err == nil {
		err = g.present(s, caller, since)
	}
	beat := time.NewTicker(s.beat)
	defer beat.Stop()
	for err == nil {
		select {
		case <-l.wake:
			err = g.passOn(s, l)
		case <-beat.C:
			err = s.alive()
		case <-s.ctx.Done():
			err = s.ctx.Err()
		}
	}
	return nil // as above
}

// present tells where the jobs stand as a stream begins, the oldest change first.
func (g *Gateway) present(s *stream, caller string, since uint64) error {
	all, err := g.config.Jobs.Select(s.ctx, caller, func(j *jobs.Job) bool {
		return !j.Terminal() || since != 0 && j.Revision+overlap >= since
	}, func(a, b *jobs.Job) int { return cmp.Compare(a.Revision, b.Revision) }, 0)
	if err != nil {
		return err
	}
	for _, j := range all {
		s.event("job", j.Revision, mustJSON(g.view(j)))
		if s.b.Len() > freeBody {
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	return s.flush()
}

// passOn tells what has changed. A job that was deleted meanwhile is left out.
func (g *Gateway) passOn(s *stream, l *listen) error {
	list, over := g.changes.take(l)
	if over {
		return jobs.ErrClosed
	}
	for _, c := range list {
		if c.revision <= l.ahead[c.id] {
			continue
		}
		delete(l.ahead, c.id)
		j, err := g.config.Jobs.Get(s.ctx, c.id)
		if err != nil || !l.hears(j) {
			continue
		}
		if j.Revision > c.revision {
			l.ahead[c.id] = j.Revision
		}
		s.event("job", j.Revision, mustJSON(g.view(j)))
		if s.b.Len() > freeBody {
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
	return s.flush()
}
