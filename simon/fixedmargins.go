package simon

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/big"
	"slices"

	"github.com/weftmpc/weft/simon/special"
)

// Bounds of the enumeration of tables with given margins.
const (
	enumeratedSamples = 5000
	// enumeratedWords is of the work, in words of 64 bits: those of the numbers and lists that are computed. As many take
	// about a second.
	enumeratedWords = 20_000_000
	// weighedWords is for a part of tables, next to the words of its count: there are a million at most, of 60 bytes.
	weighedWords = 20
)

// logUnit is the unit of the logarithms that order tables: 2^-44. Logarithms of factorials up to enumeratedSamples then
// have 60 bits, and the sum over a table of a hundred cells has an error below 1e-11, where tables count as equally probable
// within 1e-7. Sums over the same cells in another order are equal. logSlack is more than the errors of a bound.
const (
	logUnit  = 44
	logSlack = 1 << 10
)

// logFactorials are the logarithms of 0! to n!, in units of 2^-logUnit, rounded down.
func logFactorials(n int64) []int64 {
	logs := make([]int64, n+1)
	sum, unit := special.Int(0), special.Int(0)
	of := make([]*big.Float, n+1) // logarithms of the numbers; those of composite ones are sums
	divisor := make([]int64, n+1) // a prime
	for k := int64(2); k <= n; k++ {
		if p := divisor[k]; p > 0 {
			of[k] = special.Int(0).Add(of[p], of[k/p])
		} else {
			of[k] = special.Log(special.Int(k))
			for i := k * k; i <= n; i += k {
				divisor[i] = k
			}
		}
		sum.Add(sum, of[k])
		logs[k], _ = unit.SetMantExp(sum, logUnit).Int64()
	}
	return logs
}

// weighed are parts of tables of one probability: its logarithm without a constant, and in how many ways samples can be
// arranged so.
type weighed struct {
	log   int64
	count *big.Int
}

// margins enumerates the tables that have the margins of a given one and are more probable than it.
//
// It goes through the tables column by column, from both ends: the rows' sums that are left after the first columns are a
// node, and for each node it has the probabilities of the beginnings that lead there and of the ends that start there, equal
// ones together (Pagano and Halvorsen 1981; Mehta and Patel 1983, with Vandermonde's sum as the bound of what is still to
// come, instead of the longest path). A table's weight, the product of C(left in the row, cell) over its cells, is an
// integer.
type margins struct {
	columns []int64 // ascending
	log     []int64 // of factorials
	most    int64   // logarithm of the tables that are not more probable
	bounds  []int64 // by column: no less than the logarithm of any end that starts there
	half    int     // columns of a beginning
	work    int     // that is left, in words; less than 0: there are too many tables
	ends    map[string][]weighed
}

// fixedMarginsP is the probability of the tables with the same margins that are no more probable than the given one, within
// relative, if categories are independent (Freeman and Halton 1951). ok is false where there are too many tables.
func fixedMarginsP(counts []int64, rows, columns []int64) (p *big.Rat, ok bool) {
	var n int64
	for _, r := range rows {
		n += r
	}
	if n > enumeratedSamples {
		return nil, false
	}
	left := slices.DeleteFunc(slices.Clone(rows), func(r int64) bool { return r == 0 })
	across := slices.DeleteFunc(slices.Clone(columns), func(c int64) bool { return c == 0 })
	if len(left) > len(across) { // nodes have the shorter margin
		left, across = across, left
	}
	if len(left) < 2 {
		return big.NewRat(1, 1), true // there is no other table
	}
	slices.Sort(left)
	slices.Sort(across)
	m := &margins{columns: across, log: logFactorials(n), half: len(across) / 2, work: enumeratedWords, ends: map[string][]weighed{}}
	tolerance := special.Log(special.FromRat(relative))
	m.most, _ = tolerance.SetMantExp(tolerance, logUnit).Int64()
	// Over the cells of a row, the logarithms of C(left, cell) add up to that of row! less those of cell!.
	for _, r := range left {
		m.most += m.log[r]
	}
	for _, x := range counts {
		m.most -= m.log[x]
	}
	total := new(big.Int).MulRange(1, n)
	bound := m.log[n]
	for _, c := range across {
		m.bounds = append(m.bounds, bound+logSlack)
		total.Quo(total, new(big.Int).MulRange(1, c))
		n -= c
		bound = m.log[n]
	}
	for j := range m.bounds { // (what is left)!/(columns!)
		for _, c := range across[j:] {
			m.bounds[j] -= m.log[c]
		}
	}
	above, ok := m.above(left)
	if !ok {
		return nil, false
	}
	return new(big.Rat).SetFrac(above.Sub(total, above), total), true
}

