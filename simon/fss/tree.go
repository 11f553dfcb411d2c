package fss

import "encoding/binary"

// lanes is how many nodes a block has. Their AES calls do not wait for each other, so the processor has several under way.
const lanes = 16

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
	for j := range n {
		if words == 2 {
			k.k[4].Encrypt(b.v[j][:], b.s[j][:])
		}
	}
}

// leaf are the numbers of lane j's last node.
func (b *block) leaf(j, words int) [2]uint64 {
	lo, hi := load(b.s[j][:])
	if words == 1 {
		return [2]uint64{hi, 0}
	}
	v0, v1 := load(b.v[j][:])
	return [2]uint64{v0 ^ lo, v1 ^ hi}
}

// child is one side of an expanded node.
type child struct {
	lo, hi uint64 // seed
	t      uint64 // control bit
	v      [2]uint64
}

// children are the two sides of the node in lane j.
func (b *block) children(j, words int) (l, r child) {
	lo, hi := load(b.s[j][:])
	l.lo, l.hi = load(b.l[j][:])
	r.lo, r.hi = load(b.r[j][:])
	v0, v1 := load(b.v[j][:])
	l.lo, l.hi, r.lo, r.hi = l.lo^lo, l.hi^hi, r.lo^lo, r.hi^hi
	l.t, r.t = l.lo&1, r.lo&1
	l.lo, r.lo = l.lo&^1, r.lo&^1
	if words == 1 {
		l.v[0], r.v[0] = v0^lo, v1^hi
		return l, r
	}
	l.v = [2]uint64{v0 ^ lo, v1 ^ hi}
	w0, w1 := load(b.w[j][:])
	r.v = [2]uint64{w0 ^ lo, w1 ^ hi}
	return l, r
}

// pick is l where bit is 0, and r where it is 1.
func pick(bit uint64, l, r child) child {
	m := -bit
	return child{
		lo: l.lo ^ m&(l.lo^r.lo),
		hi: l.hi ^ m&(l.hi^r.hi),
		t:  l.t ^ bit&(l.t^r.t),
		v:  [2]uint64{l.v[0] ^ m&(l.v[0]^r.v[0]), l.v[1] ^ m&(l.v[1]^r.v[1])},
	}
}

// negate is -x where bit is 1, and x where it is 0.
func negate(bit, x uint64) uint64 { return (x ^ -bit) + bit }

func load(b []byte) (lo, hi uint64) {
	return binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
}

func store(b []byte, lo, hi uint64) {
	binary.LittleEndian.PutUint64(b, lo)
	binary.LittleEndian.PutUint64(b[8:], hi)
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
			c := binary.LittleEndian.Uint64(end[8*w:])
			out[j*s.words+w] = negate(party, b.sum[j][w]+v[w]+c&-b.t[j])
		}
	}
}

// down goes from the expanded node in lane j to the side that bit says, with the correction cw of this level.
func (b *block) down(j int, bit uint64, words int, cw []byte) {
	l, r := b.children(j, words)
	c := pick(bit, l, r)
	m := -b.t[j]
	for w := range words {
		b.sum[j][w] += c.v[w] + m&binary.LittleEndian.Uint64(cw[Lambda+8*w:])
	}
	lo, hi := load(cw)
	store(b.s[j][:], c.lo^m&lo, c.hi^m&hi)
	control := uint64(cw[len(cw)-1]) >> (bit & 1)
	b.t[j] = c.t ^ b.t[j]&control
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
	l0, r0 := b.children(2*j, words)
	l1, r1 := b.children(2*j+1, words)
	keep0, keep1 := pick(bit, l0, r0), pick(bit, l1, r1)
	lose0, lose1 := pick(bit, r0, l0), pick(bit, r1, l1)
	t0, t1 := b.t[2*j], b.t[2*j+1]

	lo, hi := lose0.lo^lose1.lo, lose0.hi^lose1.hi
	store(cw, lo, hi)
	for w := range words {
		sum := &b.sum[2*j][w]
		v := lose1.v[w] - lose0.v[w] - *sum + beta[w]&-bit // x goes left where alpha goes right: x < alpha
		v = negate(t1, v)
		*sum += keep0.v[w] - keep1.v[w] + negate(t1, v)
		binary.LittleEndian.PutUint64(cw[Lambda+8*w:], v)
	}
	tl := l0.t ^ l1.t ^ bit ^ 1
	tr := r0.t ^ r1.t ^ bit
	cw[len(cw)-1] = byte(tl | tr<<1)

	t := tl ^ bit&(tl^tr)
	store(b.s[2*j][:], keep0.lo^lo&-t0, keep0.hi^hi&-t0)
	store(b.s[2*j+1][:], keep1.lo^lo&-t1, keep1.hi^hi&-t1)
	b.t[2*j], b.t[2*j+1] = keep0.t^t0&t, keep1.t^t1&t
}
