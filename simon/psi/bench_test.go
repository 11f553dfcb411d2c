package psi

import (
	"crypto/rand"
	"fmt"
	"testing"
)

func benchItems(n int) [][]byte {
	items := make([][]byte, n)
	for i := range items {
		items[i] = texts(fmt.Sprintf("patient %d", i))[0]
	}
	return items
}

func BenchmarkMask(b *testing.B) {
	k, items := keyed(b, rand.Reader, 1, "x"), benchItems(1000)
	for b.Loop() {
		if _, _, err := k.Mask(rand.Reader, items, 1000, steady); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReturn(b *testing.B) {
	k := keyed(b, rand.Reader, 1, "x")
	list, _, err := k.Mask(rand.Reader, benchItems(1000), 1000, steady)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := k.Return(list, 1000, 0, 1, steady); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStore(b *testing.B) {
	for _, n := range []int{1 << 10, 1 << 16} {
		names, values := randomNames(b, n)
		b.Run(fmt.Sprint("encode-", n), func(b *testing.B) {
			for b.Loop() {
				if _, ok, err := Encode(rand.Reader, 0, names, values); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
		store, _, err := Encode(rand.Reader, 0, names, values)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint("decode-", n), func(b *testing.B) {
			for b.Loop() {
				for _, name := range names {
					Decode(store, n, 0, name)
				}
			}
		})
	}
}
