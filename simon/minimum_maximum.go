package simon

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"slices"

	"github.com/weftmpc/weft/simon/ring"
)

// digitBits is the parameter that trades hops for computing and for what the dealer sends.
func digitBits(preset int64) parameter {
	return whole("digit_bits", preset, 1, mostDigit, "bits of a result that one step of two hops finds; more bits are fewer hops, and twice the computing and the dealer's bytes for each")
}

// Sentences of descriptions of what selects elements.
const (
	selectionBytes = "8 bytes for each possible digit but one of each wanted element, from each party to each of the two evaluators, at every step, but for the first digit of all elements together; " +
		"the dealer sends each evaluator 807 bytes for each of them, 1,007 or 1,607 for some quantiles of type 1; " +
		"the digits take 8 bytes for each element from each party to each other" + modesBytes
	selectionLeakage = " While an element is found, the parties learn its digits one after the other, and nothing of counts or positions. It is the exact value of one sample. " +
		"Any coalition of parties without the two evaluators learns nothing else, also with the dealer. The two evaluators together, or one of them with the dealer, learn how many values of the pool lie below the values that were " +
		"compared with, never those of a single party; with two parties that is what the other party has." + modesLeakage +
		" Broker and coordinator learn neither inputs nor result. Experimental: the comparisons are published, their composition is not, and evaluators and dealer must follow the protocol; one that does not can make results wrong, or have them show something else of the pool."
	selectionHelper = "The dealer sends keys and receives nothing. With one evaluator it learns how many values of the pool lie below the values that were compared with." + modesHelper
)

// The same for minimum and maximum.
const (
	extremesBytes   = "16 bytes for each possible digit but one of minimum and maximum, from each party to each other, at every step; the dealer sends one party 32 bytes for each of them"
	extremesLeakage = "While they are found, the parties learn their digits one after the other. Any coalition of up to n-1 parties learns nothing else, but what follows for the party that is left. " +
		"The dealer with one party learns how many of the other parties have each of the digits. Where a party deals, in place of a helper, the two evaluators together, or one of them with the dealer, learn how many of the others' " +
		"least and largest values lie below the values that were compared with. " +
		"Broker and coordinator learn neither inputs nor result. Helpers must follow the protocol; one that does not can make results wrong, but no larger than the least and no less than the largest value of an honest party."
	extremesHelper = "The dealer sends random numbers and receives nothing, not even the result. With one party it learns how many of the other parties have each of the digits."
)

// MinimumMaximum is the least and the largest of all parties' values.
//
// Digit by digit the parties ask whether anybody's value goes on with at least a digit, for both ends at once; where a party
// deals, a selection of two elements of the pool of each party's own least and largest value takes its place.
func MinimumMaximum() Microprotocol {
	return statistic{
		own:    []parameter{digitBits(6), valuesAs()},
		order:  func(values) int { return 1 },
		layout: func(v values) (ring.Layout, error) { return wordsLayout(2), findExtremes(v).check() },
		read: func(data io.Reader, v values) ([]byte, int, error) {
			e, err := readExtremes(data, v)
			if err != nil {
				return nil, 0, err
			}
			return e.payload(), e.samples, nil
		},
		run: func(ctx context.Context, s Session, v values, payload []byte) ([]byte, error) {
			if len(payload) < 8 {
				return nil, errors.New("the stored input is cut off: submit the computation again")
			}
			samples, err := openCount(ctx, s, int(binary.LittleEndian.Uint64(payload)))
			if err != nil {
				return nil, err
			}
			found, err := runExtremes(ctx, s, v, payload)
			return appendWords(nil, append(found, uint64(samples))), err
		},
		deal: dealExtremes,
		finish: func(v values, _ int, opened []byte) (object, error) {
			x, err := openedWords(opened, 3)
			if err != nil {
				return object{}, err
			}
			return finishExtremes(v, x)
		},
	}.complete(Microprotocol{
		Name:    "MinimumMaximum",
		Summary: "The least and the largest of all parties' values.",
		Hops:    26,
		Input: json.RawMessage(`{"description":"numbers, a number, or objects with a minimum and a maximum, which count as one sample each","anyOf":[{"type":"number"},` +
			`{"type":"array","items":{"anyOf":[{"type":"number"},{"type":"object","properties":{"minimum":{"type":"number"},"maximum":{"type":"number"}},"required":["minimum","maximum"],"additionalProperties":false}]}}]}`),
		Result: json.RawMessage(`{"type":"object","properties":{"samples":{"type":"integer","minimum":0,"description":"how many numbers or objects all parties gave together"},` +
			`"minimum":{"type":["number","null"],"description":"null where there are no samples"},"maximum":{"type":["number","null"],"description":"null where there are no samples"},` +
			notesSchema + `},"required":["samples","minimum","maximum"]}`),
		Bytes: extremesBytes + poolBytes,
		Leakage: "Recipients learn the minimum, the maximum and the number of samples of all parties together. Both are exact values of single samples; whose they are does not show. " +
			extremesLeakage,
		WithHelper: extremesHelper,
	})
}

