package fss

import "encoding/binary"

// lanes is how many nodes a block has. Their AES calls do not wait for each other, so the processor has several under way.
// More than 4 gain nothing measurable, as the three or four calls at one node are independent already.
const lanes = 8

// block is the state of independent walks down trees, level by level, one walk in a lane.
type block struct {
	s          [lanes][Lambda]byte // seeds
	l, r, v, w [lanes][Lambda]byte // AES under K1, K2, K3 and K4 of the seeds
	t          [lanes]uint64       // control bits, 0 or 1
	sum        [lanes][2]uint64    // of numbers on the way down
}

// expand is the generator on the first n seeds, before they are added.
func (k *Keys) expand(b *block, n, words int) {
	for j := range n {
		s := b.s[j][:]
		k.k[0].Encrypt(b.l[j][:], s)
		k.k[1].Encrypt(b.r[j][:], s)
		k.k[2].Encrypt(b.v[j][:], s)
		if words == 2 {
			k.k[3].Encrypt(b.w[j][:], s)
		}
	}
}

// last expands the seeds of the last nodes to numbers, which leaf reads.
func (k *Keys) last(b *block, n, words int) {
	if words == 1 {
		return
	}
	for j := range n {
		k.k[4].Encrypt(b.v[j][:], b.s[j][:])
	}
}

// leaf are the numbers of lane j's last node.
func (b *block) leaf(j, words int) [2]uint64 {
	lo, hi := load(&b.s[j])
	if words == 1 {
		return [2]uint64{hi, 0}
	}
	v0, v1 := load(&b.v[j])
	return [2]uint64{v0 ^ lo, v1 ^ hi}
}

// side is the child of the node in lane j that bit says, 0 is left: its seed and its control bit.
func (b *block) side(j int, bit uint64) (lo, hi, t uint64) {
	s0, s1 := load(&b.s[j])
	l0, l1 := load(&b.l[j])
	r0, r1 := load(&b.r[j])
	lo = pick(bit, l0, r0) ^ s0
	return lo &^ 1, pick(bit, l1, r1) ^ s1, lo & 1
}

// number is the number of that child.
func (b *block) number(j int, bit uint64) uint64 {
	s0, s1 := load(&b.s[j])
	v0, v1 := load(&b.v[j])
	return pick(bit, v0^s0, v1^s1)
}

// pair are the numbers of that child where the payload is a pair.
func (b *block) pair(j int, bit uint64) (uint64, uint64) {
	s0, s1 := load(&b.s[j])
	v0, v1 := load(&b.v[j])
	w0, w1 := load(&b.w[j])
	return pick(bit, v0, w0) ^ s0, pick(bit, v1, w1) ^ s1
}

// numbers is number or pair.
func (b *block) numbers(j int, bit uint64, words int) [2]uint64 {
	if words == 1 {
		return [2]uint64{b.number(j, bit), 0}
	}
	v0, v1 := b.pair(j, bit)
	return [2]uint64{v0, v1}
}

// pick is l where bit is 0, and r where it is 1.
func pick(bit, l, r uint64) uint64 { return l ^ -bit&(l^r) }

// negate is -x where bit is 1, and x where it is 0.
func negate(bit, x uint64) uint64 { return (x ^ -bit) + bit }