// spend takes words off the work that is left: others, and those of x.
func (m *margins) spend(others int, x *big.Int) {
	m.work -= others + (x.BitLen()+63)/64
}

// above adds up the weights of the tables that are more probable.
func (m *margins) above(left []int64) (sum *big.Int, ok bool) {
	begun := map[string][]weighed{node(left): {{0, big.NewInt(1)}}}
	for column := range m.half {
		next := map[string][]weighed{}
		for _, from := range nodes(begun) {
			if m.work < 0 {
				return nil, false
			}
			beginnings := begun[from] // at least one, unless the work was used up
			floor := m.most - m.bounds[column+1]
			m.split(rowsOf(from), column, floor-beginnings[len(beginnings)-1].log, func(rest []int64, log int64, count *big.Int) {
				to := node(rest)
				next[to] = m.products(next[to], beginnings, weighed{log, count}, floor)
			})
		}
		for to := range next {
			next[to] = merged(next[to])
		}
		begun = next
	}
	sum = new(big.Int)
	for _, at := range nodes(begun) {
		beginnings := begun[at]
		if m.work < 0 {
			break
		}
		ends := m.endsOf(at, m.half, m.most-beginnings[len(beginnings)-1].log)
		if m.work < 0 {
			break
		}
		// Both lists ascend: the larger the beginning, the more ends are large enough.
		from, i := new(big.Int), len(ends)
		for _, b := range beginnings {
			for ; i > 0 && ends[i-1].log > m.most-b.log; i-- {
				from.Add(from, ends[i-1].count)
			}
			product := new(big.Int).Mul(from, b.count)
			m.spend(1, product)
			sum.Add(sum, product)
		}
	}
	return sum, m.work >= 0
}

// endsOf are the ways to fill the columns from column on whose logarithms are larger than floor, in ascending order.
func (m *margins) endsOf(at string, column int, floor int64) []weighed {
	if column == len(m.columns)-1 {
		return []weighed{{0, big.NewInt(1)}} // what is left is the last column
	}
	if column > m.half { // nodes there have many beginnings: all ends are listed, once
		if ends, known := m.ends[at]; known {
			return ends
		}
		floor = math.MinInt64 / 2
	}
	var ends []weighed
	m.split(rowsOf(at), column, floor-m.bounds[column+1], func(rest []int64, log int64, count *big.Int) {
		ends = m.products(ends, m.endsOf(node(rest), column+1, 0), weighed{log, count}, floor)
	})
	ends = merged(ends)
	if column > m.half {
		m.ends[at] = ends
	}
	return ends
}

// products appends the parts of list, which ascends, put together with another part, as far as they are larger than floor.
func (m *margins) products(dst, list []weighed, by weighed, floor int64) []weighed {
	for i := len(list) - 1; i >= 0 && list[i].log+by.log > floor && m.work >= 0; i-- {
		product := new(big.Int).Mul(list[i].count, by.count)
		m.spend(weighedWords, product)
		dst = append(dst, weighed{list[i].log + by.log, product})
	}
	return dst
}

// merged sorts by logarithm and adds what is equally probable.
func merged(list []weighed) []weighed {
	slices.SortFunc(list, func(a, b weighed) int { return cmp.Compare(a.log, b.log) })
	out := list[:0]
	for _, w := range list {
		if n := len(out); n > 0 && out[n-1].log == w.log {
			out[n-1].count.Add(out[n-1].count, w.count)
		} else {
			out = append(out, w)
		}
	}
	return out
}

