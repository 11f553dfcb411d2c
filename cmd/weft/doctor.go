package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
)

const (
	expirySoon   = 7 * 24 * time.Hour
	hubTimeout   = 10 * time.Second
	replyTimeout = 5 * time.Second
	replyAgain   = 200 * time.Millisecond
	clockWarning = 30 * time.Second // of the 2 min that the protocols bear
	spaceWarning = 1 << 30          // bytes
)

// finding is one line of the doctor's.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok, warning or error
	Text   string `json:"text"`
	Advice string `json:"advice,omitempty"`
}

// doctor looks at everything that a node needs and goes on after a finding where it can.
type doctor struct {
	config nodeConfig
	file   string
	now    func() time.Time
	tell   func(finding)
	errors int
}

func (d *doctor) ok(check, format string, a ...any) {
	d.tell(finding{Check: check, Status: "ok", Text: fmt.Sprintf(format, a...)})
}

func (d *doctor) warn(check, advice, format string, a ...any) {
	d.tell(finding{Check: check, Status: "warning", Text: fmt.Sprintf(format, a...), Advice: advice})
}

func (d *doctor) wrong(check, advice, format string, a ...any) {
	d.errors++
	d.tell(finding{Check: check, Status: "error", Text: fmt.Sprintf(format, a...), Advice: advice})
}