func finishExtremes(v values, x []uint64) (object, error) {
	var o object
	if x[2] > maxSamples {
		return o, impossible("a number of samples is impossible")
	}
	o.put("samples", int64(x[2]))
	both, err := shownExtremes(v, int64(x[2]), x[:2])
	for i, name := range []string{"minimum", "maximum"} {
		if both == nil {
			o.null(name, noSamples)
		} else {
			o.put(name, both[i])
		}
	}
	return o, err
}

// findExtremes is the selection of the least and the largest value, where a party deals.
func findExtremes(v values) selection {
	return newSelection(int(v.whole("digit_bits")), smallest, largest)
}

// twoEnds finds the largest word and the largest complement of one, which is that of the least.
func twoEnds(v values) largestDigits {
	return largestDigits{kinds: 2, digit: int(v.whole("digit_bits"))}
}

// dealExtremes is the part of a dealer that is no party.
func dealExtremes(ctx context.Context, s Session, _ gateSeats, v values) error {
	return twoEnds(v).deal(ctx, s)
}

// runExtremes finds the least and the largest value from the payload of extremes: with a dealer that is no party by asking
// whether anybody has a digit, which withstands any coalition of parties, else by a selection.
func runExtremes(ctx context.Context, s Session, v values, payload []byte) ([]uint64, error) {
	if n := len(payload); n != 8 && n != 24 {
		return nil, errors.New("the stored input is cut off: submit the computation again")
	}
	own := decodeWords(payload)[1:]
	seats, err := gateSeatsOf(s)
	if err != nil {
		return nil, err
	}
	var found []uint64
	if seats.dealer < s.N() {
		found, err = findExtremes(v).run(ctx, s, seats, own)
	} else {
		var ends []uint64
		if len(own) > 0 {
			ends = []uint64{^own[0], own[1]}
		}
		if found, err = twoEnds(v).run(ctx, s, seats.dealer, ends); err == nil {
			found[0] = ^found[0]
		}
	}
	if err != nil {
		return nil, err
	}
	if len(own) > 0 && (found[0] > own[0] || found[1] < own[1]) {
		return nil, impossible("the minimum or maximum is not that of this party's own values")
	}
	return found, nil
}

// shownExtremes are the least and the largest of n values as a result shows them; nil where there are none.
func shownExtremes(v values, n int64, found []uint64) ([]any, error) {
	if n == 0 {
		return nil, nil
	}
	if found[0] > found[1] {
		return nil, impossible("the minimum is larger than the maximum")
	}
	both := make([]any, 2)
	for i := range both {
		var err error
		if both[i], err = element(v, found[i]); err != nil {
			return nil, impossible("there are samples and no minimum or maximum")
		}
	}
	return both, nil
}

// extremes are the least and the largest of a party's values so far.
type extremes struct {
	v       values
	samples int
	words   [2]uint64
}

// add adds one sample that reaches from least to most.
func (e *extremes) add(at place, least, most []byte) error {
	var w [2]uint64
	for i, text := range [...][]byte{least, most} {
		var err error
		if w[i], err = wordOf(e.v, text); err != nil {
			return at.bad("%s", err)
		}
	}
	if w[0] > w[1] {
		return at.bad("has a minimum that is larger than its maximum")
	}
	e.take(w[0], w[1])
	return nil
}

// take takes in one sample.
func (e *extremes) take(least, most uint64) {
	if e.samples == 0 {
		e.words = [2]uint64{least, most}
	}
	e.words = [2]uint64{min(e.words[0], least), max(e.words[1], most)}
	e.samples++
}

// payload is the number of samples, and the extremes if there are any.
func (e *extremes) payload() []byte {
	b := appendWords(nil, []uint64{uint64(e.samples)})
	if e.samples > 0 {
		b = appendWords(b, e.words[:])
	}
	return b
}

// readExtremes reads numbers, or objects with minimum and maximum, as clients of the reference give them.
func readExtremes(data io.Reader, v values) (*extremes, error) {
	e := &extremes{v: v}
	n := newNumberReader(data)
	return e, n.values(func(at place, it item) error {
		switch it {
		case itemNumber:
			return e.add(at, n.number, n.number)
		case itemObject:
			var pair [2][]byte
			err := n.object(at, []string{"minimum", "maximum"}, func(name string, it item) error {
				if it != itemNumber {
					return &InputError{at.String() + "." + name, it.reason()}
				}
				pair[slices.Index([]string{"minimum", "maximum"}, name)] = slices.Clone(n.number)
				return nil
			})
			if err != nil {
				return err
			}
			if pair[0] == nil || pair[1] == nil {
				return at.bad("needs both minimum and maximum")
			}
			return e.add(at, pair[0], pair[1])
		}
		return at.bad("%s", it.reason())
	})
}
