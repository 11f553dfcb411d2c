package simon

import (
	"context"
	"errors"

	"github.com/weftmpc/weft/simon/ring"
)

// The modes of what selects elements by their rank: who sees the sums that are compared. In the default nobody does. The others
// need no evaluators and no dealer, and are for those who accept what they disclose.
const (
	modeCompare = "compare"
	modeOpener  = "opener-counts"
	modeOpen    = "open-counts"
)

// modes is the parameter that chooses.
func modes() parameter {
	return choice("mode", "who sees how many of all parties' values lie below the values that are compared with: compare: nobody; opener-counts: the coordinator, as opener; open-counts: every party. "+
		"All but the first must be allowed in each node's policy", modeCompare, modeOpener, modeOpen)
}

// modesLeakage ends the descriptions of what has modes.
const modesLeakage = " With mode opener-counts, the opener, which is no party, learns the wanted elements, how many values of the pool lie below each of the values that were compared with, and how many values there are; where the pool of samples is checked, also how many parties have some. " +
	"Parties learn what they learn by default; a coalition of parties with the opener learns those counts of the other parties together. The opener must follow the protocol: one that does not can make results wrong, choose the values that are compared with, and, where the number of samples stays secret, let a pool pass that is too small. " +
	"With mode open-counts, every party, recipient or not, learns those counts and the number of values; where the pool of samples is checked, also how many parties have some. A coalition of parties learns those counts of the others together."

// modesHelper is the same for a coalition with the opener.
const modesHelper = " With mode opener-counts, the opener learns how many values of the pool lie below the values that were compared with; with one party it learns that of the other parties together."

// modesBytes ends the descriptions of what they send.
const modesBytes = "; with mode opener-counts, 8 bytes for each possible digit but one of each wanted element go to the opener and to nobody else, and 8 for each element from it to each party; with mode open-counts they go to each party"

// modeOf is who sees compared sums.
func (st statistic) modeOf(v values) string {
	if !st.modes || !v.has("mode") {
		return modeCompare
	}
	return v.text("mode")
}

// hidden says whether nobody sees the compared sums.
func (sel selection) hidden() bool { return sel.mode == "" || sel.mode == modeCompare }

// addOpener adds what belongs to the modes of a statistic, and the opener's part.
func (st statistic) addOpener(m *Microprotocol, known []parameter) {
	if !st.modes {
		return
	}
	mode := func(canonical []byte) string {
		v, err := readParameters(canonical, known)
		if err != nil {
			return modeCompare
		}
		return st.modeOf(v)
	}
	without := m.RolesFor
	m.Roles = append(m.Roles, Opener)
	m.RolesFor = func(canonical []byte) []Role {
		if mode(canonical) == modeOpener {
			return []Role{Opener}
		}
		return without(canonical)
	}
	m.Discloses = func(canonical []byte) []Disclosure {
		switch mode(canonical) {
		case modeOpener:
			return []Disclosure{PooledCountsToOpener}
		case modeOpen:
			return []Disclosure{PooledCountsToAll}
		}
		return nil
	}
	m.OpenTo = func(ctx context.Context, s Session, c Common) error {
		v, err := canonicalValues(c, known)
		if err != nil {
			return err
		}
		if st.modeOf(v) != modeOpener {
			return errors.New("the computation has no opener")
		}
		enough, err := openPool(ctx, s, v)
		if err != nil || !enough {
			return err
		}
		return st.opener(ctx, s, v)
	}
}

// poolToOpener is the check of the pool by the opener, who announces whether there is enough of each.
func poolToOpener() openerSum {
	return openerSum{label: Label{Round: 1, Vector: "pool for the opener"}, layout: poolLayout(), size: 2}
}

// checkPoolByOpener is checkPoolSecretly by the opener, who alone learns the size of the pool. Two hops.
func checkPoolByOpener(ctx context.Context, s Session, v values, samples uint64) (pool ring.Vector, err error) {
	pool = ring.New(poolLayout())
	if !checked(v) {
		return pool, nil
	}
	x := ring.New(poolLayout())
	x.SetLimbs(0, 0, []uint64{samples})
	x.SetLimbs(1, 0, []uint64{min(samples, 1)})
	enough, err := poolToOpener().run(ctx, s, x)
	if err != nil {
		return pool, err
	}
	if enough[0] > 1 || enough[1] > 1 {
		return pool, impossible("the opener's answer about the size of the pool is none")
	}
	pool.SetLimbs(0, 0, []uint64{uint64(enough[0])})
	pool.SetLimbs(1, 0, []uint64{uint64(enough[1])})
	return pool, nil
}

// openPool is the opener's part of the check of the pool.
func openPool(ctx context.Context, s Session, v values) (enough bool, err error) {
	if !checked(v) {
		return true, nil
	}
	said, err := poolToOpener().open(ctx, s, func(total ring.Vector) ([]byte, error) {
		body := make([]byte, 2)
		for i, least := range []int64{v.whole("least_samples"), v.whole("least_contributors")} {
			var n [1]uint64
			if total.Limbs(i, 0, n[:]); n[0] >= uint64(least) {
				body[i] = 1
			}
		}
		return body, nil
	})
	return err == nil && said[0] == 1 && said[1] == 1, err
}

// openerSum is a step of the selection whose sums the opener sees. What the parties add up depends on the digits found so far
// and on what is wanted.
func (sel selection) openerSum(level int, found []uint64) openerSum {
	after := appendWords(nil, found)
	for _, c := range sel.wanted {
		after = appendWords(after, []uint64{uint64(c.below), uint64(c.size), uint64(c.constant)})
	}
	g := sel.gates(level)
	return openerSum{
		label: Label{Round: g.label.Round, Vector: "counts"}, layout: wordsLayout(g.gates), size: 8 * len(sel.wanted), after: after,
	}
}

// open is the opener's part of the selection.
func (sel selection) open(ctx context.Context, s Session) error {
	if err := sel.check(); err != nil {
		return err
	}
	for level := range sel.widths() {
		_, err := sel.openerSum(level, nil).open(ctx, s, func(total ring.Vector) ([]byte, error) {
			digits, err := sel.counted(level, wordsOf(total))
			return appendWords(nil, digits), err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// counted are the digits that the sums of a step show: how many of them are negative, which come first.
func (sel selection) counted(level int, sums []uint64) ([]uint64, error) {
	each, digits := 1<<sel.widths()[level]-1, make([]uint64, len(sel.wanted))
	for r := range digits {
		ended := false
		for _, z := range sums[r*each : (r+1)*each] {
			negative := z>>63 == 1
			if negative && ended {
				return nil, impossible("the counts of values do not grow")
			}
			if ended = !negative; negative {
				digits[r]++
			}
		}
	}
	return digits, nil
}
