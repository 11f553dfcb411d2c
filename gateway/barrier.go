package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/jobs/objects"
)

// Bounds of barriers, broadcasts and key-value storages.
const (
	mostArrivals = 1_000 // parties at one barrier
	longestName  = 256   // bytes of a party's name, a key, a storage's name
)

// barrier is the state of a Sync.Barrier, stored as JSON in an objects.Record. Clients that wait for each other have
// different owners' rights, so a barrier belongs to nobody: whoever knows its UUID takes part, and nobody can guess that or
// list it. It counts against the bounds of whoever created it. (A barrier for each caller would be of no use where each
// client has a token of its own.)
type barrier struct {
	Arrived  []string `json:"arrived"` // as nameOf writes them, in the order of their coming
	Departed []string `json:"departed"`
}

// barrierRoot is the service by which several clients wait for each other.
func barrierRoot() Service {
	return &builtin{
		description: plugin("Sync", "Barrier"),
		members: map[string]*function{
			"create": {signature("create", needed("uuid")), createBarrier},
			"delete": {signature("delete", needed("uuid")), deleteBarrier},
		},
	}
}

// barrierFunctions are the members of what its create() returns.
func barrierFunctions() map[string]*function {
	count := func(of func(barrier) []string) func(context.Context, *Gateway, binding) (uuid.UUID, bool, error) {
		return func(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
			_, s, err := g.loadBarrier(ctx, b)
			return g.handles.constantID(strconv.Itoa(len(of(s)))), err == nil, err
		}
	}
	return map[string]*function{
		"arrive":   {signature("arrive", needed("party")), arrive},
		"arrived":  {signature("arrived"), count(func(s barrier) []string { return s.Arrived })},
		"depart":   {signature("depart", needed("party")), depart},
		"departed": {signature("departed"), count(func(s barrier) []string { return s.Departed })},
		"reset":    {signature("reset"), resetBarrier},
	}
}

// meeting is the identifier of the barrier or broadcast that clients know by a UUID; the same for all callers.
func (g *Gateway) meeting(kind objects.Kind, raw json.RawMessage) (uuid.UUID, error) {
	id, err := readUUID("uuid", raw)
	return representation.Derive(g.handles.key, "", kind.String()+"/"+id.String()), err
}

// createBarrier returns the barrier with that UUID, the same each time.
func createBarrier(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	id, err := g.meeting(objects.Barrier, b.args[0])
	if err == nil {
		err = g.ensure(ctx, objects.Record{ID: id, Caller: b.caller, Kind: objects.Barrier, Data: mustJSON(barrier{})})
	}
	return id, err == nil, err
}

func deleteBarrier(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	id, err := g.meeting(objects.Barrier, b.args[0])
	if err == nil {
		err = g.discard(ctx, b.caller, id, "there is no barrier with this UUID; it may have been deleted or have expired")
	}
	return uuid.UUID{}, false, err
}

// discard deletes what a service keeps, which must be there.
func (g *Gateway) discard(ctx context.Context, caller string, id uuid.UUID, missing string) error {
	err := g.config.Objects.Delete(ctx, id)
	g.handles.forget(caller, id)
	if errors.Is(err, objects.ErrNotFound) {
		return fail(http.StatusNotFound, "unknown", "%s", missing)
	}
	return err
}

func (g *Gateway) loadBarrier(ctx context.Context, b binding) (objects.Record, barrier, error) {
	r, err := g.load(ctx, b.caller, objects.Barrier, b.object)
	if err != nil {
		return r, barrier{}, err
	}
	var s barrier
	if json.Unmarshal(r.Data, &s) != nil {
		return r, s, errors.New("a stored barrier cannot be read")
	}
	return r, s, nil
}

// changeBarrier applies f to the barrier of a call.
func (g *Gateway) changeBarrier(ctx context.Context, b binding, f func(*barrier) error) (uuid.UUID, bool, error) {
	return uuid.UUID{}, false, g.change(ctx, b.object, func() (objects.Record, error) {
		r, s, err := g.loadBarrier(ctx, b)
		if err == nil {
			err = f(&s)
		}
		r.Data = mustJSON(s)
		return r, err
	})
}

// arrive adds a party to those that have arrived. Who arrives begins a new round, in which nobody has departed.
func arrive(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	party, err := nameOf("party", b.args[0])
	if err != nil {
		return uuid.UUID{}, false, err
	}
	return g.changeBarrier(ctx, b, func(s *barrier) error {
		s.Departed = nil
		return addParty(&s.Arrived, party)
	})
}

func depart(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	party, err := nameOf("party", b.args[0])
	if err != nil {
		return uuid.UUID{}, false, err
	}
	return g.changeBarrier(ctx, b, func(s *barrier) error { return addParty(&s.Departed, party) })
}

// resetBarrier forgets the arrivals, and not the departures, by which a party sees that the others have left.
func resetBarrier(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	return g.changeBarrier(ctx, b, func(s *barrier) error { s.Arrived = nil; return nil })
}

func addParty(list *[]string, party string) error {
	switch {
	case slices.Contains(*list, party):
		return nil
	case len(*list) == mostArrivals:
		return fail(http.StatusTooManyRequests, "too-many", "%d parties are at this barrier, and it takes no more", mostArrivals)
	}
	*list = append(*list, party)
	return nil
}

// nameOf reads what clients call a party or a key: a text or a number. Equal ones have equal names, as 1, 1.0 and 1e0 have,
// and "1" has another; beyond 2^53 a number with an exponent is not compared with one without.
func nameOf(field string, raw json.RawMessage) (string, error) {
	if text, ok := representation.Text(raw); ok {
		if len(text) > longestName {
			return "", invalid(field, "it is longer than %d bytes", longestName)
		}
		return string(mustJSON(text)), nil
	}
	number := strings.TrimSpace(string(raw))
	if number == "" || number[0] != '-' && (number[0] < '0' || number[0] > '9') || len(number) > longestName {
		return "", invalid(field, "it must be a text or a number")
	}
	if whole, fraction, _ := strings.Cut(number, "."); strings.Trim(fraction, "0") == "" && !strings.ContainsAny(whole, "eE") {
		if whole == "-0" {
			whole = "0"
		}
		return whole, nil // in all its digits
	}
	f, err := strconv.ParseFloat(number, 64)
	switch {
	case err != nil:
		return "", invalid(field, "the number is out of range")
	case f == math.Trunc(f) && math.Abs(f) < 1<<53:
		return strconv.FormatInt(int64(f), 10), nil
	}
	return strconv.FormatFloat(f, 'g', -1, 64), nil
}
