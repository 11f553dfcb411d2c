package simon

import (
	"fmt"
	"io"
	"math/big"

	"github.com/weftmpc/weft/simon/encode"
	"github.com/weftmpc/weft/simon/ring"
)

// groupSums are how many numbers each group has, and the sums of their first and second powers, exact, in units of the
// grid of statEncoding and its square.
type groupSums struct {
	n        []int64
	sum      []big.Int
	squares  []big.Int
	q, power big.Int // scratch space
}

func newGroupSums(groups int) *groupSums {
	return &groupSums{n: make([]int64, groups), sum: make([]big.Int, groups), squares: make([]big.Int, groups)}
}

// groupSumsLayout is the vector of groupSums: 72 bytes for each group. Differences of two numbers fit too.
func groupSumsLayout(groups int) ring.Layout {
	return ring.Layout{
		{Name: "samples", Limbs: 1, Count: groups},
		{Name: "sums", Limbs: limbsFor(statEncoding.Bits + 1), Count: groups},
		{Name: "squares", Limbs: limbsFor(2 * (statEncoding.Bits + 1)), Count: groups},
	}
}

// add counts q in group g.
func (s *groupSums) add(g int, q *big.Int) {
	s.n[g]++
	s.sum[g].Add(&s.sum[g], q)
	s.squares[g].Add(&s.squares[g], s.power.Mul(q, q))
}

func (s *groupSums) vector() ring.Vector {
	x := ring.New(groupSumsLayout(len(s.n)))
	for g := range s.n {
		setInt(x, 0, g, s.q.SetInt64(s.n[g]))
		setInt(x, 1, g, &s.sum[g])
		setInt(x, 2, g, &s.squares[g])
	}
	return x
}

// readGrouped reads rows of a number and the group it belongs to, and calls row with the index of the group and the number
// on the grid, which is valid until row returns.
func readGrouped(data io.Reader, groups []encode.Category, row func(at place, g int, q *big.Int) error) (rows int, err error) {
	index := map[encode.Category]int{} // for lookups only
	for g, c := range groups {
		index[c] = g
	}
	var q big.Int
	rows, _, err = readRows(data, 2, func(at place, cells []cell) error {
		if err := cells[0].decimal(&q, statEncoding); err != nil {
			return err
		}
		c, err := cells[1].category()
		if err != nil {
			return err
		}
		g, ok := index[c]
		if !ok {
			return cells[1].at.unlisted("is no group of parameters.groups: name it there, in the same spelling and kind (text, number, true or false), or leave the row out")
		}
		return row(at, g, &q)
	})
	return rows, err
}

// openedGroups reads the groups of an opened vector of groupSums.
func openedGroups(x ring.Vector) ([]*moments, error) {
	all := make([]*moments, x.Layout()[0].Count)
	for g := range all {
		n, err := samplesIn(x, 0, g)
		if err != nil {
			return nil, err
		}
		m := &moments{n: n}
		m.power[0] = new(big.Rat).SetInt64(n)
		m.power[1] = scaled(x.Int(1, g), statEncoding.Digits)
		m.power[2] = scaled(x.Int(2, g), 2*statEncoding.Digits)
		if m.power[2].Sign() < 0 || !m.plausible() {
			return nil, impossible("the sums contradict each other")
		}
		all[g] = m
	}
	return all, nil
}

// together is how many samples the groups have.
func together(groups []*moments) int64 {
	var n int64
	for _, m := range groups {
		n += m.n
	}
	return n
}

// putGroups adds the member groups: name, samples, mean and variance of each.
func (o *object) putGroups(names []encode.Category, groups []*moments) {
	list := make([]any, len(groups))
	for g, m := range groups {
		var member object
		member.put("group", names[g])
		member.put("samples", m.n)
		path := fmt.Sprintf("groups[%d].", g)
		if m.n == 0 {
			member.put("mean", nil)
			o.note(path+"mean", noSamples)
		} else {
			member.put("mean", m.mean())
		}
		if m.n < 2 {
			member.put("variance", nil)
			o.note(path+"variance", oneSample)
		} else {
			member.put("variance", m.variance(1))
		}
		list[g] = member
	}
	o.put("groups", list)
}

// groupsSchema is the member that putGroups writes.
const groupsSchema = `"groups":{"type":"array","description":"the groups, in the order of the parameter groups","items":{"type":"object","properties":{` +
	`"group":{"type":["string","integer","boolean"],"description":"its name"},"samples":{"type":"integer","description":"how many rows it has"},"mean":{"type":["number","null"],"description":"arithmetic mean"},` +
	`"variance":{"type":["number","null"],"description":"with n-1"}}}}`
