package representation

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
)

// Call is the body of POST, PUT and PATCH: positional and named arguments, each one JSON value as it was sent.
type Call struct {
	Args   []json.RawMessage
	Kwargs map[string]json.RawMessage
}

// Bounds of a call. No function has as many parameters, and members that nobody reads cost memory all the same.
const (
	maxArgs    = 16
	maxKwargs  = 64
	maxMembers = 64 // of a body
)

// ParseCall reads {"args":[…],"kwargs":{…}}. Either may be missing or null; an empty object or list stands for the other
// empty one, as the R client writes it. Other keys are passed over.
func ParseCall(body []byte) (Call, error) {
	members, err := ParseObject(body)
	if err != nil {
		return Call{}, err
	}
	var c Call
	for _, m := range members {
		switch m.Key {
		case "args":
			elements, ok := Elements(m.Value, maxArgs+1)
			if !ok && !IsEmpty(m.Value) {
				return Call{}, errors.New("args must be a list of positional arguments")
			}
			if len(elements) > maxArgs {
				return Call{}, fmt.Errorf("args has more than %d positional arguments; give a list of data as one argument, in brackets of its own", maxArgs)
			}
			c.Args = elements
		case "kwargs":
			named, ok := Members(m.Value, maxKwargs+1)
			if !ok && !IsEmpty(m.Value) {
				return Call{}, errors.New("kwargs must be an object of named arguments")
			}
			if len(named) > maxKwargs {
				return Call{}, fmt.Errorf("kwargs has more than %d named arguments", maxKwargs)
			}
			c.Kwargs = make(map[string]json.RawMessage, len(named))
			for _, n := range named {
				c.Kwargs[n.Key] = n.Value
			}
		}
	}
	return c, nil
}

// ParseObject reads a body that must be one JSON object of at most 64 members.
func ParseObject(body []byte) ([]Member, error) {
	if err := Check(body); err != nil {
		return nil, err
	}
	members, ok := Members(body, maxMembers+1)
	if !ok {
		return nil, errors.New("the body must be a JSON object")
	}
	if len(members) > maxMembers {
		return nil, fmt.Errorf("the body has more than %d members", maxMembers)
	}
	return members, nil
}

// Parameter is one argument of a function.
type Parameter struct {
	Name     string
	Optional bool   // None if absent, or Default
	Default  string // as a Python programmer writes it; empty: None
}

// Signature is a function's name and its parameters in order.
type Signature struct {
	Name       string
	Parameters []Parameter
}

// String is the signature as a Python programmer reads it: compute(microprotocol, data, network, parameters=None).
func (s Signature) String() string {
	names := make([]string, len(s.Parameters))
	for i, p := range s.Parameters {
		names[i] = p.Name
		switch {
		case p.Default != "":
			names[i] += "=" + p.Default
		case p.Optional:
			names[i] += "=None"
		}
	}
	return s.Name + "(" + strings.Join(names, ", ") + ")"
}

// Bind brings a call's arguments into the parameters' order; absent optional ones are nil. Missing, unknown, doubled and
// too many arguments are errors that show the signature.
func (s Signature) Bind(c Call) ([]json.RawMessage, error) {
	if len(c.Args) > len(s.Parameters) {
		return nil, fmt.Errorf("%s takes at most %d arguments, %d were given", s, len(s.Parameters), len(c.Args))
	}
	bound := make([]json.RawMessage, len(s.Parameters))
	copy(bound, c.Args)
	known := 0
	for i, p := range s.Parameters {
		raw, named := c.Kwargs[p.Name]
		switch {
		case named && i < len(c.Args):
			return nil, fmt.Errorf("%s: the argument %s was given by position and by name", s, p.Name)
		case named:
			bound[i] = raw
			known++
		case i >= len(c.Args) && !p.Optional:
			return nil, fmt.Errorf("%s: the argument %s is missing", s, p.Name)
		}
	}
	if known < len(c.Kwargs) {
		return nil, fmt.Errorf("%s: unknown argument %s", s, Show(s.unknown(c)))
	}
	return bound, nil
}

// unknown is the first, in alphabetical order, of the names that the signature does not have.
func (s Signature) unknown(c Call) string {
	known := make(map[string]bool, len(s.Parameters))
	for _, p := range s.Parameters {
		known[p.Name] = true
	}
	var others []string
	for name := range c.Kwargs {
		if !known[name] {
			others = append(others, name)
		}
	}
	sort.Strings(others)
	return others[0]
}

// Show quotes a name that a client sent, for an error: at most 60 characters of it.
func Show(name string) string {
	const most = 60
	if r := []rune(name[:min(len(name), 4*most)]); len(r) > most {
		return fmt.Sprintf("%q…", string(r[:most]))
	}
	return fmt.Sprintf("%q", name)
}
