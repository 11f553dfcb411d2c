package simon

import (
	"strings"
	"testing"
	"testing/iotest"
)

// However a text comes and wherever a number meets the end of the buffer, which grows meanwhile, the numbers are the same.
func TestNumbersAcrossBuffers(t *testing.T) {
	const n = 40_000 // more than the largest buffer holds
	text := "[" + strings.Repeat("12.5, 8,", n) + "1]"
	for name, r := range map[string]*numberReader{
		"at once":                 newNumberReader(strings.NewReader(text)),
		"by halves":               newNumberReader(iotest.DataErrReader(iotest.HalfReader(strings.NewReader(text)))),
		"by halves, then its end": newNumberReader(iotest.HalfReader(strings.NewReader(text))),
	} {
		p := &pool{r: r, columns: -1}
		if err := p.read(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if p.samples != 2*n+1 || cap(r.buf) < 1<<10 || name == "at once" && cap(r.buf) != mostBuffer {
			t.Errorf("%s: %d numbers, want %d; a buffer of %d bytes", name, p.samples, 2*n+1, cap(r.buf))
		}
	}
	few := newNumberReader(strings.NewReader("[1, 2, 3]"))
	if err := (&pool{r: few, columns: -1}).read(); err != nil || cap(few.buf) != firstBuffer {
		t.Errorf("a few numbers: %v, a buffer of %d bytes", err, cap(few.buf))
	}
}
