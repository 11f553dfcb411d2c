package gateway

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/simon"
)

// network is who computes, as the client named it.
type network struct {
	parties []string // in the client's order
	self    int
	uuid    *uuid.UUID // nil: not stated
}

// readNetwork checks {"nodes":[…],"uuid":…,"myself":…}.
func (g *Gateway) readNetwork(raw json.RawMessage) (network, error) {
	const shape = `give {"nodes":[URL, URL, …],"uuid":UUID,"myself":INDEX}`
	if representation.IsEmpty(raw) {
		return network{}, invalid("network", "it is missing; %s", shape)
	}
	if !representation.IsObject(raw) {
		return network{}, invalid("network", "it must be an object; %s", shape)
	}
	nodes, _ := representation.Find(raw, "nodes")
	id, _ := representation.Find(raw, "uuid")
	myself, _ := representation.Find(raw, "myself")
	var n network
	var err error
	if n.parties, err = g.readNodes("network.nodes", nodes); err != nil {
		return n, err
	}
	if n.self, err = g.readMyself(n.parties, myself); err != nil {
		return n, err
	}
	if representation.IsEmpty(id) {
		return n, nil
	}
	u, err := readUUID("network.uuid", id)
	n.uuid = &u
	return n, err
}

// readNodes turns a list of URLs or names into names of known, different parties.
func (g *Gateway) readNodes(field string, raw json.RawMessage) ([]string, error) {
	if representation.IsNull(raw) {
		return nil, invalid(field, "it is missing; list the gateway URLs or the names of all parties")
	}
	elements, ok := representation.Elements(raw, g.config.MaxParties+1)
	if _, single := representation.Text(raw); single {
		return nil, invalid(field, "it names one node; list at least two")
	}
	if !ok {
		return nil, invalid(field, "it must be a list of gateway URLs or party names")
	}
	switch n := len(elements); {
	case n == 0:
		return nil, invalid(field, "it is empty; list at least two nodes")
	case n == 1:
		return nil, invalid(field, "it names one node; list at least two")
	case n > g.config.MaxParties:
		return nil, invalid(field, "it names more than %d nodes; this gateway allows no more", g.config.MaxParties)
	}
	parties := make([]string, len(elements))
	place := map[string]int{}
	for i, e := range elements {
		at := fmt.Sprintf("%s[%d]", field, i)
		node, ok := representation.Text(e)
		if !ok {
			return nil, invalid(at, "it must be a text: a gateway URL or a party name")
		}
		party, ok := g.config.Directory.Resolve(node)
		if !ok {
			return nil, invalid(at, "no party here has the name or gateway URL %s; known are %s", representation.Show(hideCredentials(node)), g.known())
		}
		if first, again := place[party]; again {
			return nil, invalid(at, "it names %s, as %s[%d] does; each party may be listed once", party, field, first)
		}
		place[party] = i
		parties[i] = party
	}
	return parties, nil
}

// known lists the parties for an error: bob (https://bob.example), carol.
func (g *Gateway) known() string {
	const most = 32
	var list []string
	for _, p := range g.config.Directory.Parties() {
		if len(list) == most {
			return strings.Join(list, ", ") + " and more"
		}
		s := p.Name
		if len(p.URLs) > 0 {
			s += " (" + hideCredentials(p.URLs[0]) + ")"
		}
		list = append(list, s)
	}
	return strings.Join(list, ", ")
}

// readMyself checks the caller's own index: it must be this gateway's party.
func (g *Gateway) readMyself(parties []string, raw json.RawMessage) (int, error) {
	const field = "network.myself"
	own, err := g.place("network.nodes", parties)
	if err != nil {
		return 0, err
	}
	if representation.IsNull(raw) {
		return 0, invalid(field, "it is missing; for this gateway it is %d", own)
	}
	i, ok := index(raw)
	switch {
	case !ok:
		return 0, invalid(field, "it must be a whole number: the place of this gateway in the list of nodes, from 0; here %d", own)
	case i < 0 || i >= len(parties):
		return 0, invalid(field, "it is outside the list of %d nodes, which are counted from 0; for this gateway it is %d", len(parties), own)
	case i != own:
		return 0, invalid(field, "%d is %s, but this is the gateway of %s: send %d here", i, parties[i], parties[own], own)
	}
	return own, nil
}

// place is the index of this gateway's party.
func (g *Gateway) place(field string, parties []string) (int, error) {
	for i, p := range parties {
		if p == g.config.Directory.Self() {
			return i, nil
		}
	}
	return 0, invalid(field, "it does not name %s, whose gateway this is", g.config.Directory.Self())
}

// index reads a whole number that may be written 0, 0.0 or 0e0; anything large is -1, which is no index either.
func index(raw json.RawMessage) (int, bool) {
	text := strings.TrimSpace(string(raw))
	if text == "" || text[0] != '-' && (text[0] < '0' || text[0] > '9') {
		return 0, false
	}
	const most = 32 // characters: a longer exponent would cost memory
	if len(text) > most || strings.ContainsAny(text, "eE") && len(text) > 5 {
		return -1, true
	}
	n, ok := new(big.Rat).SetString(text)
	switch {
	case !ok || !n.IsInt():
		return 0, false
	case !n.Num().IsInt64() || n.Num().Int64() > hardMaxParties:
		return -1, true
	}
	return int(n.Num().Int64()), true
}

// readUUID reads a UUID. What was sent instead is not repeated: it may be long.
func readUUID(field string, raw json.RawMessage) (uuid.UUID, error) {
	text, ok := representation.Text(raw)
	if ok {
		var u uuid.UUID
		if u, ok = representation.ParseUUID(text); ok {
			return u, nil
		}
	}
	return uuid.UUID{}, invalid(field, "it must be a UUID like 123e4567-e89b-42d3-a456-426614174000")
}

// readParameters checks the parameters: an object, or nothing.
func readParameters(raw json.RawMessage) (json.RawMessage, error) {
	if representation.IsEmpty(raw) {
		return nil, nil
	}
	if !representation.IsObject(raw) {
		return nil, invalid("parameters", "it must be an object of named parameters, or be left out")
	}
	return raw, nil
}

// readMicroprotocol finds the microprotocol that raw names.
func (g *Gateway) readMicroprotocol(raw json.RawMessage) (*simon.Microprotocol, error) {
	name, ok := representation.Text(raw)
	if !ok {
		return nil, invalid("microprotocol", "it must be a text, the name of a microprotocol")
	}
	if m := g.microprotocol[name]; m != nil {
		return m, nil
	}
	hint := g.hint(name)
	for known := range g.microprotocol {
		if strings.EqualFold(known, name) {
			hint = "it is spelled " + known
		}
	}
	return nil, &Error{Code: http.StatusNotImplemented, Reason: "unknown-microprotocol", Field: "microprotocol",
		Message: fmt.Sprintf("microprotocol: %s is not available; %s", representation.Show(name), hint)}
}

// checkCount compares the number of parties with what the microprotocol is made for.
func checkCount(field string, m *simon.Microprotocol, n int) error {
	switch {
	case m.MinParties == m.MaxParties && n != m.MinParties && m.MaxParties > 0:
		return invalid(field, "%s is for exactly %d parties; %d are named", m.Name, m.MinParties, n)
	case n < m.MinParties:
		return invalid(field, "%s is for at least %d parties; %d are named", m.Name, m.MinParties, n)
	case m.MaxParties > 0 && n > m.MaxParties:
		return invalid(field, "%s is for at most %d parties; %d are named", m.Name, m.MaxParties, n)
	}
	return nil
}
