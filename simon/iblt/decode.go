package iblt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
	"slices"
)

// Entry is a key with its pooled count.
type Entry struct {
	Key   []byte
	Count uint64 // at least 1
}

// ErrCorrupt says that a table is no sum of tables whose counts together stay below the bound. Another attempt will not
// help: a party has sent something else.
var ErrCorrupt = errors.New("iblt: the opened table is not a sum of the parties' tables: some party runs other software or does not follow the protocol")

// Decode lists the table's keys and counts, ordered by the bytes of the keys, and leaves the table as it is.
//
// ok is false where a table of honest parties could not be read: try again with other hash functions and a larger dmax.
// The error is ErrCorrupt where the table is none of honest parties. Either way nothing of its content is returned. most
// bounds the sum of all counts; valid says whether a key is one, and does not keep it.
//
// Decode ends and does not panic whatever the vector holds. It takes at most one key out of each cell, so no key twice.
func (t *Table) Decode(most uint64, valid func(key []byte) bool) (entries []Entry, ok bool, err error) {
	p := t.peeler()
	if !p.balanced(most) {
		return nil, false, ErrCorrupt
	}
	queue := make([]int, p.cells)
	queued := make([]bool, p.cells) // keeps the queue no longer than the table
	for i := range queue {
		queue[i], queued[i] = i, true
	}
	emptied := make([]bool, p.cells)
	var total uint64
	for len(queue) > 0 {
		cell := queue[0]
		queue, queued[cell] = queue[1:], false
		at, pure := p.pure(cell)
		if !pure {
			continue
		}
		count := p.counts[cell]
		if count > most-total || !valid(p.key) {
			return nil, false, ErrCorrupt
		}
		total += count
		entries = append(entries, Entry{bytes.Clone(p.key), count})
		p.takeOut(at, count)
		for _, other := range at {
			// No other key is in a cell that showed one: to be zero in the end, later counts would have to sum up to 2^64.
			if emptied[other] {
				return nil, false, ErrCorrupt
			}
			if other != cell && !queued[other] {
				queue, queued[other] = append(queue, other), true
			}
		}
		emptied[cell] = true
	}
	if !p.empty() {
		return nil, false, nil
	}
	slices.SortFunc(entries, func(a, b Entry) int { return bytes.Compare(a.Key, b.Key) })
	return entries, true, nil
}

// peeler is a table of which keys are taken out, as words.
type peeler struct {
	h              *hasher
	cells, words   int
	counts, checks []uint64
	keys           []uint64 // words to a cell

	// Of the cell that was looked at last.
	quotient []uint64
	key      []byte
	h64      uint64
}

func (t *Table) peeler() *peeler {
	b := t.v.Bytes()
	all := make([]uint64, len(b)/8)
	for i := range all {
		all[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	keysEnd := t.cells * (1 + t.words)
	return &peeler{
		h:        &t.h,
		cells:    t.cells,
		words:    t.words,
		counts:   all[:t.cells],
		keys:     all[t.cells:keysEnd],
		checks:   all[keysEnd:],
		quotient: make([]uint64, t.words-1),
		key:      make([]byte, 8*(t.words-1)),
	}
}

// balanced says whether the parts of the table have equal sums, the counts summing up to most or less: each key has one
// cell in each part. Tables of honest parties are balanced, readable or not.
func (p *peeler) balanced(most uint64) bool {
	var first []uint64
	sub := p.cells / parts
	for part := range parts {
		sum := make([]uint64, 2+p.words)
		for cell := part * sub; cell < (part+1)*sub; cell++ {
			sum[0] += p.counts[cell]
			sum[1] += p.checks[cell]
			var carry uint64
			for i, x := range p.sum(cell) {
				sum[2+i], carry = bits.Add64(sum[2+i], x, carry)
			}
		}
		if part == 0 {
			first = sum
		}
		if !slices.Equal(sum, first) {
			return false
		}
	}
	return first[0] <= most
}

// sum is the K of a cell.
func (p *peeler) sum(cell int) []uint64 {
	return p.keys[p.words*cell : p.words*(cell+1)]
}

// pure says whether a cell holds one key, and sets the peeler's key to it, with the four cells of the key.
func (p *peeler) pure(cell int) (at [parts]int, pure bool) {
	count, sum := p.counts[cell], p.sum(cell)
	// K = count·key with key < 2^(8·keySize): the highest word of the quotient is zero.
	rest := sum[p.words-1]
	if rest >= count {
		return at, false // so is an empty cell
	}
	for i := p.words - 2; i >= 0; i-- {
		p.quotient[i], rest = bits.Div64(rest, sum[i], count)
	}
	if rest != 0 {
		return at, false
	}
	for i, x := range p.quotient {
		binary.LittleEndian.PutUint64(p.key[8*i:], x)
	}
	if p.h64 = p.h.check(p.key); count*p.h64 != p.checks[cell] {
		return at, false
	}
	at = p.h.cells(p.key)
	return at, at[cell/(p.cells/parts)] == cell
}

// takeOut subtracts count times the peeler's key from the key's four cells.
func (p *peeler) takeOut(at [parts]int, count uint64) {
	for _, cell := range at {
		p.counts[cell] -= count
		p.checks[cell] -= count * p.h64
		sum := p.sum(cell)
		var high, borrow uint64
		for i, x := range p.quotient {
			hi, lo := bits.Mul64(x, count)
			lo, c := bits.Add64(lo, high, 0)
			high = hi + c
			sum[i], borrow = bits.Sub64(sum[i], lo, borrow)
		}
		sum[p.words-1] -= high + borrow
	}
}

// empty says whether nothing is left in the table.
func (p *peeler) empty() bool {
	zero := func(words []uint64) bool { return !slices.ContainsFunc(words, func(x uint64) bool { return x != 0 }) }
	return zero(p.counts) && zero(p.keys) && zero(p.checks)
}