func (p *program) doctorCommand() *cobra.Command {
	var (
		file   string
		asJSON bool
	)
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check a node's configuration, files, certificates, clock and links, and say what to do",
		Long: `Looks at everything that a node needs before it can compute: the configuration, who can read its files, its
certificates, its store, the hub, the coordinator and the clock. It changes nothing and can run beside the node.

The exit code is 0 if the node can compute, 1 if something is wrong.`,
		Example: `  weft doctor --config alice/node.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			out := c.OutOrStdout()
			tell := func(f finding) { printFinding(out, f) }
			var all []finding
			if asJSON {
				tell = func(f finding) { all = append(all, f) }
			}
			d := &doctor{file: file, now: p.now, tell: tell}
			d.examine(c.Context(), p.environ())
			if asJSON {
				e := json.NewEncoder(out)
				e.SetIndent("", "  ")
				if err := e.Encode(all); err != nil {
					return err
				}
			}
			if d.errors > 0 {
				return &exitError{exitFailed}
			}
			return nil
		},
	}
	c.Flags().StringVar(&file, "config", "node.yaml", "the node's configuration file")
	c.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	return c
}

func printFinding(w io.Writer, f finding) {
	fmt.Fprintf(w, "%-8s %-14s %s\n", f.Status, f.Check, oneLine(f.Text))
	if f.Advice != "" {
		fmt.Fprintf(w, "%-8s %-14s do: %s\n", "", "", oneLine(f.Advice))
	}
}

func (d *doctor) examine(ctx context.Context, environ []string) {
	var err error
	if d.config, err = loadNode(d.file, environ); err != nil {
		advice := "correct the file; `weft node init` writes one with every key and its meaning"
		var h *hinted
		if errors.As(err, &h) {
			advice = h.hint
		}
		d.wrong("configuration", advice, "%v", err)
		return // everything else is read from it
	}
	d.ok("configuration", "%s: %d parties, profile %s, durability %s", d.file, len(d.config.Parties), d.config.Profile, d.config.Durability)
	d.files()
	id := d.identity()
	d.tlsCertificate()
	d.store(id)
	d.links(ctx)
}

// files looks at who can read and change what.
func (d *doctor) files() {
	if runtime.GOOS == "windows" { // mode bits say nothing there
		return
	}
	c, good := d.config, true
	for _, path := range []string{c.Identity.Key, c.Hub.Key, c.Hub.NKey} {
		if err := identity.CheckPrivate(path); err != nil {
			good = false
			d.wrong("files", "chmod 600 "+path, "%v", err)
		}
	}
	if info, err := os.Stat(c.State); err == nil && info.Mode().Perm()&0o077 != 0 {
		good = false
		d.warn("files", "chmod 700 "+c.State, "the state folder %s can be entered by others (mode %04o)", c.State, info.Mode().Perm())
	}
	if info, err := os.Stat(d.file); err == nil && info.Mode().Perm()&0o022 != 0 {
		good = false
		d.wrong("files", "chmod 644 "+d.file, "%s can be changed by others (mode %04o), who could add a party", d.file, info.Mode().Perm())
	}
	if good {
		d.ok("files", "keys are readable by their owner only")
	}
}

// identity looks at the certificate that other parties see. It returns nil if there is none.
func (d *doctor) identity() *identity.Identity {
	c := d.config
	id, _, err := c.Identity.load(c.CA, d.now())
	if err != nil {
		advice := "bring back the files that `weft ca issue` wrote, or have new ones issued"
		var h *hinted
		if errors.As(err, &h) {
			advice = h.hint
		}
		d.wrong("identity", advice, "%v", err)
		return nil
	}
	d.validity("identity", fmt.Sprintf("%s, %s, fingerprint %s", id.Name(), id.Leaf.Organisation, id.FP()), id.Name(), id.Leaf.NotAfter)
	if _, err := c.party(id); err != nil {
		d.wrong("parties", "put this party's own entry, as `weft ca issue` printed it, into "+d.file, "%v", err)
	} else {
		d.ok("parties", "this party's entry is there, and %d others", len(c.Parties)-1)
	}
	return id
}

func (d *doctor) validity(check, what, name string, until time.Time) {
	left := until.Sub(d.now())
	text := fmt.Sprintf("%s, valid until %s (%d days)", what, until.UTC().Format(time.RFC3339), int(left.Hours()/24))
	if left < expirySoon {
		d.warn(check, "renew it: whoever keeps the authority runs `weft ca issue "+name+" --renew`", "%s", text)
		return
	}
	d.ok(check, "%s", text)
}

// tlsCertificate looks at the certificate that the hub sees.
func (d *doctor) tlsCertificate() {
	h := d.config.Hub
	again := "bring back the files that `weft ca issue` wrote, or have new ones issued"
	pair, err := broker.TLS{Cert: h.Cert, Key: h.Key, CA: h.CA}.Load()
	if err != nil {
		d.wrong("tls", again, "%v", err)
		return
	}
	pem, err := identity.ReadSmall(h.CA)
	roots := x509.NewCertPool()
	if err == nil && !roots.AppendCertsFromPEM(pem) {
		err = fmt.Errorf("%s holds no certificate", h.CA)
	}
	if err != nil {
		d.wrong("tls", again, "hub.ca: %v", err)
		return
	}
	name := pair.Leaf.Subject.CommonName
	_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: d.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		d.wrong("tls", "whoever keeps the authority renews it with `weft ca issue "+name+" --renew`; if it should be valid, look at this machine's clock",
			"%s is valid from %s to %s, and this machine's clock says %s", h.Cert, pair.Leaf.NotBefore.UTC().Format(time.RFC3339),
			pair.Leaf.NotAfter.UTC().Format(time.RFC3339), d.now().UTC().Format(time.RFC3339))
	case err != nil:
		d.wrong("tls", again, "%s: %v", h.Cert, err)
	default:
		d.validity("tls", h.Cert, name, pair.Leaf.NotAfter)
	}
}

// store writes into the state folder, and opens the store in it unless a node has it open.
func (d *doctor) store(id *identity.Identity) {
	dir := d.config.State
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(filepath.Dir(dir)); err != nil {
			d.wrong("store", "make the folder above it, or change `state` in "+d.file, "the state folder cannot be made: %v", err)
			return
		}
		d.ok("store", "%s is made when the node first starts", dir)
		return
	}
	f, err := os.CreateTemp(dir, "doctor-*")
	if err == nil {
		_, err = f.Write(make([]byte, 4096))
		err = errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
	}
	if err != nil {
		d.wrong("store", "see to free space, and that the user who runs weft owns "+dir, "the state folder cannot be written: %v", err)
		return
	}
	if free, ok := freeSpace(dir); ok && free < spaceReserve {
		d.wrong("store", "make room: the node accepts and computes nothing until there is some", "%d MiB are free on the disk of %s, and %d are needed", free>>20, dir, spaceReserve>>20)
	} else if ok && free < spaceWarning {
		d.warn("store", "make room: a full disk stops computations until there is some", "%d MiB are free on the disk of %s", free>>20, dir)
	}
	state, err := openState(dir)
	switch {
	case errors.Is(err, errInUse):
		d.ok("store", "%s can be written; a node has it open", dir)
	case err != nil:
		d.wrong("store", "bring back the folder as it was from a backup, or use a new one: open computations are lost, results too", "%v", err)
	case id == nil:
		state.close()
		d.ok("store", "%s can be written", dir)
	default:
		defer state.close()
		d.openStore(dir, partyConfig{state: state, identity: id, power: d.config.Durability == "power", logger: slog.New(slog.DiscardHandler)})
	}
}

// openStore opens the jobs as a node would, so that a damaged store or a wrong key shows.
func (d *doctor) openStore(dir string, c partyConfig) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	p := &party{stop: func() {}, failed: make(chan struct{})}
	err := p.openStores(ctx, c)
	if err == nil {
		_, err = p.jobs.List(ctx, "")
	}
	if err = errors.Join(err, p.close()); err != nil {
		d.wrong("store", "bring back the folder as it was from a backup, or use a new one: open computations are lost, results too", "%v", err)
		return
	}
	d.ok("store", "%s can be written, and its jobs can be read", dir)
}

// links connects to the hub as the node does, and asks the coordinator.
func (d *doctor) links(ctx context.Context) {
	c := d.config
	remote, err := c.Hub.remote()
	if err != nil {
		d.wrong("hub", "bring back the file that `weft ca issue` wrote", "%v", err)
		return
	}
	refused := make(chan error, 1)
	connected := make(chan struct{}, 1)
	nc, err := broker.Dial(remote, slog.New(slog.DiscardHandler), nats.Name("weft doctor"),
		nats.ConnectHandler(func(*nats.Conn) { connected <- struct{}{} }),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			select {
			case refused <- err:
			default:
			}
		}))
	if err != nil {
		d.wrong("hub", "correct hub in "+d.file, "%v", err)
		return
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, hubTimeout)
	defer cancel()
	select {
	case <-connected:
	case err := <-refused:
		d.wrong("hub", broker.Hint(err), "no connection to %s: %v", c.Hub.URL, err)
		return
	case <-ctx.Done():
		d.wrong("hub", "is the address right, and does a firewall let us out to it?", "no connection to %s within %s", c.Hub.URL, hubTimeout)
		return
	}
	rtt, err := nc.RTT()
	if err != nil {
		d.wrong("hub", "look at the hub's log", "%s does not answer: %v", c.Hub.URL, err)
		return
	}
	d.ok("hub", "%s lets us in; %s there and back", c.Hub.URL, rtt.Round(10*time.Microsecond))
	d.askCoordinator(ctx, nc)
}

func (d *doctor) askCoordinator(ctx context.Context, nc *nats.Conn) {
	ctx, cancel := context.WithTimeout(ctx, replyTimeout)
	defer cancel()
	began := d.now()
	m, err := nc.RequestWithContext(ctx, broker.SubjectStatus, nil)
	for errors.Is(err, nats.ErrNoResponders) && pause(ctx, replyAgain) == nil { // it may be starting just now
		began = d.now()
		m, err = nc.RequestWithContext(ctx, broker.SubjectStatus, nil)
	}
	took := d.now().Sub(began)
	if err != nil {
		d.wrong("coordinator", "is it running, and connected to this hub? Ask whoever runs it", "it does not answer: %v", err)
		return
	}
	var s coordinator.Status
	if err := json.Unmarshal(m.Data, &s); err != nil {
		d.wrong("coordinator", "is it of another version?", "its answer cannot be read")
		return
	}
	if s.Fingerprint.String() != d.config.Coordinator {
		d.wrong("coordinator", "compare `coordinator` in "+d.file+" with what whoever runs it says", "%s answers with fingerprint %s, the configuration has %s",
			oneLine(s.Name), s.Fingerprint, d.config.Coordinator)
	} else {
		d.ok("coordinator", "%s answers", oneLine(s.Name))
	}
	off := began.Add(took / 2).Sub(s.Time)
	text := fmt.Sprintf("this machine's clock is %s %s the coordinator's", off.Abs().Round(10*time.Millisecond), beforeOrAfter(off))
	switch advice := "let both machines take their time from NTP"; {
	case off.Abs() > coordinator.ClockTolerance:
		d.wrong("clock", advice, "%s; at most %s is possible", text, coordinator.ClockTolerance)
	case off.Abs() > clockWarning:
		d.warn("clock", advice, "%s; at most %s is possible", text, coordinator.ClockTolerance)
	default:
		d.ok("clock", "%s", text)
	}
}

func beforeOrAfter(off time.Duration) string {
	if off < 0 {
		return "behind"
	}
	return "ahead of"
}
