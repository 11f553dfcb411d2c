package test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// rack is a consortium as its members would run it: an authority on disk, and a hub, a coordinator and a node per party,
// each a process of its own over TLS. All files are made by the commands that people use.
type rack struct {
	t       testing.TB
	dir     string   // a folder for each member, by name; what is written relative to it in commands works
	parties []string // in their order
	hubAt   string   // host:port of the hub's own socket
	urls    map[string]string
	client  *http.Client            // reaches the gateways
	procs   map[string]*rackProcess // by member: the parties, memberCoordinator, and memberHub unless it is observed
	proxies map[string]*proxy       // by member, if the rack has them: between the member and the hub
	watched *watchedHub             // nil unless the rack is observed
}

// The members that are no parties.
const (
	memberHub         = "hub"
	memberCoordinator = "coordinator"
)

// rackOptions say how a rack differs from the plainest one.
type rackOptions struct {
	parties  []string // none: alice, bob and carol
	proxied  bool     // every process but the hub reaches the hub through a proxy of its own
	observed bool     // the hub runs in the test's process, from the text of `weft broker hub --print`, with observers
	node     []string // more arguments of `weft node init`

	// For a rack whose members are not on this machine's own network.
	hubHost string                       // where the hub listens, an IP address
	wrap    func(member string) []string // the command under which a member's process runs
	gateway func(party, address string)  // is told where a party's gateway listens
	client  *http.Client                 // reaches the gateways
}

// newRack starts a rack and waits until all are ready.
func newRack(t testing.TB, o rackOptions) *rack {
	t.Helper()
	r := prepareRack(t, o)
	r.start()
	return r
}

// prepareRack makes all files, and starts nothing but an observed hub and the proxies.
func prepareRack(t testing.TB, o rackOptions) *rack {
	t.Helper()
	if o.parties == nil {
		o.parties = three
	}
	r := &rack{
		t: t, dir: t.TempDir(), parties: o.parties, hubAt: freeAddress(t), client: rackClient,
		urls: map[string]string{}, procs: map[string]*rackProcess{}, proxies: map[string]*proxy{},
	}
	hosts := []string{"--host", "localhost", "--host", "127.0.0.1"}
	if o.hubHost != "" {
		_, port, _ := net.SplitHostPort(r.hubAt)
		r.hubAt = net.JoinHostPort(o.hubHost, port)
		hosts = append(hosts, "--host", o.hubHost)
	}
	if o.client != nil {
		r.client = o.client
	}
	r.issueAll(hosts)
	for _, name := range r.parties {
		if o.gateway != nil {
			o.gateway(name, strings.TrimPrefix(r.urls[name], "http://"))
		}
	}
	r.weft("broker", "hub", "init", "--listen", r.hubAt)
	if o.observed {
		r.watched = watchHub(r)
	} else {
		r.add(memberHub, "broker", "hub", "--config", "hub/hub.yaml")
	}
	at := func(member string) string {
		if !o.proxied {
			return hubURL(r.hubAt)
		}
		r.proxies[member] = newProxy(t, r.hubAt)
		return hubURL(r.proxies[member].addr())
	}
	r.weft("coordinator", "init", "--hub", at(memberCoordinator))
	r.add(memberCoordinator, "coordinator", "--config", "coordinator/coordinator.yaml")
	for _, name := range r.parties {
		r.weft(append([]string{"node", "init", "--dir", name, "--hub", at(name)}, o.node...)...)
		r.add(name, "node", "--config", name+"/node.yaml")
	}
	for member, p := range r.procs {
		if o.wrap != nil {
			p.wrap = o.wrap(member)
		}
	}
	return r
}

// issueAll makes the authority and everybody's keys and certificates.
func (r *rack) issueAll(hubHosts []string) {
	r.t.Helper()
	r.weft("ca", "init", "--name", "test")
	r.weft(append([]string{"ca", "issue", memberHub}, hubHosts...)...)
	r.weft("ca", "issue", memberCoordinator, "--coordinator")
	for _, name := range r.parties {
		r.urls[name] = "http://" + freeAddress(r.t)
		r.weft("ca", "issue", name, "--organisation", name+" org", "--gateway", r.urls[name])
	}
}

// hubURL is how processes name the hub: by a host name of its certificate.
func hubURL(address string) string {
	return "tls://" + strings.Replace(address, "127.0.0.1", "localhost", 1)
}

