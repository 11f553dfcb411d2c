package simon

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/big"

	"github.com/weftmpc/weft/simon/encode"
	"github.com/weftmpc/weft/simon/ring"
)

// A sum to be compared has less than 2^62 units of 10^-decimals; each of up to 128 parties' sums less than 2^55.
const (
	mostDecimals     = 12
	compareBits      = 62
	comparePartyBits = 55
)

// SecureCompare says whether the sum of all parties' numbers is above a threshold, and nothing else.
//
// One gate of signs on the threshold minus the sum. Recipients learn one bit.
func SecureCompare() Microprotocol {
	gate := signs{label: Label{Round: 2, Vector: "sum"}, bits: 64, gates: 1}
	return statistic{
		own: []parameter{
			whole("decimals", int64(6), 0, mostDecimals, "decimals that count: numbers are rounded to them, and may have up to 16 digits with them"),
			anyNumber("threshold", "what the sum is compared with"),
		},
		order:  func(values) int { return 1 },
		layout: func(values) (ring.Layout, error) { return wordsLayout(1), nil },
		read: func(data io.Reader, v values) ([]byte, int, error) {
			if _, err := compareThreshold(v); err != nil {
				return nil, 0, err
			}
			return readCompared(data, encode.Decimal{Digits: int(v.whole("decimals")), Bits: comparePartyBits})
		},
		run: func(ctx context.Context, s Session, v values, payload []byte) ([]byte, error) {
			own := decodeWords(payload)
			if len(own) != 1 {
				return nil, errors.New("the stored input was written by another version of weft: submit the computation again")
			}
			z := []uint64{-own[0]}
			if s.Self() == 0 {
				t, err := compareThreshold(v)
				if err != nil {
					return nil, err
				}
				z[0] += uint64(t)
			}
			seats, err := gateSeatsOf(s)
			if err != nil {
				return nil, err
			}
			shares, err := gate.run(ctx, s, seats, z)
			if err != nil {
				return nil, err
			}
			opened, err := openShares(ctx, s, seats, Label{Round: 2, Vector: "above"}, shares)
			return appendWords(nil, opened), err
		},
		deal:   func(ctx context.Context, s Session, seats gateSeats, _ values) error { return gate.deal(ctx, s, seats) },
		secret: func(values) bool { return true },
		finish: func(_ values, _ int, opened []byte) (object, error) {
			var o object
			x, err := openedWords(opened, 1)
			if err != nil {
				return o, err
			}
			if x[0] > 1 {
				return o, impossible("the answer is neither yes nor no")
			}
			o.put("above", x[0] == 1)
			return o, nil
		},
	}.complete(Microprotocol{
		Name:    "SecureCompare",
		Summary: "Whether the sum of all parties' numbers is above a public threshold: yes or no, and nothing else.",
		Hops:    5,
		Input:   json.RawMessage(orderedSchema),
		Result:  json.RawMessage(`{"type":"object","properties":{"above":{"type":"boolean","description":"whether the sum is larger than the threshold; not where they are equal"}},"required":["above"]}`),
		Bytes:   "8 bytes to each of the two evaluators and to each party; the dealer sends each evaluator 1,607 bytes",
		Leakage: "Recipients learn whether the sum is above the threshold. Whoever asks again and again with other thresholds finds the sum. " +
			"Any coalition of parties without the two evaluators learns nothing else, also with the dealer. The two evaluators together, or one of them with the dealer, learn the sum of the other parties' numbers. " +
			"Broker and coordinator learn neither inputs nor result. Evaluators and dealer must follow the protocol; one that does not can make the answer wrong, or the answer to another question.",
		WithHelper: "The dealer sends keys and receives nothing. With one evaluator it learns the sum of the other parties' numbers.",
	})
}

// compareThreshold is the threshold in units of 10^-decimals.
func compareThreshold(v values) (int64, error) {
	if !v.has("threshold") {
		return 0, &InputError{"parameters.threshold", "is missing: what the sum is compared with"}
	}
	t := v.rat("threshold")
	t.Mul(t, new(big.Rat).SetInt(powerOfTen(int(v.whole("decimals")))))
	if !t.IsInt() {
		return 0, &InputError{"parameters.threshold", "has more decimals than the parameter decimals says"}
	}
	if t.Num().BitLen() > compareBits {
		return 0, &InputError{"parameters.threshold", "is out of range for so many decimals: choose a larger unit or fewer decimals"}
	}
	return t.Num().Int64(), nil
}

// readCompared reads numbers and adds them up, in units of the encoding.
func readCompared(data io.Reader, d encode.Decimal) ([]byte, int, error) {
	var sum, q big.Int
	samples, _, err := readRows(data, 0, func(at place, cells []cell) error {
		if err := cells[0].decimal(&q, d); err != nil {
			return err
		}
		if sum.Add(&sum, &q).BitLen() > comparePartyBits {
			return at.bad("makes the sum too large: %s is required of it; choose a larger unit or fewer decimals", d.Range())
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return appendWords(nil, []uint64{uint64(sum.Int64())}), samples, nil
}
