package simon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"time"

	"github.com/weftmpc/weft/simon/encode"
	"github.com/weftmpc/weft/simon/ring"
)

// sumEncoding is how SecureSum encodes numbers: |x| < 2.23e23 in steps of 1e-20. A field of 192 bits holds the sum of 2^40
// of them with its sign.
var sumEncoding = encode.Decimal{Digits: 20, Bits: 144}

const (
	sumLimbs   = 3
	maxSamples = 1 << 40 // pooled; see sumEncoding
	maxColumns = 1 << 20 // 24 MiB per party and receiver; the result fits into what a job store takes
	sumText    = 16      // bytes that the text of a sum is expected to have

	inputVersion = 1 // first byte of a stored input
)

// The fields of SecureSum's layout.
const (
	fieldSamples = iota
	fieldSum
)

// SecureSum adds numbers, or lists of numbers element by element, over all parties.
func SecureSum() Microprotocol {
	m := Microprotocol{
		Name:    "SecureSum",
		Version: 1,
		Summary: "The sum of all parties' numbers, or of their lists of numbers element by element, and how many there are.",
		Input: json.RawMessage(`{"description":"a number, a list of numbers, or a list of equally long lists of numbers",` +
			`"anyOf":[{"type":"number"},{"type":"array","items":{"anyOf":[{"type":"number"},{"type":"array","items":{"type":"number"},"minItems":1}]}}]}`),
		Result: json.RawMessage(`{"type":"object","properties":{` +
			`"samples":{"type":"integer","minimum":0,"description":"how many numbers or lists all parties gave together"},` +
			`"sum":{"description":"a number, or a list where the data are lists","anyOf":[{"type":"number"},{"type":"array","items":{"type":"number"}}]}},` +
			`"required":["samples","sum"]}`),
		MinParties: 2,
		Hops:       4, // JOIN, START, masked vectors, CONFIRM
		Bytes:      "32 bytes to each receiver; for lists of k numbers 8 + 24·k bytes",
		Leakage: "Recipients learn the sums and the number of samples of all parties together, nothing else. Any coalition of up to n-1 parties learns " +
			"the sum and the number of samples of the others: with two parties that is the other party's own. The parameters show everybody how many numbers a list has. " +
			"Broker and coordinator learn neither inputs nor result.",
		Aggregates: true,
		WithHelper: aggregatorHelper,

		Round: 20 * time.Second,
		Limit: 120 * time.Second,
	}
	known := withTiming(m.Round, m.Limit, columnCount())
	m.Parameters = schemaOf(known)
	m.Prepare = func(data io.Reader, parameters json.RawMessage, _ Guard) (Prepared, error) {
		return prepareSum(data, parameters, known)
	}
	m.Run = runSum
	m.Finish = finishSum
	return m
}

// columnCount is the parameter of sums of lists.
func columnCount() parameter {
	return whole("columns", nil, 0, maxColumns, "how many numbers each list has, 0 where the data are plain numbers; by default as in the data")
}

// sumLayout is the vector of a computation: the count, then one sum, or one per column.
func sumLayout(columns int) ring.Layout {
	return ring.Layout{fieldSamples: {Name: "samples", Limbs: 1, Count: 1}, fieldSum: {Name: "sum", Limbs: sumLimbs, Count: max(1, columns)}}
}

// sumColumns reads the layout's one parameter from canonical parameters.
func sumColumns(canonical []byte) (int, error) {
	var p struct{ Columns *int }
	if err := json.Unmarshal(canonical, &p); err != nil {
		return 0, fmt.Errorf("reading columns from canonical parameters: %w", err)
	}
	if p.Columns == nil || *p.Columns < 0 || *p.Columns > maxColumns {
		return 0, errors.New("canonical parameters without valid columns")
	}
	return *p.Columns, nil
}

func prepareSum(data io.Reader, parameters json.RawMessage, known []parameter) (Prepared, error) {
	values, err := readParameters(parameters, known)
	if err != nil {
		return Prepared{}, err
	}
	p, err := readPool(data, values)
	if err != nil {
		return Prepared{}, err
	}
	canonical, err := canonical(nil, values)
	if err != nil {
		return Prepared{}, err
	}
	layout := sumLayout(p.columns)
	input := make([]byte, 1+layout.Size())
	input[0] = inputVersion
	x, err := ring.View(layout, input[1:])
	if err != nil {
		return Prepared{}, err
	}
	p.store(x)
	return Prepared{Parameters: canonical, Layout: layout.Hash(), Input: input}, nil
}

// runSum opens the total of the stored inputs.
func runSum(ctx context.Context, s Session, c Common, input []byte) ([]byte, error) {
	columns, err := sumColumns(c.Parameters)
	if err != nil {
		return nil, err
	}
	if len(input) == 0 || input[0] != inputVersion {
		return nil, errors.New("the stored input was written by another version of weft: submit the computation again")
	}
	x, err := ring.View(sumLayout(columns), input[1:]) // a retry needs the input again: OpenSum leaves it as it is
	if err != nil {
		return nil, fmt.Errorf("the stored input: %w", err)
	}
	s.Report(Progress{Round: 1, Rounds: 1})
	s, end, err := begin(ctx, s, nil)
	if err != nil {
		return nil, err
	}
	sum, err := OpenSum(ctx, s, Label{Round: 1, Vector: "sum"}, x)
	if err != nil {
		return nil, err
	}
	return sum.Bytes(), end(ctx)
}

// finishSum writes the opened total as JSON. No honest inputs lead to a total beyond samples·2^144: one that is there
// anyway shows that a party sent something else than the sum of its numbers.
func finishSum(c Common, _, opened []byte) (json.RawMessage, error) {
	columns, err := sumColumns(c.Parameters)
	if err != nil {
		return nil, err
	}
	layout := sumLayout(columns)
	x, err := ring.View(layout, opened)
	if err != nil {
		return nil, fmt.Errorf("the opened sum: %w", err)
	}
	var samples [1]uint64
	x.Limbs(fieldSamples, 0, samples[:])
	if samples[0] > maxSamples {
		return nil, &OutcomeError{"the number of samples is impossible: a party did not follow the protocol"}
	}
	out := fmt.Appendf(make([]byte, 0, 64+sumText*columns), `{"samples":%d,"sum":`, samples[0])
	if columns > 0 {
		out = append(out, '[')
	}
	for i := range layout[fieldSum].Count {
		var sum [sumLimbs]uint64
		x.Limbs(fieldSum, i, sum[:])
		if !plausible(sum, samples[0]) {
			return nil, &OutcomeError{"the sum is larger than its samples allow: a party did not follow the protocol"}
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = sumEncoding.AppendJSON(out, sum[:])
	}
	if columns > 0 {
		out = append(out, ']')
	}
	return append(out, '}'), nil
}

// plausible says whether |sum| < samples·2^144, or both are 0.
func plausible(sum [sumLimbs]uint64, samples uint64) bool {
	if int64(sum[2]) < 0 {
		var borrow uint64
		for i := range sum {
			sum[i], borrow = bits.Sub64(0, sum[i], borrow)
		}
	}
	if samples == 0 {
		return sum == [sumLimbs]uint64{}
	}
	return sum[2] < samples<<(144-128)
}
