package ring

import (
	"encoding/binary"
	"math/bits"
)

// The loops below load and store whole words through encoding/binary, which compiles to single moves, and reslice so that
// the compiler needs one bounds check per element. Nothing branches on a value.

// add adds the elements of src to those of dst; both have the same length, a multiple of limbs words.
func add(limbs int, dst, src []byte) {
	switch limbs {
	case 1:
		add1(dst, src)
	case 3:
		add3(dst, src)
	default:
		addN(limbs, dst, src)
	}
}

// sub subtracts the elements of src from those of dst; both have the same length, a multiple of limbs words.
func sub(limbs int, dst, src []byte) {
	switch limbs {
	case 1:
		sub1(dst, src)
	case 3:
		sub3(dst, src)
	default:
		subN(limbs, dst, src)
	}
}

func get(b []byte) uint64    { return binary.LittleEndian.Uint64(b) }
func put(b []byte, x uint64) { binary.LittleEndian.PutUint64(b, x) }

func add1(dst, src []byte) {
	for len(dst) >= 32 && len(src) >= 32 {
		put(dst[0:8], get(dst[0:8])+get(src[0:8]))
		put(dst[8:16], get(dst[8:16])+get(src[8:16]))
		put(dst[16:24], get(dst[16:24])+get(src[16:24]))
		put(dst[24:32], get(dst[24:32])+get(src[24:32]))
		dst, src = dst[32:], src[32:]
	}
	for len(dst) >= 8 && len(src) >= 8 {
		put(dst, get(dst)+get(src))
		dst, src = dst[8:], src[8:]
	}
}

func sub1(dst, src []byte) {
	for len(dst) >= 32 && len(src) >= 32 {
		put(dst[0:8], get(dst[0:8])-get(src[0:8]))
		put(dst[8:16], get(dst[8:16])-get(src[8:16]))
		put(dst[16:24], get(dst[16:24])-get(src[16:24]))
		put(dst[24:32], get(dst[24:32])-get(src[24:32]))
		dst, src = dst[32:], src[32:]
	}
	for len(dst) >= 8 && len(src) >= 8 {
		put(dst, get(dst)-get(src))
		dst, src = dst[8:], src[8:]
	}
}

func add3(dst, src []byte) {
	for len(dst) >= 24 && len(src) >= 24 {
		x, c := bits.Add64(get(dst[0:8]), get(src[0:8]), 0)
		y, c := bits.Add64(get(dst[8:16]), get(src[8:16]), c)
		z, _ := bits.Add64(get(dst[16:24]), get(src[16:24]), c)
		put(dst[0:8], x)
		put(dst[8:16], y)
		put(dst[16:24], z)
		dst, src = dst[24:], src[24:]
	}
}

func sub3(dst, src []byte) {
	for len(dst) >= 24 && len(src) >= 24 {
		x, c := bits.Sub64(get(dst[0:8]), get(src[0:8]), 0)
		y, c := bits.Sub64(get(dst[8:16]), get(src[8:16]), c)
		z, _ := bits.Sub64(get(dst[16:24]), get(src[16:24]), c)
		put(dst[0:8], x)
		put(dst[8:16], y)
		put(dst[16:24], z)
		dst, src = dst[24:], src[24:]
	}
}

func addN(limbs int, dst, src []byte) {
	for len(dst) >= 8 {
		var c uint64
		for range limbs {
			var x uint64
			x, c = bits.Add64(get(dst), get(src), c)
			put(dst, x)
			dst, src = dst[8:], src[8:]
		}
	}
}

func subN(limbs int, dst, src []byte) {
	for len(dst) >= 8 {
		var c uint64
		for range limbs {
			var x uint64
			x, c = bits.Sub64(get(dst), get(src), c)
			put(dst, x)
			dst, src = dst[8:], src[8:]
		}
	}
}
