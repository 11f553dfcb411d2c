// Package encode turns numbers into ring elements and back, exactly.
package encode

// Decimal is the encoding DEC(Digits, Bits).
type Decimal struct {
	Digits int
	Bits   int
}

// AppendJSON appends the JSON text of sum·10^-Digits.
func (d Decimal) AppendJSON(dst []byte, sum []uint64) []byte { panic("todo") }

// Encode writes the number with the given JSON text into q.
func (d Decimal) Encode(q []uint64, text []byte) error { panic("todo") }