func word(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

func load(s *[Lambda]byte) (lo, hi uint64) { return word(s[:8]), word(s[8:]) }

func store(s *[Lambda]byte, lo, hi uint64) {
	binary.LittleEndian.PutUint64(s[:8], lo)
	binary.LittleEndian.PutUint64(s[8:], hi)
}

// eval evaluates up to lanes keys (Fig. 1, Eval).
func (k *Keys) eval(b *block, party uint64, s shape, keys []byte, xs, out []uint64) {
	n, size := len(xs), s.size()
	for j := range n {
		copy(b.s[j][:], keys[j*size:])
		b.t[j] = party
		b.sum[j] = [2]uint64{}
	}
	for i := range s.bits {
		k.expand(b, n, s.words)
		at := Lambda + i*s.step()
		for j, x := range xs {
			bit := x >> (s.bits - 1 - i) & 1
			b.down(j, bit, s.words, keys[j*size+at:][:s.step()])
		}
	}
	k.last(b, n, s.words)
	for j := range n {
		end := keys[(j+1)*size-8*s.words:]
		v := b.leaf(j, s.words)
		for w := range s.words {
			out[j*s.words+w] = negate(party, b.sum[j][w]+v[w]+-b.t[j]&word(end[8*w:]))
		}
	}
}

// down goes from the expanded node in lane j to the side that bit says, with the correction cw of this level.
func (b *block) down(j int, bit uint64, words int, cw []byte) {
	t := b.t[j]
	if words == 1 {
		b.sum[j][0] += b.number(j, bit) + -t&word(cw[Lambda:])
	} else {
		v0, v1 := b.pair(j, bit)
		b.sum[j][0] += v0 + -t&word(cw[Lambda:])
		b.sum[j][1] += v1 + -t&word(cw[Lambda+8:])
	}
	lo, hi, next := b.side(j, bit)
	c0, c1 := load((*[Lambda]byte)(cw))
	store(&b.s[j], lo^-t&c0, hi^-t&c1)
	controls := uint64(cw[len(cw)-1])
	b.t[j] = next ^ t&pick(bit, controls, controls>>1)
}

// gen makes up to lanes/2 pairs of keys from their roots, which are there already (Fig. 1, Gen). Evaluator b's walk for key j
// is in lane 2j+b; the sum of lane 2j is Fig. 1's V_alpha.
func (k *Keys) gen(b *block, s shape, alphas, betas []uint64, keys0, keys1 []byte) {
	n, size := len(alphas), s.size()
	for j := range n {
		copy(b.s[2*j][:], keys0[j*size:])
		copy(b.s[2*j+1][:], keys1[j*size:])
		b.t[2*j], b.t[2*j+1] = 0, 1
		b.sum[2*j] = [2]uint64{}
	}
	for i := range s.bits {
		k.expand(b, 2*n, s.words)
		at := Lambda + i*s.step()
		for j, alpha := range alphas {
			bit := alpha >> (s.bits - 1 - i) & 1
			cw := keys0[j*size+at:][:s.step()]
			b.correct(j, bit, s.words, betas[j*s.words:], cw)
			copy(keys1[j*size+at:], cw)
		}
	}
	k.last(b, 2*n, s.words)
	for j := range n {
		v0, v1 := b.leaf(2*j, s.words), b.leaf(2*j+1, s.words)
		end := (j+1)*size - 8*s.words
		for w := range s.words {
			c := negate(b.t[2*j+1], v1[w]-v0[w]-b.sum[2*j][w])
			binary.LittleEndian.PutUint64(keys0[end+8*w:], c)
			binary.LittleEndian.PutUint64(keys1[end+8*w:], c)
		}
	}
}

// correct writes the correction of one level, at which alpha has bit, and goes down alpha's way in both walks. Fig. 1 calls
// the side of alpha Keep and the other one Lose.
func (b *block) correct(j int, bit uint64, words int, beta []uint64, cw []byte) {
	t0, t1 := b.t[2*j], b.t[2*j+1]
	keep0, keep1 := b.numbers(2*j, bit, words), b.numbers(2*j+1, bit, words)
	lose0, lose1 := b.numbers(2*j, bit^1, words), b.numbers(2*j+1, bit^1, words)
	for w := range words {
		sum := &b.sum[2*j][w]
		v := lose1[w] - lose0[w] - *sum + beta[w]&-bit // who goes left where alpha goes right has x < alpha
		*sum += keep0[w] - keep1[w] + v
		binary.LittleEndian.PutUint64(cw[Lambda+8*w:], negate(t1, v))
	}

	lo0, hi0, tl0 := b.side(2*j, bit^1)
	lo1, hi1, tl1 := b.side(2*j+1, bit^1)
	lo, hi, lose := lo0^lo1, hi0^hi1, tl0^tl1
	lo0, hi0, tk0 := b.side(2*j, bit)
	lo1, hi1, tk1 := b.side(2*j+1, bit)
	keep := tk0 ^ tk1 ^ 1
	store((*[Lambda]byte)(cw), lo, hi)
	cw[len(cw)-1] = byte(pick(bit, keep, lose) | pick(bit, lose, keep)<<1)

	store(&b.s[2*j], lo0^-t0&lo, hi0^-t0&hi)
	store(&b.s[2*j+1], lo1^-t1&lo, hi1^-t1&hi)
	b.t[2*j], b.t[2*j+1] = tk0^t0&keep, tk1^t1&keep
}
