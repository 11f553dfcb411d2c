package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/nats-io/nkeys"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/identity"
)

const (
	fileMembers = "members.yaml"

	maxMembers  = 4 << 20 // bytes of a members file: some 10000 members
	maxGateways = 16      // addresses of one party
	maxGateway  = 2048    // bytes of one address
)

// membersHead stands at the top of every members file.
const membersHead = `# The members of this consortium, as their certificate authority issued them. Nothing in this file is secret: send it
# to all members. "weft node init", "weft coordinator init" and "weft broker hub init" take from it whom to know.
#
# "weft ca issue" writes this file anew: values that you change by hand stay, comments do not.
`

// members is the list of everybody to whom one authority issued something: public, sorted by name.
type members struct {
	Coordinator *member  `yaml:"coordinator,omitempty"` // nil if none has been issued yet
	Operators   []member `yaml:"operators,omitempty"`   // who look at the fabric with the NATS CLI; no fingerprint
	Parties     []member `yaml:"parties,omitempty"`
	Brokers     []member `yaml:"brokers,omitempty"` // for the authority's own renewals: nobody else's configuration names them
}

// member is what the others need to know of one member, and what the authority remembers of it.
type member struct {
	Name         string               `yaml:"name"`                   // identity.CheckName
	Organisation string               `yaml:"organisation,omitempty"` // of a party, for people
	Fingerprint  identity.Fingerprint `yaml:"fingerprint,omitempty"`  // of the identity key; zero for operators and brokers
	NKey         string               `yaml:"nkey,omitempty"`         // public key of the user at the brokers, U...; none for brokers
	Gateways     []string             `yaml:"gateways,omitempty"`     // of a party: addresses by which clients name it
	Hosts        []string             `yaml:"hosts,omitempty"`        // of a broker: names and addresses that it is reached by
	TLS          identity.Fingerprint `yaml:"tls,omitempty"`          // of the TLS key, which --renew certifies again and no other
}

