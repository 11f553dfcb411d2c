package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/gateway"
)

// directory is a gateway's list of parties that a reload replaces.
type directory struct{ list atomic.Pointer[gateway.List] }

// Self implements gateway.Directory.
func (d *directory) Self() string { return d.list.Load().Self() }

// Resolve implements gateway.Directory.
func (d *directory) Resolve(node string) (string, bool) { return d.list.Load().Resolve(node) }

// Parties implements gateway.Directory.
func (d *directory) Parties() []gateway.Party { return d.list.Load().Parties() }

// reloader brings into a running node what has changed in its configuration, where that is safe.
type reloader struct {
	file    string
	environ func() []string
	now     func() time.Time
	log     *slog.Logger
	party   partyConfig
	running *party
	config  nodeConfig          // as it runs
	files   map[string][32]byte // digests of files as they run, by key
}

// newReloader notes what the node runs with.
func newReloader(p *program, file string, c nodeConfig, party partyConfig, running *party) *reloader {
	return &reloader{file: file, environ: p.environ, now: p.now, log: party.logger, party: party, running: running, config: c, files: digests(c)}
}

// digests tells apart what the files of a configuration hold; one that cannot be read has the digest of nothing.
func digests(c nodeConfig) map[string][32]byte {
	all := map[string][32]byte{}
	for key, file := range map[string]string{
		"identity.cert": c.Identity.Cert, "ca": c.CA, "hub.cert": c.Hub.Cert, "hub.ca": c.Hub.CA, "hub.nkey": c.Hub.NKey,
		"private.tls.cert": c.Private.TLS.Cert, "private.tls.key": c.Private.TLS.Key, "private.tls.ca": c.Private.TLS.CA,
	} {
		if file == "" {
			continue
		}
		b, _ := identity.ReadSmall(file) // a file that has gone differs, and the next start says why
		all[key] = sha256.Sum256(b)
		clear(b)
	}
	return all
}

// reload reads everything again. What cannot be used changes nothing, and the log says what was taken and what was not.
func (r *reloader) reload() {
	next, err := loadNode(r.file, r.environ())
	if err != nil {
		r.log.Error("nothing is reloaded: the configuration cannot be used", "error", err)
		return
	}
	var taken []string
	restart := differences(reflect.ValueOf(r.config), reflect.ValueOf(next), "")
	if !reflect.DeepEqual(ruled(r.config), ruled(next)) {
		own, err := r.rules(next)
		if err != nil {
			r.log.Error("the profile and the parties are not reloaded", "error", err)
		} else {
			taken = append(taken, ruledKeys...)
			r.config.Profile, r.config.Parties, r.config.Helpers = next.Profile, next.Parties, next.Helpers
			r.config.Excluded, r.config.Disclose, r.config.Approval = next.Excluded, next.Disclose, next.Approval
		}
		if own {
			restart = append(restart, "parties (this party's own gateways)")
		}
	}
	for key, digest := range digests(r.config) {
		switch {
		case digest == r.files[key]:
		case key == "hub.cert":
			if err := r.relink(); err != nil {
				r.log.Error("the certificate for the hub is not reloaded", "error", err)
				continue
			}
			taken, r.files[key] = append(taken, key), digest
		default:
			restart = append(restart, key+" (the file)")
		}
	}
	r.log.Info("the configuration was read again", "reloaded", strings.Join(taken, ", "), "needs_restart", strings.Join(restart, ", "))
}

// ruledKeys are the keys of what decides whom the node computes with, what, and by whose leave.
var ruledKeys = []string{"profile", "parties", "helpers", "exclude_evaluators", "disclose", "approval"}

// ruled are their values.
func ruled(c nodeConfig) nodeConfig {
	return nodeConfig{Profile: c.Profile, Parties: c.Parties, Helpers: c.Helpers, Excluded: c.Excluded, Disclose: c.Disclose, Approval: c.Approval}
}

// rules takes over profile, parties and helpers. own says that this party's own gateways differ, whose names the gateway knows from
// its start.
func (r *reloader) rules(next nodeConfig) (own bool, err error) {
	p, err := next.party(r.party.identity)
	if err != nil {
		return false, err
	}
	list, err := gateway.NewDirectory(r.party.identity.Name(), p.urls, r.party.loopback)
	if err != nil {
		return false, err
	}
	if err := r.running.node.SetRules(p.policy(r.party.maxParties), p.parties); err != nil {
		return false, err
	}
	r.running.setGuard(p.profile.Guard())
	r.running.directory.list.Store(list)
	return !reflect.DeepEqual(ownGateways(r.config, r.party), ownGateways(next, r.party)), nil
}

