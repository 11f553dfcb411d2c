package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/weftmpc/weft/gateway/representation"
)

// Bounds of what a microservice announces.
const (
	maxAnnouncement = 16 << 10 // bytes
	mostEntries     = 16       // of a description
	mostMembers     = 32
	mostParameters  = 16  // as a call may have positional arguments
	longestText     = 128 // bytes of a description's text
)

// announcement is what a microservice says of itself, checked:
//
//	{"description": {"namespace": "example.org", "microservice": "ICD10"},
//	 "members": [{"name": "within", "parameters": [
//	   {"name": "codes", "schema": {"type": "array", "items": {"type": "string"}}},
//	   {"name": "last", "optional": true}]}]}
//
// The schemas are for people and for clients that ask for them; the gateway does not apply them, because a schema of a few
// bytes can keep a validator busy for ever. The service checks its arguments itself.
type announcement struct {
	description representation.Description
	members     []Member
}

var (
	keyPattern     = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	memberPattern  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`) // no token of a subject has a dot or a wildcard
	versionPattern = regexp.MustCompile(`^[0-9][0-9A-Za-z.+-]{0,63}$`)
)

// readAnnouncement checks what an instance says, and shows nothing of it in errors but names.
func readAnnouncement(a Announced) (announcement, error) {
	var r announcement
	if !versionPattern.MatchString(a.Version) {
		return r, errors.New("its version is not like 1.2.3")
	}
	if len(a.Text) > maxAnnouncement {
		return r, fmt.Errorf("its announcement is longer than %d bytes", maxAnnouncement)
	}
	if err := representation.Check([]byte(a.Text)); err != nil {
		var where *representation.SyntaxError
		errors.As(err, &where)
		return r, fmt.Errorf("its announcement is no JSON: %s (at byte %d)", where.Reason, where.Offset)
	}
	parts, err := fields("the announcement", json.RawMessage(a.Text), "description", "members")
	if err != nil {
		return r, err
	}
	if r.description, err = readDescription(a.Name, a.Version, parts["description"]); err != nil {
		return r, err
	}
	members, ok := representation.Elements(parts["members"], mostMembers+1)
	if !ok || len(members) == 0 || len(members) > mostMembers {
		return r, fmt.Errorf("members must be a list of 1 to %d", mostMembers)
	}
	for i, raw := range members {
		one, err := readMember(fmt.Sprintf("members[%d]", i), raw)
		switch {
		case err != nil:
			return r, err
		case slices.ContainsFunc(r.members, func(m Member) bool { return m.Name == one.Name }):
			return r, fmt.Errorf("it announces the member %s twice", one.Name)
		case !slices.Contains(a.Members, one.Name):
			return r, fmt.Errorf("it announces the member %s and has no endpoint weft.service.%s.%s", one.Name, a.Name, one.Name)
		}
		r.members = append(r.members, one)
	}
	return r, nil
}

// fields takes an object apart whose keys are all known; at names it in errors.
func fields(at string, raw json.RawMessage, known ...string) (map[string]json.RawMessage, error) {
	list, ok := representation.Members(raw, len(known)+1)
	if !ok {
		return nil, fmt.Errorf("%s must be an object", at)
	}
	all := map[string]json.RawMessage{}
	for _, m := range list {
		if !slices.Contains(known, m.Key) {
			return nil, fmt.Errorf("%s has the unknown key %s; it may have %s", at, representation.Show(m.Key), strings.Join(known, ", "))
		}
		all[m.Key] = m.Value
	}
	return all, nil
}

// readDescription checks keys and texts. A service has its own name as microservice, in whatever case, so that no other one
// can pass for it; its version is the one that it has as a NATS service. No text may be one that the gateway's own objects
// have under the same key: a client that asks for those must never get something else.
func readDescription(name, version string, raw json.RawMessage) (representation.Description, error) {
	list, ok := representation.Members(raw, mostEntries+1)
	if !ok || len(list) == 0 || len(list) > mostEntries {
		return nil, fmt.Errorf("description must be an object of 1 to %d texts", mostEntries)
	}
	var d representation.Description
	namespace, named := false, false
	for _, m := range list {
		text, ok := representation.Text(m.Value)
		switch {
		case !keyPattern.MatchString(m.Key):
			return nil, fmt.Errorf("description: the key %s is not of a-z, 0-9 and underscore", representation.Show(m.Key))
		case m.Key == "version":
			return nil, errors.New("description.version: leave it out; it is the version of the NATS service")
		case !ok || text == "" || len(text) > longestText || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
			return nil, fmt.Errorf("description.%s must be a text of 1 to %d printable bytes", m.Key, longestText)
		case m.Key == "microservice" && !strings.EqualFold(text, name):
			return nil, fmt.Errorf("description.microservice must be the service's name, %s", name)
		case ownText(m.Key, text):
			return nil, fmt.Errorf("description.%s: that belongs to an object of the gateway itself", m.Key)
		}
		namespace, named = namespace || m.Key == "namespace", named || m.Key == "microservice"
		d = append(d, representation.Entry{Key: m.Key, Value: text})
	}
	switch {
	case !namespace:
		return nil, errors.New("description.namespace is missing: say whose service it is, like example.org")
	case !named && ownText("microservice", name):
		return nil, fmt.Errorf("its name, %s, belongs to an object of the gateway itself", name)
	case !named:
		d = append(d, representation.Entry{Key: "microservice", Value: name})
	}
	return append(d, representation.Entry{Key: "version", Value: version}), nil
}

// ownText says whether one of the gateway's own objects has the text under the key. Their names are no one's under any key.
func ownText(key, text string) bool {
	for _, own := range ownServices() {
		for _, e := range own.Description() {
			if e.Key == "version" {
				continue
			}
			if e.Key == key && strings.EqualFold(e.Value, text) || key == "microservice" && e.Key != "namespace" && strings.EqualFold(e.Value, text) {
				return true
			}
		}
	}
	return key == "namespace" && strings.EqualFold(text, "weft")
}

// readMember reads {"name","parameters","returns"}; at names it in errors.
func readMember(at string, raw json.RawMessage) (Member, error) {
	var m Member
	parts, err := fields(at, raw, "name", "parameters", "returns")
	if err != nil {
		return m, err
	}
	if m.Name, _ = representation.Text(parts["name"]); !memberPattern.MatchString(m.Name) {
		return m, fmt.Errorf("%s.name must begin with a letter, and go on with letters, digits and underscores, 64 at most", at)
	}
	if m.Returns, err = readSchema(at+".returns", parts["returns"]); err != nil {
		return m, err
	}
	list, ok := representation.Elements(parts["parameters"], mostParameters+1)
	if parts["parameters"] != nil && !ok || len(list) > mostParameters {
		return m, fmt.Errorf("%s.parameters must be a list of at most %d", at, mostParameters)
	}
	for i, raw := range list {
		p, schema, err := readParameter(fmt.Sprintf("%s.parameters[%d]", at, i), raw)
		if err != nil {
			return m, err
		}
		for _, q := range m.Parameters {
			if q.Name == p.Name {
				return m, fmt.Errorf("%s has the parameter %s twice", at, p.Name)
			}
			if q.Optional && !p.Optional {
				return m, fmt.Errorf("%s: %s must be optional, because one before it is", at, p.Name)
			}
		}
		m.Parameters, m.Schemas = append(m.Parameters, p), append(m.Schemas, schema)
	}
	return m, nil
}

// readParameter reads {"name","optional","schema"}.
func readParameter(at string, raw json.RawMessage) (representation.Parameter, json.RawMessage, error) {
	var p representation.Parameter
	parts, err := fields(at, raw, "name", "optional", "schema")
	if err != nil {
		return p, nil, err
	}
	if p.Name, _ = representation.Text(parts["name"]); !memberPattern.MatchString(p.Name) {
		return p, nil, fmt.Errorf("%s.name must begin with a letter, and go on with letters, digits and underscores, 64 at most", at)
	}
	switch o := string(parts["optional"]); o {
	case "", "false", "true":
		p.Optional = o == "true"
	default:
		return p, nil, fmt.Errorf("%s.optional must be true or false", at)
	}
	schema, err := readSchema(at+".schema", parts["schema"])
	return p, schema, err
}

// readSchema takes any object: what it says is between the service and its clients.
func readSchema(at string, raw json.RawMessage) (json.RawMessage, error) {
	if raw != nil && !representation.IsObject(raw) {
		return nil, fmt.Errorf("%s must be a JSON schema: an object", at)
	}
	return raw, nil
}
