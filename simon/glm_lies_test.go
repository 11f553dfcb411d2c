package simon_test

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/prg"
	"github.com/weftmpc/weft/simon/simontest"
)

// A party that lies leads to an outcome or to some result, at all others alike, and never to a panic or a loop.
func TestRegressionsSurviveLies(t *testing.T) {
	rows := regressionRows(t, fromR(t, "glm-infert"), 0, 1, 2)
	data := []string{rowList(rows[:50]...), rowList(rows[50:120]...), rowList(rows[120:]...)}
	outcomes := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		m := simon.LogisticRegression()
		if rapid.Bool().Draw(rt, "counts") {
			m = simon.PoissonRegression()
		}
		round := uint32(rapid.IntRange(2, 8).Draw(rt, "round"))
		always := rapid.Bool().Draw(rt, "from then on")
		at := rapid.IntRange(0, 59).Draw(rt, "word")
		lie := rapid.SampledFrom([]uint64{1, 1 << 20, 1 << 50, 1 << 62, 1 << 63, math.MaxUint64, math.MaxUint64 - 1<<30}).Draw(rt, "lie")
		all := rapid.IntRange(0, 4).Draw(rt, "all words") == 0
		o := simontest.Options{Stream: func(seat int, id simontest.StreamID, s prg.Stream) prg.Stream {
			if seat != 2 || id.A != 0 || id.Label.Round != round && !(always && id.Label.Round > round) {
				return s
			}
			return &lyingStream{s, at, all, lie}
		}}
		text, _, err := play(t, m, o, simon.Guard{}, data, `{"columns":2}`)
		if outcome, ok := errors.AsType[*simon.OutcomeError](err); ok {
			outcomes[outcome.Reason]++
			return
		}
		if err != nil {
			rt.Fatal(err)
		}
		outcomes["result"]++
		conforms(t, m, nil, "", text)
	})
	if len(outcomes) < 3 {
		t.Errorf("the lies lead nowhere: %v", outcomes)
	}
}

// lyingStream adds to one word of a stream, or to all.
type lyingStream struct {
	s   prg.Stream
	at  int // words from here
	all bool
	lie uint64
}

func (l *lyingStream) Fill(dst []byte) {
	l.s.Fill(dst)
	for i := 0; i+8 <= len(dst); i += 8 {
		if l.at == 0 || l.all {
			x := binary.LittleEndian.Uint64(dst[i:])
			binary.LittleEndian.PutUint64(dst[i:], x+l.lie*uint64(i+1))
		}
		l.at--
	}
}
