package simon

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/weftmpc/weft/simon/psi"
	"github.com/weftmpc/weft/simon/ring"
)

const (
	usualElements = 1 << 16
	// mostSetBytes is what the elements of a party's set may have together, as they are stored. With 64 MiB a job store has
	// room for that and a result.
	mostSetBytes = 48 << 20
)

// setParameters are those of the comparison of sets.
func setParameters() []parameter {
	return []parameter{
		whole("max_elements", nil, 1, mostList,
			"most different elements of one party, so that nobody can try longer lists; by default 65536, or less where this party's policy asks for it"),
		whole("pad_to", nil, leastList, mostList,
			"how many elements all lists are filled up to, at least as many as any party has; by default the next power of two from the largest set on, which each party announces for its own, or max_elements if that is less"),
	}
}

// set describes the comparison of sets. own is what they tell.
type set struct {
	name   string // of the intersection
	run    func(ctx context.Context, s Session, o overlap, v values) ([]byte, error)
	finish func(own []setElement, opened []byte, c Common, v values) (object, error)
	// open is the opener's part, where more than two parties compare; nil: they need none. Then suppress_below is a parameter.
	open func(ctx context.Context, s Session, o overlap, v values) error
}

// parameters are those of the comparison, but for its times.
func (c set) parameters() []parameter {
	if c.open == nil {
		return setParameters()
	}
	return append(setParameters(), whole("suppress_below", nil, 0, mostSuppressed,
		"of more than two parties, the least number that is shown: the opener tells a smaller one as 0; 0 shows all. Two parties see the number whatever this is. By default as this party's policy asks"))
}

// guard fills the parameters as the policy asks, and refuses what asks for less.
func (c set) guard(v values, g Guard) error {
	if c.open != nil {
		if err := g.suppress(v); err != nil {
			return err
		}
	}
	return g.elements(v)
}

// overlap is the comparison that parameters ask for.
func (c set) overlap(v values) overlap {
	return overlap{name: c.name, most: int(v.whole("max_elements")), pad: int(v.whole("pad_to"))}
}

// setLayout stands for the layout of what is sent: lists have the length that parameters and announcements say.
func setLayout() ring.Layout { return ring.Layout{{Name: "elements", Limbs: 1, Count: 1}} }

// complete adds to the description m what all comparisons of sets share.
func (c set) complete(m Microprotocol) Microprotocol {
	m.Version, m.MinParties = 1, 2
	m.Round, m.Limit = 5*time.Minute, 15*time.Minute
	m.Input = json.RawMessage(setInput)
	known := withTiming(m.Round, m.Limit, c.parameters()...)
	m.Parameters = schemaOf(known)
	m.Prepare = func(data io.Reader, parameters json.RawMessage, g Guard) (Prepared, error) {
		v, err := readParameters(parameters, known)
		if err != nil {
			return Prepared{}, err
		}
		if err := c.guard(v, g); err != nil {
			return Prepared{}, err
		}
		return prepareSet(data, v)
	}
	m.Check = func(canonical []byte, g Guard) error {
		v, err := readParameters(canonical, known)
		if err != nil {
			return err
		}
		return c.guard(v, g)
	}
	m.Run = func(ctx context.Context, s Session, common Common, input []byte) ([]byte, error) {
		v, err := canonicalValues(common, known)
		if err != nil {
			return nil, err
		}
		own, err := storedElements(input)
		if err != nil {
			return nil, err
		}
		o := c.overlap(v)
		o.items = make([][]byte, len(own))
		for i, e := range own {
			o.items[i] = e.item
		}
		return c.run(ctx, s, o, v)
	}
	m.Finish = func(common Common, input, opened []byte) (json.RawMessage, error) {
		own, err := storedElements(input)
		if err != nil {
			return nil, err
		}
		v, err := canonicalValues(common, known)
		if err != nil {
			return nil, err
		}
		result, err := c.finish(own, opened, common, v)
		if err != nil {
			return nil, err
		}
		return result.json(), nil
	}
	if c.open != nil {
		m.Roles, m.RolesFrom, m.Trusting = []Role{Opener}, 3, []Role{Opener}
		m.OpenTo = func(ctx context.Context, s Session, common Common) error {
			v, err := canonicalValues(common, known)
			if err != nil {
				return err
			}
			return c.open(ctx, s, c.overlap(v), v)
		}
	}
	return m
}

