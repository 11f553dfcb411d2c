package simon

import (
	"encoding/json"
	"errors"
	"io"
	"math/big"

	"github.com/weftmpc/weft/simon/ring"
)

// mostMeans bounds the columns: a sum has up to 59 bytes as text and a mean up to 26, which makes 45 MB for all, where a job
// stores up to 64 MiB.
const mostMeans = 1 << 19

// SecureMean is the mean of numbers, or of lists of numbers element by element.
//
// One masked sum of sumLayout, in the encoding of SecureSum: the mean is that sum divided by the number of samples, exact
// and rounded once. Recipients learn the sum and the number of samples, as with SecureSum; any n-1 parties learn those of
// the rest.
func SecureMean() Microprotocol {
	return tally{
		own:   []parameter{whole("columns", nil, 0, mostMeans, columnCount().about)},
		order: func(values) int { return 1 },
		layout: func(v values) (ring.Layout, error) {
			if !v.has("columns") {
				return nil, errors.New("canonical parameters without columns")
			}
			return sumLayout(int(v.whole("columns"))), nil
		},
		read: func(data io.Reader, v values) (ring.Vector, int, error) {
			p, err := readPool(data, v)
			if err != nil {
				return ring.Vector{}, 0, err
			}
			if p.columns > mostMeans {
				return ring.Vector{}, 0, place{0, -1}.bad("has %d columns: at most %d are possible", p.columns, mostMeans)
			}
			x := ring.New(sumLayout(p.columns))
			p.store(x)
			return x, int(p.samples), nil
		},
		finish: func(v values, _ int, x ring.Vector) (object, error) { return finishMean(int(v.whole("columns")), x) },
	}.statistic().complete(Microprotocol{
		Name:    "SecureMean",
		Summary: "The mean of all parties' numbers, or of their lists of numbers element by element, with their sum and how many there are.",
		Input:   SecureSum().Input,
		Result: json.RawMessage(`{"type":"object","properties":{` +
			`"samples":{"type":"integer","minimum":0,"description":"how many numbers or lists all parties gave together"},` +
			`"mean":{"description":"a number, or a list where the data are lists; null where there are no samples","anyOf":[{"type":["number","null"]},{"type":"array","items":{"type":"number"}}]},` +
			`"sum":{"description":"a number, or a list where the data are lists","anyOf":[{"type":"number"},{"type":"array","items":{"type":"number"}}]},` +
			notesSchema + `},"required":["samples","mean","sum"]}`),
		Bytes: "32 bytes to each receiver; for lists of k numbers 8 + 24·k bytes" + poolBytes,
		Leakage: "Recipients learn the sums and the number of samples of all parties together, nothing else. Any coalition of up to n-1 parties learns " +
			"the sum and the number of samples of the others: with two parties that is the other party's own. The parameters show everybody how many numbers a list has. " +
			"Broker and coordinator learn neither inputs nor result.",
	})
}

// finishMean divides what was opened.
func finishMean(columns int, x ring.Vector) (object, error) {
	n, err := samplesIn(x, fieldSamples, 0)
	if err != nil {
		return object{}, err
	}
	// Lists are written as they are computed: half a million rational numbers are too much to keep.
	var mean, sum json.RawMessage
	one := powerOfTen(sumEncoding.Digits)
	one.Mul(one, big.NewInt(n)) // of the mean, in units of the sum
	for i := range max(1, columns) {
		q := x.Int(fieldSum, i)
		if !within(q, n, sumEncoding.Bits) {
			return object{}, impossible("the sum is larger than its samples allow")
		}
		if i > 0 {
			sum, mean = append(sum, ','), append(mean, ',')
		}
		var limbs [sumLimbs]uint64
		x.Limbs(fieldSum, i, limbs[:])
		sum = sumEncoding.AppendJSON(sum, limbs[:])
		if n > 0 {
			mean = appendValue(mean, new(big.Rat).SetFrac(q, one))
		}
	}
	if columns > 0 {
		sum = append(append(json.RawMessage{'['}, sum...), ']')
		mean = append(append(json.RawMessage{'['}, mean...), ']')
	}
	var o object
	o.put("samples", n)
	if n == 0 {
		o.null("mean", noSamples)
	} else {
		o.put("mean", mean)
	}
	o.put("sum", sum)
	return o, nil
}