// split calls yield for each way to take a column out of at least two rows whose logarithm, the sum of those of
// C(left, cell), is larger than floor; with what is left in the rows, that logarithm and the product of C(left, cell), none
// of which it may keep. It stops when the work is used up.
func (m *margins) split(rows []int64, column int, floor int64, yield func(rest []int64, log int64, count *big.Int)) {
	if m.work < 0 {
		return
	}
	m.work -= 6 * len(rows) // of what follows
	s := &splitting{m: m, rows: rows, rest: slices.Clone(rows), floor: floor, yield: yield}
	s.room = make([]int64, len(rows)+1)
	for i := len(rows) - 1; i >= 0; i-- {
		s.room[i] = s.room[i+1] + rows[i]
	}
	s.products = make([]big.Int, len(rows))
	s.take(0, m.columns[column], 0, big.NewInt(1))
}

// splitting is split under way.
type splitting struct {
	m          *margins
	rows, rest []int64
	room       []int64 // in the rows from i on
	floor      int64
	products   []big.Int
	yield      func(rest []int64, log int64, count *big.Int)
}

// binomial is C(n, k).
func (m *margins) binomial(n, k int64) *big.Int {
	m.work -= int(min(k, n-k)) // factors
	return new(big.Int).Binomial(n, k)
}

// choose is the logarithm of C(n, k).
func (m *margins) choose(n, k int64) int64 { return m.log[n] - m.log[k] - m.log[n-k] }

// take goes through what row i may give to a column of which left is still wanted.
func (s *splitting) take(i int, left, log int64, count *big.Int) {
	if i == len(s.rows)-2 {
		s.takeTwo(i, left, log, count)
		return
	}
	row := s.rows[i]
	x := max(0, left-s.room[i+1])
	choose := s.m.binomial(row, x)
	var factor big.Int
	for ; x <= min(row, left) && s.m.work >= 0; x++ {
		s.m.spend(1, choose)
		more := log + s.m.choose(row, x)
		// Vandermonde: the products over the other rows add up to C(room, left), so none is larger.
		if more+s.m.choose(s.room[i+1], left-x)+logSlack > s.floor {
			s.rest[i] = row - x
			product := s.products[i].Mul(count, choose)
			s.m.spend(0, product)
			s.take(i+1, left-x, more, product)
		}
		choose.Mul(choose, factor.SetInt64(row-x))
		choose.Quo(choose, factor.SetInt64(x+1))
	}
}

// takeTwo goes through the last two rows.
func (s *splitting) takeTwo(i int, left, log int64, count *big.Int) {
	a, b := s.rows[i], s.rows[i+1]
	x := max(0, left-b)
	y := left - x
	first, second := s.m.binomial(a, x), s.m.binomial(b, y)
	var factor big.Int
	for ; x <= min(a, left) && s.m.work >= 0; x, y = x+1, y-1 {
		s.m.spend(1, first)
		s.m.spend(0, second)
		if log := log + s.m.choose(a, x) + s.m.choose(b, y); log > s.floor {
			s.rest[i], s.rest[i+1] = a-x, b-y
			product := s.products[i].Mul(count, first)
			product = s.products[i+1].Mul(product, second)
			s.m.spend(len(s.rest), product) // and the node's name
			s.yield(s.rest, log, product)
		}
		first.Mul(first, factor.SetInt64(a-x))
		first.Quo(first, factor.SetInt64(x+1))
		second.Mul(second, factor.SetInt64(y))
		second.Quo(second, factor.SetInt64(b-y+1))
	}
}

// node names what is left in rows: their order does not matter.
func node(rows []int64) string {
	sorted := slices.Clone(rows)
	slices.Sort(sorted)
	name := make([]byte, 0, 2*len(rows))
	for _, r := range sorted {
		name = binary.BigEndian.AppendUint16(name, uint16(r)) // up to enumeratedSamples
	}
	return string(name)
}

func rowsOf(node string) []int64 {
	rows := make([]int64, len(node)/2)
	for i := range rows {
		rows[i] = int64(node[2*i])<<8 | int64(node[2*i+1])
	}
	return rows
}

// nodes are the names in order: which node uses up the work must not depend on the order of a map.
func nodes(of map[string][]weighed) []string {
	names := make([]string, 0, len(of))
	for name := range of {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