// weft runs a command to its end in the rack's folder, wants success, and returns standard output.
func (r *rack) weft(args ...string) string {
	r.t.Helper()
	cmd := exec.Command(binary, args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = r.dir, rackEnviron(), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		r.t.Fatalf("weft %s: %v\n%s%s", strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.String()
}

// path is a file of a member's, or the member's folder.
func (r *rack) path(member string, file ...string) string {
	return filepath.Join(append([]string{r.dir, member}, file...)...)
}

// rewrite replaces a text that must stand in a file of a member's exactly once.
func (r *rack) rewrite(member, file, old, new string) {
	r.t.Helper()
	path := r.path(member, file)
	b, err := os.ReadFile(path)
	must(r.t, err)
	if n := bytes.Count(b, []byte(old)); n != 1 {
		r.t.Fatalf("%s has %q %d times, want once:\n%s", path, old, n, b)
	}
	must(r.t, os.WriteFile(path, bytes.Replace(b, []byte(old), []byte(new), 1), 0o600))
}

// rewriteIn is rewrite for a text that stands once within a group of a configuration.
func (r *rack) rewriteIn(member, file, group, old, new string) {
	r.t.Helper()
	path := r.path(member, file)
	b, err := os.ReadFile(path)
	must(r.t, err)
	before, rest, found := bytes.Cut(b, []byte("\n"+group+":\n"))
	within, after, _ := bytes.Cut(rest, []byte("\n\n# ")) // the comment of the next group
	if n := bytes.Count(within, []byte(old)); !found || n != 1 {
		r.t.Fatalf("%s of %s has %q %d times, want once:\n%s", group, path, old, n, b)
	}
	within = bytes.Replace(within, []byte(old), []byte(new), 1)
	must(r.t, os.WriteFile(path, slices.Concat(before, []byte("\n"+group+":\n"), within, []byte("\n\n# "), after), 0o600))
}

func (r *rack) add(member string, args ...string) *rackProcess {
	p := newRackProcess(r.t, r.dir, member, args...)
	r.procs[member] = p
	return p
}

// start starts whatever does not run, and waits until all are ready.
func (r *rack) start() {
	r.t.Helper()
	for _, member := range r.members() {
		r.procs[member].start()
	}
	r.ready(r.members()...)
}

// members are those with a process, in the order in which people would start them.
func (r *rack) members() []string {
	all := append([]string{memberHub, memberCoordinator}, r.parties...)
	return slices.DeleteFunc(all, func(m string) bool { return r.procs[m] == nil })
}

// ready waits until members can do their work: the hub listens, the coordinator has the hub, /readyz of a node says so.
func (r *rack) ready(members ...string) {
	r.t.Helper()
	for _, member := range members {
		switch member {
		case memberHub:
			r.procs[member].says("the hub is running")
		case memberCoordinator:
			r.procs[member].says("the coordinator is running", "connected to the broker")
		default:
			await(r.t, member+" is ready", func() bool {
				select {
				case <-r.procs[member].over():
					r.t.Fatalf("%s has ended before it was ready", member)
				default:
				}
				return r.isReady(member)
			})
		}
	}
}

// isReady asks /readyz of a node.
func (r *rack) isReady(party string) bool {
	answer, err := r.client.Get(r.urls[party] + "/readyz")
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// restart ends a member's process with kill -9 and starts it again.
func (r *rack) restart(member string) {
	r.t.Helper()
	r.procs[member].kill()
	r.procs[member].start()
	r.ready(member)
}

// Ports for processes that are started again on the same port. They are below those that systems give to outgoing
// connections (32768 and above on Linux, 49152 elsewhere), so that none is taken while its process is down.
const (
	firstPort = 20000
	lastPort  = 32000
)

var givenPorts = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// freeAddress is a loopback address on which nobody listens, another one at each call.
func freeAddress(t testing.TB) string {
	t.Helper()
	givenPorts.Lock()
	defer givenPorts.Unlock()
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		address := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", address)
		if err != nil || givenPorts.ports[port] {
			if err == nil {
				l.Close()
			}
			continue
		}
		l.Close()
		givenPorts.ports[port] = true
		return address
	}
	t.Fatal("this machine has no free port")
	return ""
}

// A rack computes a sum, before and after a kill -9 and with another configuration, and every process ends cleanly when it
// is asked to.
func TestRackComputes(t *testing.T) {
	t.Parallel()
	r := newRack(t, rackOptions{})
	r.wantSum(r.sumAll("19", "5", "61"), "85")
	r.rewrite("alice", "node.yaml", "format: text", "format: json")
	r.restart("alice")
	r.procs["alice"].says(`"msg":"the node is running"`)
	r.wantSum(r.sumAll("19", "5", "62"), "86")
	for _, member := range r.members() {
		r.procs[member].stop()
	}
}
