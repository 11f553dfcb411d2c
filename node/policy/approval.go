package policy

import "slices"

// Approval says which computations wait, at this party, for somebody who may approve them.
type Approval struct {
	Microprotocols []string // by name; Every stands for all
	ByCaller       bool     // who asked may approve, too, if their role lets them; else it takes another one
}

// Every stands for all microprotocols.
const Every = "all"

// Needs says whether a computation of the microprotocol waits.
func (a Approval) Needs(microprotocol string) bool {
	return slices.Contains(a.Microprotocols, microprotocol) || slices.Contains(a.Microprotocols, Every)
}
