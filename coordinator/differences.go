package coordinator

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weftmpc/weft/broker/identity"
)

// Difference is one thing that two parties ask for differently, in words for a person.
type Difference struct {
	Name   string // what differs: microprotocol, parameters: columns, parties, ...
	Mine   string
	Theirs string
}

// String is a sentence without its full stop: "parameters: columns is 2 here, 3 there".
func (d Difference) String() string {
	return fmt.Sprintf("%s is %s here, %s there", d.Name, d.Mine, d.Theirs)
}

const (
	maxParameterDifferences = 8
	maxValue                = 120 // bytes of a value that are shown
	notSet                  = "not set"
)

// Differences lists what differs between two common parts, in a fixed order; nothing, if they are equal. The function name
// turns a fingerprint into a party's name. The other side's bytes are a stranger's: what comes from them is printable and
// short.
func Differences(mine, theirs Common, name func(identity.Fingerprint) string) []Difference {
	var ds []Difference
	add := func(what, m, t string) {
		if m != t {
			ds = append(ds, Difference{Name: what, Mine: m, Theirs: t})
		}
	}
	names := func(fps []identity.Fingerprint) string {
		out := make([]string, len(fps))
		for i, fp := range fps {
			out[i] = name(fp)
		}
		return "(" + strings.Join(out, ", ") + ")"
	}
	fingerprint := func(what string, m, t identity.Fingerprint) {
		if m != t {
			ds = append(ds, Difference{Name: what, Mine: role(m, name), Theirs: role(t, name)})
		}
	}
	add("uuid", mine.UUID.String(), theirs.UUID.String())
	add("microprotocol", printable(mine.Microprotocol, maxValue), printable(theirs.Microprotocol, maxValue))
	add("version of the microprotocol", strconv.FormatUint(uint64(mine.Version), 10), strconv.FormatUint(uint64(theirs.Version), 10))
	ds = append(ds, parameterDifferences(mine.Parameters, theirs.Parameters)...)
	if mine.Microprotocol == theirs.Microprotocol && bytes.Equal(mine.Parameters, theirs.Parameters) { // else it follows from these
		add("layout of the data", hex.EncodeToString(mine.Layout[:]), hex.EncodeToString(theirs.Layout[:]))
	}
	if !slices.Equal(mine.Parties, theirs.Parties) {
		ds = append(ds, Difference{"list of parties", names(mine.ordered()), names(theirs.ordered())})
	} else if !slices.Equal(mine.Positions, theirs.Positions) {
		ds = append(ds, Difference{"order of the list of nodes", names(mine.ordered()), names(theirs.ordered())})
	}
	add("round time-out", milliseconds(mine.RoundMS), milliseconds(theirs.RoundMS))
	add("time limit", milliseconds(mine.LimitMS), milliseconds(theirs.LimitMS))
	if slices.Equal(mine.Parties, theirs.Parties) && !slices.Equal(mine.Recipients, theirs.Recipients) {
		ds = append(ds, Difference{"list of recipients", names(mine.Recipients), names(theirs.Recipients)})
	}
	fingerprint("first evaluator", mine.S0, theirs.S0)
	fingerprint("second evaluator", mine.S1, theirs.S1)
	fingerprint("dealer", mine.Dealer, theirs.Dealer)
	fingerprint("opener", mine.Opener, theirs.Opener)
	fingerprint("aggregator", mine.Aggregator, theirs.Aggregator)
	fingerprint("coordinator", mine.Coordinator, theirs.Coordinator)
	return ds
}

func role(fp identity.Fingerprint, name func(identity.Fingerprint) string) string {
	if fp == (identity.Fingerprint{}) {
		return "nobody"
	}
	return name(fp)
}

func milliseconds(ms uint32) string { return (time.Duration(ms) * time.Millisecond).String() }

// ordered returns the parties in the order of the clients' list of nodes.
func (c *Common) ordered() []identity.Fingerprint {
	out := make([]identity.Fingerprint, len(c.Parties))
	for i, p := range c.Positions {
		out[p] = c.Parties[i]
	}
	return out
}

// parameterDifferences compares the top-level keys of two JSON objects, or the whole where one is none.
func parameterDifferences(mine, theirs []byte) []Difference {
	if bytes.Equal(mine, theirs) {
		return nil
	}
	var m, t map[string]json.RawMessage
	if json.Unmarshal(mine, &m) != nil || json.Unmarshal(theirs, &t) != nil || m == nil || t == nil {
		return []Difference{{"text of the parameters", value(mine), value(theirs)}}
	}
	keys := make(map[string]bool, len(m)+len(t))
	for k := range m {
		keys[k] = true
	}
	for k := range t {
		keys[k] = true
	}
	var ds []Difference
	more := 0
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		a, b := m[k], t[k]
		switch {
		case bytes.Equal(a, b):
		case len(ds) == maxParameterDifferences:
			more++
		default:
			ds = append(ds, Difference{"parameters: " + printable(k, maxValue), value(a), value(b)})
		}
	}
	switch {
	case more > 0:
		ds = append(ds, Difference{"parameters: the rest", "different", fmt.Sprintf("%d more keys", more)})
	case len(ds) == 0: // equal keys and values, other spelling
		ds = append(ds, Difference{"text of the parameters", value(mine), value(theirs)})
	}
	return ds
}

func value(raw []byte) string {
	if len(raw) == 0 {
		return notSet
	}
	s := printable(string(raw[:min(len(raw), 2*maxValue)]), maxValue)
	if len(raw) > maxValue {
		s += "..."
	}
	return s
}
