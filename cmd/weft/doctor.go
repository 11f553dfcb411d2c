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
	euid   int // the user it runs as; -1 on Windows
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
certificates, its store, the hub, the coordinator and the clock. It changes nothing and can run beside the node, as the
node's own user: another may or may not do what the node's cannot or can.

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
			d := &doctor{file: file, euid: os.Geteuid(), now: p.now, tell: tell}
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

// advice is what to do about an error by its own hint, or else by the doctor's.
func advice(err error, otherwise string) string {
	var h *hinted
	if errors.As(err, &h) {
		return h.hint
	}
	return otherwise
}

func (d *doctor) examine(ctx context.Context, environ []string) {
	var err error
	if d.config, err = loadNode(d.file, environ); err != nil {
		d.wrong("configuration", advice(err, "correct the file; `weft node init` writes one with every key and its meaning"), "%v", err)
		return // everything else is read from it
	}
	d.ok("configuration", "%s: %d parties, profile %s, durability %s", d.file, len(d.config.Parties), d.config.Profile, d.config.Durability)
	d.files()
	d.identity()
	d.tlsCertificate()
	d.store()
	d.access()
	d.approval()
	d.traces(ctx)
	d.links(ctx)
}

// files looks at who can read and change what.
func (d *doctor) files() {
	if runtime.GOOS == "windows" { // mode bits say nothing there
		return
	}
	c, good := d.config, true
	keys := []string{c.Identity.Key, c.Hub.Key, c.Hub.NKey}
	if c.Private.TLS.Key != "" {
		keys = append(keys, c.Private.TLS.Key)
	}
	for _, path := range keys {
		if err := identity.CheckPrivate(path); err != nil {
			good = false
			d.wrong("files", "chmod 600 "+path, "%v", err)
		}
	}
	if info, err := os.Stat(c.State); err == nil && info.Mode().Perm()&0o077 != 0 && info.Mode().Perm()&0o022 == 0 { // else store tells
		good = false
		d.warn("files", "chmod 700 "+c.State, "the state folder %s can be entered by others (mode %04o)", c.State, info.Mode().Perm())
	}
	if info, err := os.Stat(d.file); err == nil && info.Mode().Perm()&0o020 != 0 {
		good = false
		d.warn("files", "chmod 644 "+d.file, "%s can be changed by its group (mode %04o), who could add a party", d.file, info.Mode().Perm())
	}
	if c.Gateway.Files != "" {
		if _, err := c.openFiles(); err != nil {
			good = false
			d.wrong("files", advice(err, ""), "%v", err)
		}
	}
	if good {
		d.ok("files", "keys are readable by their owner only")
	}
}

// identity looks at the certificate that other parties see.
func (d *doctor) identity() {
	c := d.config
	id, _, err := c.Identity.load(c.CA, d.now())
	if err != nil {
		d.wrong("identity", advice(err, "bring back the files that `weft ca issue` wrote, or have new ones issued"), "%v", err)
		return
	}
	d.validity("identity", fmt.Sprintf("%s, %s, fingerprint %s", id.Name(), id.Leaf.Organisation, id.FP()), id.Name(), id.Leaf.NotAfter)
	if _, err := c.party(id); err != nil {
		d.wrong("parties", "put this party's own entry, as `weft ca issue` printed it, into "+d.file, "%v", err)
	} else {
		d.ok("parties", "this party's entry is there, and %d others", len(c.Parties)-1)
	}
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
	defer d.dealer(ctx, nc, s)
	off := began.Add(took / 2).Sub(s.Time)
	step := 10 * time.Millisecond
	if off.Abs() > 10*time.Second {
		step = time.Second
	}
	text := fmt.Sprintf("this machine's clock is %s %s the coordinator's", off.Abs().Round(step), beforeOrAfter(off))
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