// ownGateways are the URLs of this party's own gateways.
func ownGateways(c nodeConfig, p partyConfig) []string {
	for _, m := range c.Parties {
		if m.Name == p.identity.Name() {
			return append([]string{}, m.Gateways...)
		}
	}
	return nil
}

// relink connects to the hub anew, with the certificate in its file, if that is valid. Messages that the old connection
// loses are asked for again.
func (r *reloader) relink() error {
	c, err := broker.TLS{Cert: r.config.Hub.Cert, Key: r.config.Hub.Key, CA: r.config.Hub.CA}.Load()
	if err != nil {
		return err
	}
	if now := r.now(); now.Before(c.Leaf.NotBefore) || !now.Before(c.Leaf.NotAfter) {
		return fmt.Errorf("the certificate %s is valid from %s to %s", r.config.Hub.Cert, c.Leaf.NotBefore.UTC().Format(time.RFC3339), c.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return r.party.fabric.ForceReconnect()
}

// differences are the keys whose values differ and which only a start reads.
func differences(a, b reflect.Value, path string) (keys []string) {
	for f := range fields(a.Type()) {
		x, y, key := a.FieldByIndex(f.Index), b.FieldByIndex(f.Index), join(path, keyOf(f))
		switch {
		case slices.Contains(ruledKeys, key):
		case isGroup(x.Type()):
			keys = append(keys, differences(x, y, key)...)
		case !reflect.DeepEqual(x.Interface(), y.Interface()):
			keys = append(keys, key)
		}
	}
	return keys
}

// filePID holds the number of the process that has a state folder open.
const filePID = "pid"

// tellPID writes the own process number into the state folder; what it returns takes it away.
func (s *stateFolder) tellPID() (func(), error) {
	path := filepath.Join(s.dir, filePID)
	if err := writeWhole(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("writing %s: %w", path, err)
	}
	return func() { _ = os.Remove(path) }, nil
}

// nodeProcess finds the process that has a state folder open.
func nodeProcess(dir string) (*os.Process, error) {
	stopped := withHint(fmt.Errorf("no node runs over the state folder %s", dir), "start it: what it reads then is the new configuration")
	path := filepath.Join(dir, "lock")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, stopped
	}
	lock := flock.New(path)
	free, err := lock.TryLock()
	if err != nil || free {
		return nil, errors.Join(err, lock.Close(), stopped)
	}
	b, err := identity.ReadSmall(filepath.Join(dir, filePID))
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || pid <= 1 {
		return nil, fmt.Errorf("%s holds no process number", filepath.Join(dir, filePID))
	}
	return os.FindProcess(pid)
}

func (p *program) nodeReloadCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "reload",
		Short: "Have a running node read its configuration again",
		Long: `Checks a node's configuration and, if it can be used, has the node that runs with it read it again, as SIGHUP does.
The profile, the parties, the helpers, who evaluates and what waits for an approval take effect at once: computations that
run go on, requests that have not started are judged anew. A new TLS certificate for the hub is used by a new connection. Everything else needs a
restart; the node's log says what was reloaded and what was not.`,
		Example: `  weft node reload --config alice/node.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.reloadNode(file, c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&file, "config", "node.yaml", "the configuration file that the node runs with")
	return c
}

func (p *program) reloadNode(file string, out io.Writer) error {
	c, err := loadNode(file, p.environ())
	if err != nil {
		return err
	}
	id, _, err := c.Identity.load(c.CA, p.now())
	if err != nil {
		return err
	}
	if _, err := c.party(id); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	process, err := nodeProcess(c.State)
	if err != nil {
		return err
	}
	if err := process.Signal(syscall.SIGHUP); err != nil {
		return withHint(fmt.Errorf("telling the node, process %d: %w", process.Pid, err), "run this as the node's own user; where there are no signals, restart the node")
	}
	_, err = fmt.Fprintf(out, "%s is read again by process %d; its log says what was reloaded\n", file, process.Pid)
	return err
}