// elements sets the most elements of a list as the policy asks, where the client has left it open, and refuses more.
func (g Guard) elements(v values) error {
	most := int64(usualElements)
	if g.Elements > 0 {
		most = min(most, int64(g.Elements))
	}
	if !v.has("max_elements") {
		v["max_elements"] = most
	}
	if g.Elements > 0 && v.whole("max_elements") > int64(g.Elements) {
		return &InputError{"parameters.max_elements", fmt.Sprintf("must be at most %d: this party's policy asks for it", g.Elements)}
	}
	if v.has("pad_to") && v.whole("pad_to") > v.whole("max_elements") {
		return &InputError{"parameters.pad_to", "must not be more than max_elements: set both"}
	}
	return nil
}

func prepareSet(data io.Reader, v values) (Prepared, error) {
	own, err := readSets(data)
	if err != nil {
		return Prepared{}, err
	}
	top := place{-1, -1}
	if most := v.whole("max_elements"); int64(len(own)) > most {
		return Prepared{}, top.bad("has more than %d different elements: set max_elements at all parties", most)
	}
	if pad := v.whole("pad_to"); v.has("pad_to") && int64(len(own)) > pad {
		return Prepared{}, top.bad("has more than %d different elements: set pad_to at all parties", pad)
	}
	payload, err := storeElements(own)
	if err != nil {
		return Prepared{}, err
	}
	c, err := canonical(nil, v)
	if err != nil {
		return Prepared{}, err
	}
	return Prepared{Parameters: c, Layout: setLayout().Hash(), Input: storedInput(uint64(len(own)), payload)}, nil
}

// storeElements is what a job keeps of a set: for each element its encoding and, where that is not how the party spelled it,
// the spelling, each after its length in two bytes.
func storeElements(own []setElement) ([]byte, error) {
	var out, short []byte
	for _, e := range own {
		spelled := e.spelled
		if short = psi.AppendJSON(short[:0], e.item); string(short) == string(spelled) {
			spelled = nil
		}
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(e.item))), e.item...)
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(spelled))), spelled...)
		if len(out) > mostSetBytes {
			return nil, place{-1, -1}.bad("is too large: the elements of a set may have %d MiB together", mostSetBytes>>20)
		}
	}
	return out, nil
}

// storedElements reads a stored input. What it returns are parts of it.
func storedElements(input []byte) ([]setElement, error) {
	n, b, err := readInput(input)
	if err != nil {
		return nil, err
	}
	damaged := errors.New("the stored input is damaged: submit the computation again")
	if n > uint64(len(b)) {
		return nil, damaged
	}
	own := make([]setElement, n)
	for i := range own {
		for _, part := range []*[]byte{&own[i].item, &own[i].spelled} {
			if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
				return nil, damaged
			}
			size := 2 + int(binary.BigEndian.Uint16(b))
			*part, b = b[2:size:size], b[size:]
		}
		if len(own[i].item) == 0 {
			return nil, damaged
		}
	}
	if len(b) > 0 {
		return nil, damaged
	}
	return own, nil
}

// packed are bits, eight to a byte, the first one lowest.
func packed(in []bool) []byte {
	out := make([]byte, (len(in)+7)/8)
	for i, b := range in {
		if b {
			out[i/8] |= 1 << (i % 8)
		}
	}
	return out
}

const elementSchema = `{"anyOf":[{"type":"string"},{"type":"integer"},{"type":"boolean"},{"type":"array","items":{"type":["string","integer","boolean"]}}]}`

// setInput is the schema of a party's sets.
const setInput = `{"description":"a list of elements: text, whole numbers, true or false; or a list of such sets, whose own intersection is taken first, in which an element may also be a list, such as a name with a date of birth",` +
	`"anyOf":[{"type":["string","integer","boolean"]},{"type":"array","items":{"type":["string","integer","boolean"]}},{"type":"array","items":{"type":"array","items":` + elementSchema + `}}]}`

// The parts of descriptions that comparisons of sets share.
const (
	setEquality = " Texts are equal in normalization form C, with case and spaces; 1 and the text 1 are two elements; elements that a party has twice count once."
	setSizes    = " Unless pad_to is set, all parties learn of each how many elements it has, rounded up to a power of two, from 16 on, or to max_elements if that is less."
	setTrying   = " A party that lists elements that it does not have learns of them too whether they are common: max_elements bounds how many it can try. Parties must follow the protocol."
)
