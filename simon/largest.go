package simon

import "context"

// largestDigits finds the largest of all parties' words, for several kinds of words at a time, digit by digit from the highest:
// for each value of the next digit the parties learn whether anybody has a word that begins like the largest one so far and
// goes on with at least that digit. Whoever sees all that knows the result, which it follows from. Two hops a digit.
type largestDigits struct {
	kinds int
	digit int // bits of a digit, 1 to mostDigit
}

func (d largestDigits) widths() []int { return digitWidths(64, d.digit) }

func (d largestDigits) questions(level int) anybody {
	return anybody{label: Label{Round: uint32(level + 1), Vector: "at least"}, questions: d.kinds * (1<<d.widths()[level] - 1)}
}

func (d largestDigits) deal(ctx context.Context, s Session) error {
	for level := range d.widths() {
		if err := d.questions(level).deal(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// run is a party's part: own has its largest word of each kind, or is nil. Where nobody has a word the result is 0.
func (d largestDigits) run(ctx context.Context, s Session, dealer int, own []uint64) ([]uint64, error) {
	found, used := make([]uint64, d.kinds), 0
	widths := d.widths()
	for level, w := range widths {
		s.Report(Progress{Round: uint32(level + 1), Rounds: uint32(len(widths))})
		used += w
		var yes []uint64
		for k := range found {
			for j := range uint64(1)<<w - 1 {
				answer := uint64(0)
				if own != nil && own[k]>>(64-used)>>w == found[k] && own[k]>>(64-used)&(1<<w-1) > j {
					answer = 1
				}
				yes = append(yes, answer)
			}
		}
		q := d.questions(level)
		if level > 0 {
			q.after = appendWords(nil, found)
		}
		any, err := q.run(ctx, s, dealer, yes)
		if err != nil {
			return nil, err
		}
		for k := range found {
			digit, ended := uint64(0), false
			for _, is := range any[k*(1<<w-1) : (k+1)*(1<<w-1)] {
				if is && ended {
					return nil, impossible("a digit of a result is contradictory")
				}
				if ended = !is; is {
					digit++
				}
			}
			found[k] = found[k]<<w | digit
		}
	}
	return found, nil
}
