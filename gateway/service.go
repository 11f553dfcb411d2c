package gateway

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/representation"
)

// Service is an object that exists without a client having made it: GET /representations lists its description, and its
// members can be called. The gateway's own objects are services, and so is each program that Config.Microservices finds.
type Service interface {
	Description() representation.Description
	// Members are the functions, each name once; the same each time.
	Members() []Member
	// Invoke calls one of them. An *Error is answered as it is.
	Invoke(ctx context.Context, c Call) (Answer, error)
}

// Member is a function of a service.
type Member struct {
	representation.Signature
	// Schemas are JSON schemas of the parameters, in their order; nil where there is none, or nil for none at all.
	Schemas []json.RawMessage
	Returns json.RawMessage // JSON schema of what it returns; nil: there is none
}

// Call is one call of a service's member.
type Call struct {
	Member string
	Caller string            // the name of who calls; never a credential
	Args   []json.RawMessage // one for each parameter, in their order; nil where an optional one is absent

	gateway *Gateway // for the gateway's own objects
	request binding
}

// Answer is what a call returns.
type Answer struct {
	Value json.RawMessage // the gateway keeps it for the caller; nil or null: the call returns nothing

	made *uuid.UUID // in place of Value: the representation of what one of the gateway's own objects has made
}

// builtin is one of the gateway's own objects, over its stores.
type builtin struct {
	description representation.Description
	members     map[string]*function
}

// Description implements Service.
func (s *builtin) Description() representation.Description { return s.description }

// Members implements Service.
func (s *builtin) Members() []Member {
	var list []Member
	for _, name := range slices.Sorted(maps.Keys(s.members)) {
		list = append(list, Member{Signature: s.members[name].signature})
	}
	return list
}

// Invoke implements Service.
func (s *builtin) Invoke(ctx context.Context, c Call) (Answer, error) {
	id, some, err := s.members[c.Member].invoke(ctx, c.gateway, c.request)
	if err != nil || !some {
		return Answer{}, err
	}
	return Answer{made: &id}, nil
}

// root is a service as clients see it: a root object with functions.
type root struct {
	service Service
	listed  json.RawMessage      // its description
	path    string               // in the derivation of identifiers
	members map[string]*function // by name
	absent  bool                 // it is not listed: a microservice that does not answer
}

// newRoot gives a service identifiers that hang on path.
func newRoot(s Service, path string) *root {
	r := &root{service: s, listed: mustJSON(s.Description()), path: path, members: map[string]*function{}}
	for _, m := range s.Members() {
		r.members[m.Name] = &function{m.Signature, func(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
			a, err := s.Invoke(ctx, Call{Member: m.Name, Caller: b.caller, Args: b.args, gateway: g, request: b})
			switch {
			case err != nil:
				return uuid.UUID{}, false, err
			case a.made != nil:
				return *a.made, true, nil
			case representation.IsNull(a.Value):
				return uuid.UUID{}, false, nil
			}
			id, err := g.keep(ctx, b.caller, a.Value)
			return id, err == nil, err
		}}
	}
	return r
}

// serviceView is an object of GET /v1/services.
type serviceView struct {
	Description json.RawMessage `json:"description"`
	Members     []memberView    `json:"members"`
}

type memberView struct {
	Name       string          `json:"name"`
	Signature  string          `json:"signature"`
	Parameters []parameterView `json:"parameters"`
	Returns    json.RawMessage `json:"returns,omitempty"`
}

type parameterView struct {
	Name     string          `json:"name"`
	Optional bool            `json:"optional"`
	Schema   json.RawMessage `json:"schema,omitempty"`
}

// listServices shows the objects of GET /representations with their functions.
func (g *Gateway) listServices(w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	if err := dropBody(w, r); err != nil {
		return err
	}
	list := struct {
		Services []serviceView `json:"services"`
	}{[]serviceView{}}
	for _, root := range g.handles.present() {
		v := serviceView{Description: root.listed}
		for _, m := range root.service.Members() {
			shown := memberView{Name: m.Name, Signature: m.String(), Parameters: []parameterView{}, Returns: m.Returns}
			for i, p := range m.Parameters {
				one := parameterView{Name: p.Name, Optional: p.Optional}
				if m.Schemas != nil {
					one.Schema = m.Schemas[i]
				}
				shown.Parameters = append(shown.Parameters, one)
			}
			v.Members = append(v.Members, shown)
		}
		list.Services = append(list.Services, v)
	}
	return write(w, mustJSON(list))
}
