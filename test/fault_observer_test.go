package test

import (
	"bytes"
	endian "encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/node/session"
)

// Who runs the hub that processes connect to, with an account that may see everything, finds no input, partial sum or result
// in what passes its listening port; who listens on the line sees TLS and nothing of weft or NATS. The same search of the same
// capture finds what a process says in the clear. (Processes cannot be made to say it: a program without sealing does not
// run outside of tests, see TestObserverWouldFindUnsealedValues.)
func TestFaultObserverOfTheHubsPort(t *testing.T) {
	r := prepareRack(t, rackOptions{observed: true, proxied: true})
	tap := newTap(t, r.hubAt)
	for _, p := range r.proxies {
		p.mu.Lock()
		p.target = tap.addr
		p.mu.Unlock()
	}
	r.start()
	ns, ids := needles{}, map[string]bool{}
	for _, data := range []map[string]rows{scalars, vectors} {
		k := r.sum(time.Minute)
		for party := range k.data {
			k.data[party] = data[party].json()
		}
		ids[k.uuid.String()] = true
		for party, id := range r.giveAny(k) {
			r.doneAny(party, id)
		}
		for what, more := range secrets(t, data) {
			ns[what] = append(ns[what], more...)
		}
	}
	seen := r.watched.messages()
	shares := 0
	for _, s := range seen {
		id, _, _, ok := broker.ParseShare(s.Subject)
		if kind, _, known := session.Kind(s.Data); ok && ids[id] && known && kind == session.KindShare {
			shares++
		}
	}
	if shares < 2*2*6 { // two computations, each message in two accounts, one for each ordered pair
		t.Errorf("the observer saw %d share messages, fewer than the parties send", shares)
	}
	for _, s := range sightingsIn(seen, ns) {
		t.Error(s)
	}

	// On the line.
	streams := tap.streams()
	if len(streams) < 2*4 {
		t.Errorf("%d streams through the tap", len(streams))
	}
	for name, b := range streams {
		if err := onlyTLS(b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, word := range []string{"weft.", "INFO {", "CONNECT {", "PING\r\n", "_INBOX"} {
			if bytes.Contains(b, []byte(word)) {
				t.Errorf("%s: %q in the clear", name, word)
			}
		}
		for _, n := range ns.in(b) {
			t.Errorf("%s: %s", name, n)
		}
	}

	// It would be found: carol's keys, the real port, one of her values as the protocol encodes it.
	carol := r.dialAs("carol")
	value := parseNumber(t, scalars["carol"].json())
	must(t, carol.Publish(broker.Share(uuid.NewString(), "alice", "carol"), append([]byte{1, 2, 3}, value.element()...)))
	must(t, carol.Flush())
	found := map[string]bool{}
	for _, s := range sightingsIn(r.watched.messages(), ns) {
		found[s.Account+": "+s.what] = true
	}
	for _, account := range []string{"ALICE", "CAROL"} {
		if !found[account+": carol's input 0, 0"] && !found[account+": the sum 0 of carol"] {
			t.Errorf("a value in the clear is not found in account %s: %v", account, found)
		}
	}
	if onlyTLS([]byte("INFO {}\r\n")) == nil {
		t.Error("plain NATS passes for TLS")
	}
}

// giveAny posts all parts and returns the jobs' names; the result may be of any shape.
func (r *rack) giveAny(k task) map[string]string {
	r.t.Helper()
	ids := map[string]string{}
	for _, party := range r.parties {
		var j struct{ ID string }
		must(r.t, r.ask(r.t.Context(), party, "POST", "/v1/jobs", k.body(party, r.parties), 202, &j))
		ids[party] = j.ID
	}
	return ids
}

func (r *rack) doneAny(party, id string) {
	r.t.Helper()
	var j struct{ State, Detail string }
	must(r.t, r.ask(r.t.Context(), party, "GET", "/v1/jobs/"+id+"?wait=50s", "", 200, &j))
	if j.State != "done" {
		r.t.Fatalf("%s: %s %s", party, j.State, j.Detail)
	}
}

// dialAs connects to the hub's port with a party's own files.
func (r *rack) dialAs(party string) *nats.Conn {
	r.t.Helper()
	seed, err := os.ReadFile(r.path(party, "nats.nk"))
	must(r.t, err)
	key, err := broker.ParseKey(bytes.TrimSpace(seed))
	must(r.t, err)
	nc, err := broker.Dial(broker.Remote{URL: hubURL(r.hubAt), User: key, TLS: &broker.TLS{
		Cert: r.path(party, identity.FileTLSCert), Key: r.path(party, identity.FileTLSKey), CA: r.path(party, identity.FileCACert),
	}}, slog.New(slog.DiscardHandler))
	must(r.t, err)
	r.t.Cleanup(nc.Close)
	await(r.t, "a connection to the hub", nc.IsConnected)
	return nc
}

// sightingsIn searches messages for secrets.
func sightingsIn(seen []brokertest.Seen, ns needles) (found []sighting) {
	for _, s := range seen {
		parts := [][]byte{[]byte(s.Subject), []byte(s.Reply), s.Data}
		for k, values := range s.Header {
			parts = append(parts, []byte(k), []byte(strings.Join(values, "\x00")))
		}
		for _, part := range parts {
			for _, n := range ns.in(part) {
				found = append(found, sighting{n, s})
			}
		}
	}
	return found
}

// onlyTLS wants a stream to be TLS records from its first byte on: a handshake, then application data.
func onlyTLS(b []byte) error {
	const changeCipherSpec, alert, handshake, applicationData = 20, 21, 22, 23
	for at, records := 0, 0; at < len(b); records++ {
		if len(b)-at < 5 {
			return nil // the stream goes on
		}
		kind, version, size := b[at], endian.BigEndian.Uint16(b[at+1:]), int(endian.BigEndian.Uint16(b[at+3:]))
		switch {
		case records == 0 && kind != handshake:
			return fmt.Errorf("it begins with %q", b[:min(len(b), 16)])
		case kind != changeCipherSpec && kind != handshake && kind != applicationData && kind != alert,
			version != 0x0301 && version != 0x0303, size > 1<<14+256:
			return fmt.Errorf("record %d at byte %d is no TLS: %q", records, at, b[at:min(len(b), at+16)])
		case records > 2 && kind != applicationData:
			return fmt.Errorf("record %d at byte %d is of kind %d after the handshake", records, at, kind)
		}
		at += 5 + size
	}
	if len(b) == 0 {
		return errors.New("nothing passed")
	}
	return nil
}

// tap passes connections on to a target and keeps all bytes of both directions.
type tap struct {
	addr string

	mu   sync.Mutex
	bufs map[string]*lockedBuffer
}

func newTap(t testing.TB, target string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &tap{addr: l.Addr().String(), bufs: map[string]*lockedBuffer{}}
	var done sync.WaitGroup
	t.Cleanup(func() { l.Close(); done.Wait() })
	done.Go(func() {
		for n := 0; ; n++ {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", target)
			if err != nil {
				near.Close()
				continue
			}
			t.Cleanup(func() { near.Close(); far.Close() })
			done.Go(func() { p.carry(far, near, fmt.Sprintf("connection %d to the hub", n)) })
			done.Go(func() { p.carry(near, far, fmt.Sprintf("connection %d from the hub", n)) })
		}
	})
	return p
}

func (p *tap) carry(to, from net.Conn, name string) {
	b := &lockedBuffer{}
	p.mu.Lock()
	p.bufs[name] = b
	p.mu.Unlock()
	_, _ = io.Copy(io.MultiWriter(to, b), from)
	to.Close()
	from.Close()
}

func (p *tap) streams() map[string][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[string][]byte{}
	for name, b := range p.bufs {
		all[name] = []byte(b.String())
	}
	return all
}