// loadMembers reads a members file. It refuses unknown keys, and what could not work: members without a name or a key,
// a name, key or address that stands for two of them. An error that is fs.ErrNotExist says that there is no such file.
func loadMembers(path string) (members, error) {
	f, err := os.Open(path)
	if err != nil {
		return members{}, fmt.Errorf("reading the members: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxMembers+1))
	if err != nil {
		return members{}, fmt.Errorf("reading the members: %w", err)
	}
	return parseMembers(path, b)
}

func parseMembers(path string, b []byte) (members, error) {
	var m members
	if len(b) > maxMembers {
		return members{}, fmt.Errorf("%s: larger than %d bytes: this is no list of members", path, maxMembers)
	}
	if err := decode(path, b, &m); err != nil {
		return members{}, err
	}
	if err := m.check(); err != nil {
		return members{}, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// place is where a member stands: what kind of member it is.
type place string

const (
	placeCoordinator place = "coordinator"
	placeOperator    place = "operators"
	placeParty       place = "parties"
	placeBroker      place = "brokers"
)

// each calls f for every member, and stops at its first error.
func (m *members) each(f func(p place, x *member) error) error {
	if m.Coordinator != nil {
		if err := f(placeCoordinator, m.Coordinator); err != nil {
			return err
		}
	}
	for i := range m.Operators {
		if err := f(placeOperator, &m.Operators[i]); err != nil {
			return err
		}
	}
	for i := range m.Parties {
		if err := f(placeParty, &m.Parties[i]); err != nil {
			return err
		}
	}
	for i := range m.Brokers {
		if err := f(placeBroker, &m.Brokers[i]); err != nil {
			return err
		}
	}
	return nil
}

// find gives the member of that name and where it stands; nil if there is none.
func (m *members) find(name string) (found *member, at place) {
	_ = m.each(func(p place, x *member) error {
		if x.Name == name {
			found, at = x, p
		}
		return nil
	})
	return found, at
}

// put adds a member, or gives it another entry if there is one of its name.
func (m *members) put(p place, x member) {
	if old, at := m.find(x.Name); old != nil && at == p {
		*old = x
		return
	}
	switch p {
	case placeCoordinator:
		m.Coordinator = &x
	case placeOperator:
		m.Operators = append(m.Operators, x)
	case placeParty:
		m.Parties = append(m.Parties, x)
	case placeBroker:
		m.Brokers = append(m.Brokers, x)
	}
}

func (m *members) check() error {
	names, keys := map[string]bool{}, map[string]string{}
	none := identity.Fingerprint{}.String()
	err := m.each(func(p place, x *member) error {
		if err := checkMember(p, *x); err != nil {
			return fmt.Errorf("%s: %q: %w", p, x.Name, err)
		}
		if names[x.Name] {
			return fmt.Errorf("%s: %q stands for two members: give each a name of its own", p, x.Name)
		}
		names[x.Name] = true
		for _, k := range []string{x.NKey, x.Fingerprint.String(), x.TLS.String()} {
			if k == "" || k == none {
				continue
			}
			if other, taken := keys[k]; taken {
				return fmt.Errorf("%s: %q has the key %s, which %q has too: each member has keys of its own", p, x.Name, k, other)
			}
			keys[k] = x.Name
		}
		return nil
	})
	if err != nil {
		return err
	}
	return m.checkGateways()
}

// checkGateways wants every address to name one party, once.
func (m *members) checkGateways() error {
	owner := map[string]string{}
	for _, x := range m.Parties {
		if len(x.Gateways) > maxGateways {
			return fmt.Errorf("%q has %d gateways, at most %d are possible", x.Name, len(x.Gateways), maxGateways)
		}
		for _, g := range x.Gateways {
			same := strings.ToLower(strings.TrimRight(g, "/"))
			switch other, taken := owner[same]; {
			case taken && other == x.Name:
				return fmt.Errorf("%q has the gateway %s twice: once is enough", x.Name, g)
			case taken:
				return fmt.Errorf("%q has the gateway %s, which is that of %q: an address names one party", x.Name, g, other)
			}
			owner[same] = x.Name
		}
	}
	return nil
}

func checkMember(p place, x member) error {
	if err := checkMemberName(p, x.Name); err != nil {
		return err
	}
	if p == placeBroker {
		return checkBroker(x)
	}
	if len(x.Hosts) > 0 {
		return errors.New("hosts: only brokers have them, take them out")
	}
	if !nkeys.IsValidPublicUserKey(x.NKey) {
		return fmt.Errorf("nkey: %q is no public key of a broker's user: it begins with U and has 56 characters", x.NKey)
	}
	switch p {
	case placeOperator:
		if x.Fingerprint != (identity.Fingerprint{}) {
			return errors.New("fingerprint: an operator has no identity, take it out")
		}
	default:
		if x.Fingerprint == (identity.Fingerprint{}) {
			return errors.New("fingerprint: it is missing: `weft ca issue` prints it")
		}
	}
	if p != placeParty {
		if len(x.Gateways) > 0 {
			return errors.New("gateways: only parties have them, take them out")
		}
		return nil
	}
	for _, g := range x.Gateways {
		if err := checkGateway(g); err != nil {
			return fmt.Errorf("gateways: %w", err)
		}
	}
	return nil
}

func checkBroker(x member) error {
	switch {
	case x.NKey != "" || x.Fingerprint != (identity.Fingerprint{}) || x.Organisation != "" || len(x.Gateways) > 0:
		return errors.New("a broker has name, hosts and tls: take out what else there is")
	case x.TLS == (identity.Fingerprint{}):
		return errors.New("tls: it is missing: `weft ca issue` writes it")
	case len(x.Hosts) == 0:
		return errors.New("hosts: they are missing: `weft ca issue` writes them")
	}
	for _, h := range x.Hosts {
		if err := identity.CheckHost(h); err != nil {
			return fmt.Errorf("hosts: %w", err)
		}
	}
	return nil
}

// checkMemberName also keeps parties from having the name of an account that is no party's (broker.Hub): it would be
// theirs on the hub.
func checkMemberName(p place, name string) error {
	if err := identity.CheckName(name); err != nil {
		return err
	}
	switch broker.AccountOf(name) {
	case broker.AccountCoordinator:
		if p == placeCoordinator {
			return nil
		}
	case broker.AccountOperators:
		if p == placeOperator {
			return nil
		}
	case broker.AccountSystem, broker.AccountPrivate:
	default:
		return nil
	}
	return fmt.Errorf("the name %q is the broker's own for an account that is no party's: choose another", name)
}

// checkGateway wants an address as clients write it to name a party: http or https, a host, perhaps a port and a path.
func checkGateway(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case len(raw) > maxGateway:
		return fmt.Errorf("an address of %d bytes, at most %d are possible", len(raw), maxGateway)
	case err == nil && u.User != nil:
		return errors.New("an address with a user name or password in it is not possible: this list is public")
	case err != nil || u.Hostname() == "" || u.Opaque != "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%q is no address of a gateway: write it like https://gateway.example.org:55501", raw)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.ContainsAny(raw, "#"):
		return fmt.Errorf("%q: leave out what begins with ? or #", raw)
	}
	return nil
}

// sorted is the list as it is written.
func (m members) sorted() members {
	byName := func(x, y member) int { return cmp.Compare(x.Name, y.Name) }
	m.Operators, m.Parties, m.Brokers = slices.Clone(m.Operators), slices.Clone(m.Parties), slices.Clone(m.Brokers)
	slices.SortFunc(m.Operators, byName)
	slices.SortFunc(m.Parties, byName)
	slices.SortFunc(m.Brokers, byName)
	return m
}

// marshal gives the list as a file, sorted by name, with its comment at the top.
func (m members) marshal() ([]byte, error) {
	b, err := encode(m.sorted())
	if err != nil {
		return nil, fmt.Errorf("writing the members: %w", err)
	}
	return append([]byte(membersHead), b...), nil
}

// save writes the list in the place of an older one, for everybody to read, whole or not at all. It does not write what
// loadMembers would refuse or read as something else.
func (m members) save(path string) error {
	b, err := m.marshal()
	if err != nil {
		return err
	}
	back, err := parseMembers(path, b)
	if err == nil && !same(reflect.ValueOf(back), reflect.ValueOf(m.sorted())) {
		err = errReadsBack
	}
	if err != nil {
		return fmt.Errorf("%s stays as it is: its next version would be wrong: %w", path, err)
	}
	if err := writeWhole(path, b, 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// loadMembersIfAny is loadMembers where no file means that nobody has been issued anything yet.
func loadMembersIfAny(path string) (members, error) {
	m, err := loadMembers(path)
	if errors.Is(err, fs.ErrNotExist) {
		return members{}, nil
	}
	return m, err
}
