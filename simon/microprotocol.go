package simon

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Microprotocol describes one function that parties can compute together. The gateway lists it, the policy checks against
// it, the command line prints it; nothing else knows what a computation is.
type Microprotocol struct {
	Name    string
	Version uint32
	Summary string // one sentence

	// Input, Parameters and Result are JSON schemas (draft 2020-12) of what a client gives, may set and receives.
	Input, Parameters, Result json.RawMessage

	MinParties, MaxParties int    // MaxParties 0: as the configuration allows
	Roles                  []Role // that somebody must have, of S0 and S1 (both or none), Dealer and Opener; see RolesFor and RolesFrom
	Trusting               []Role // of Roles: a helper there reads data once it works together with one party

	// ForTwo says that its result between two parties is no value of the other, so that every profile allows two.
	ForTwo bool

	// RolesFor are the roles that are needed for canonical parameters, at most Roles. nil: Roles, whatever they are.
	RolesFor func(canonical []byte) []Role
	// RolesFrom is the number of parties from which roles are needed at all. 0: any.
	RolesFrom int

	Hops  int    // sequential message steps of a warm computation, JOIN and CONFIRM included
	Bytes string // bytes per party and receiver, in words

	Leakage    string // what a recipient or coalition learns beyond the result, and how many colluders it withstands
	WithHelper string // the same for a coalition with a helper; empty where no helper takes part

	Round time.Duration // time-out of one message step, unless the client's parameters say otherwise
	Limit time.Duration // time limit of the whole computation

	// Prepare reads the client's data (one JSON value) and parameters (a JSON object, or nothing) and returns what a job
	// stores and what every attempt sends. What the party's policy asks of the pool of samples becomes a parameter, on which
	// all parties must agree. It refuses bad data with an *InputError before any message leaves.
	Prepare func(data io.Reader, parameters json.RawMessage, g Guard) (Prepared, error)
	// Check returns an error if canonical parameters ask less of the pool than g does. nil: the microprotocol opens nothing
	// that a Guard bounds.
	Check func(canonical []byte, g Guard) error
	// Complete writes into canonical parameters what a party knows only where it stands, or from another party's request:
	// the shape of a matrix that another one has. It also refuses, with an *InputError, data that cannot be used there. A node
	// calls it before it asks for the computation, and again where another party's request differs: if the answer is another
	// one then, it asks anew with that. nil: parameters are as Prepare made them. Run and Deal read what is complete, Finish
	// what Prepare made.
	Complete func(p Placed) (canonical []byte, err error)
	// Run plays the protocol over s with the stored input and returns the opened elements, nil where s.Self() is no
	// recipient. It reads its parameters from the canonical bytes in c, never from a request.
	Run func(ctx context.Context, s Session, c Common, input []byte) (opened []byte, err error)
	// Deal is the part of a dealer that is no party. It hears nothing: it sends, and shares streams of the purpose Deal. It
	// checks the parameters itself, and what it deals is bounded by them. nil: only a party can deal, in Run.
	Deal func(ctx context.Context, s Session, c Common) error
	// Aggregates says that its masked sums may go through an aggregator, whose part is Aggregate, where it needs no helper for the
	// parameters.
	Aggregates bool
	// OpenTo is the part of an opener, which is never a party. It hears what parties send it, announces, and must end with the
	// transcript that the parties have. It checks the parameters itself. nil: there is none.
	OpenTo func(ctx context.Context, s Session, c Common) error
	// Discloses is what canonical parameters let somebody see that nobody sees without them, so that a policy must allow it by
	// name. nil: nothing.
	Discloses func(canonical []byte) []Disclosure
	// Finish turns the opened elements into the result (a JSON object), exact and rounded once.
	Finish func(c Common, input, opened []byte) (json.RawMessage, error)
}

// MarshalJSON is the description as clients read it, times in milliseconds. A schema that is not given is the one that
// everything meets.
func (m Microprotocol) MarshalJSON() ([]byte, error) {
	schema := func(s json.RawMessage) json.RawMessage {
		if len(s) == 0 {
			return json.RawMessage("true")
		}
		return s
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // the encoder that called escapes, if it was told to
	err := e.Encode(struct {
		Name       string          `json:"name"`
		Version    uint32          `json:"version"`
		Summary    string          `json:"summary"`
		MinParties int             `json:"min_parties"`
		MaxParties int             `json:"max_parties"`
		Hops       int             `json:"hops"`
		Bytes      string          `json:"bytes"`
		Leakage    string          `json:"leakage"`
		WithHelper string          `json:"with_helper,omitempty"`
		RoundMS    int64           `json:"round_ms"`
		LimitMS    int64           `json:"limit_ms"`
		Input      json.RawMessage `json:"input"`
		Parameters json.RawMessage `json:"parameters"`
		Result     json.RawMessage `json:"result"`
	}{
		m.Name, m.Version, m.Summary, m.MinParties, m.MaxParties, m.Hops, m.Bytes, m.Leakage, m.WithHelper,
		m.Round.Milliseconds(), m.Limit.Milliseconds(), schema(m.Input), schema(m.Parameters), schema(m.Result),
	})
	return b.Bytes(), err
}

// Common is the part of a computation that all parties signed alike, as far as a protocol needs it.
type Common struct {
	Parties    int
	Parameters []byte // canonical: RFC 8785 JSON with all defaults filled in
}

// Prepared is a party's checked contribution.
type Prepared struct {
	Parameters []byte   // canonical parameters, defaults and times (Timing) filled in; parties that disagree do not start
	Layout     [32]byte // hash of the layout of the vectors that will be sent
	Input      []byte   // the local summary, private: what Run reads
}

// Placed is a party's request where it stands among the others.
type Placed struct {
	Position, Parties int    // index in the client's list of nodes, and how long that is
	Parameters        []byte // as Prepare made them
	Input             []byte // likewise

	Other         []byte // canonical parameters of another party's request, its own words; nil: none is known
	OtherPosition int
}

// InputError says which value of the client's input cannot be used and why. Its text is for the person who sent it and
// never contains the value where that is a number that counts as data.
type InputError struct {
	Path   string // data, data[3], data[3][1], parameters.columns
	Reason string
}

func (e *InputError) Error() string { return fmt.Sprintf("%s: %s", e.Path, e.Reason) }

// ComparedError is an InputError about a value that was compared with a parameter, which the client chooses. Where the client
// does not hold the data, the answer must not say where the value stands: by ever other parameters it would read them all.
// The reason goes on after "a value that".
type ComparedError struct{ *InputError }

// Unwrap is the error with the place, for those who hold the data.
func (e *ComparedError) Unwrap() error { return e.InputError }

// OutcomeError is a result that does not exist for reasons that the opened values show (too few samples, rank out of
// range). It is the same at all recipients, and it is an outcome: no retry.
type OutcomeError struct{ Reason string }

func (e *OutcomeError) Error() string { return e.Reason }
