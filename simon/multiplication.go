package simon

import (
	"encoding/json"
	"fmt"

	"github.com/weftmpc/weft/simon/matrix"
)

// SecureMatrixMultiplication gives both parties the product X·Y of the matrix X of one and the matrix Y of the other.
//
// Numbers are on a grid of 1e-18, and the product of the dealt masks is exact (package matrix); what is opened of it is
// rounded. Every number of the product is one equation for the numbers of the other party's matrix: a policy bounds how many
// there are for each unknown.
func SecureMatrixMultiplication() Microprotocol {
	return bilinear{
		of: func(left, right [2]int) (product, error) {
			if left[1] != right[0] {
				return product{}, fmt.Errorf("has %d rows, and the left matrix has %d columns: they must be as many", right[0], left[1])
			}
			return product{rows: left[0], inner: left[1], columns: right[1]}, nil
		},
		look: func(factor, int) error { return nil },
		sides: func(f factor, position int) (matrix.Matrix, error) {
			if position == 0 {
				return f.matrix().Transpose(), nil
			}
			return f.matrix(), nil
		},
		unit: 2 * matrixEncoding.Digits, bits: 2 * matrixEncoding.Bits, most: 15, preset: 12, member: "product",
		left: "rows and columns of the left matrix; by default as in the data", right: "rows and columns of the right matrix; by default as in the data",
	}.complete(Microprotocol{
		Name:    "SecureMatrixMultiplication",
		Summary: "The product of two parties' matrices.",
		Input:   json.RawMessage(factorSchema("a matrix as a list of rows, also in a list of one; the first party's is the left factor")),
		Result: json.RawMessage(`{"type":"object","properties":{"product":{"type":"array","description":"the product, row by row, to as many decimals as the parameter says",` +
			`"items":{"type":"array","items":{"type":"number"}}}},"required":["product"]}`),
		Bytes: "32 bytes for each number of the own matrix, and for each of the product, to the other party; the dealer sends the second party 32 for each number of the product",
		Leakage: "Both parties learn the product and the shapes of both matrices. Each number of the product is an equation for the other party's numbers: from a product with as many rows as there are terms in its sums, or as many columns, " +
			"the other matrix follows completely, whatever the protocol, and coarse numbers follow from fewer; so a policy wants ten terms for each row and each column (least_ratio). " +
			"What is opened has so many decimals and no more; for each number one bit of what lies behind them shows, at every computation anew. " +
			"Either party alone learns nothing else. Broker and coordinator learn the shapes and neither matrices nor product, unless the coordinator deals and works with a party. " +
			"With least_ratio 0 this is experimental: the product can be the other matrix. Parties and dealer must follow the protocol; one that does not can make the product wrong.",
		WithHelper: "The dealer sends random numbers and receives nothing, not even the product. Together with one party it reads all of the other party's matrix: a node's policy must list it for this microprotocol.",
	})
}

// factorSchema is that of one matrix.
func factorSchema(about string) string {
	const row = `{"type":"array","minItems":1,"items":{"type":"number"}}`
	return `{"description":` + string(appendString(nil, about)) + `,"anyOf":[{"type":"number"},{"type":"array","minItems":1,"items":{"type":"number"}},` +
		`{"type":"array","minItems":1,"items":` + row + `},{"type":"array","minItems":1,"maxItems":1,"items":{"type":"array","minItems":1,"items":` + row + `}}]}`
}
