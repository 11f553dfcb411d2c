package simon

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"github.com/weftmpc/weft/simon/ring"
)

// maxLevene is how many rows a party may have where Levene's test is wanted: each stays in the job, with leveneRow bytes,
// because its deviation can only be computed once the groups' means are known.
const (
	maxLevene = 2_000_000
	leveneRow = 16
)

// ANOVA compares the means of groups (Fisher 1925; Welch, Biometrika 38, 1951; Levene 1960).
//
// Each party counts and adds its numbers and their squares by group, on the decimal grid, and MaskedSum adds the parties'
// sums. With levene that sum S of a group of n goes to all parties; then each adds |n·x-S| over its numbers x, which is n
// times the deviation from the group's mean, still exact, and OpenSum adds these. Their squares need no second sum: those
// follow from the first.
// Hops: as with a sum, and one more with levene. Nothing is rounded before the result.
func ANOVA() Microprotocol {
	st := statistic{
		own: []parameter{
			groups("groups", 2, "the names of all groups that are compared"),
			truth("levene", true, "also test whether the groups have equal variances (Levene, from the groups' means): one step more"),
			truth("welch", false, "also give Welch's test, which does not assume equal variances"),
		},
		layout: func(v values) (ring.Layout, error) { return anovaLayout(v), nil },
		read:   readANOVA,
		run:    runANOVA,
		finish: finishANOVA,
	}
	return st.complete(Microprotocol{
		Name:    "ANOVA",
		Summary: "One-way analysis of variance: F test for equal means, with Levene's and Welch's tests.",
		Input:   json.RawMessage(`{"description":"rows [number, group]","type":"array","items":{"type":"array","minItems":2,"maxItems":2}}`),
		Result: json.RawMessage(`{"type":"object","properties":{` +
			`"samples":{"type":"integer","description":"rows of all parties together"},"method":{"type":"string","description":"the name of the analysis"},` +
			`"table":{"type":"array","minItems":2,"maxItems":2,"description":"term group, then term residuals","items":{"type":"object","properties":{` +
			`"term":{"enum":["group","residuals"],"description":"between or within the groups"},` +
			`"df":{"type":["integer","null"],"description":"degrees of freedom"},"sum_sq":{"type":["number","null"],"description":"sum of squares"},` +
			`"mean_sq":{"type":["number","null"],"description":"sum_sq/df"},"f_value":{"type":["number","null"],"description":"as statistic; in the first row"},` +
			`"p_value":{"type":["number","null"],"description":"as p_value below; in the first row"}}}},` +
			testMembers("of the residuals") + `,` +
			`"r_squared":{"type":["number","null"],"description":"share of the sum of squares that lies between the groups"},` +
			`"eta_squared":{"type":["number","null"],"description":"another name of r_squared"},` +
			`"residual_standard_error":{"type":["number","null"],"description":"root of the mean square of the residuals"},` + groupsSchema + `,` +
			`"levene":{"type":"object","description":"Levene's test for equal variances, if parameter levene is true","properties":{` + testMembers("of the residuals") + `,"center":{"const":"mean","description":"distances are from the groups' means"}}},` +
			`"welch":{"type":"object","description":"Welch's test for equal means, as R's oneway.test, if parameter welch is true","properties":{` + testMembers("of the residuals; no whole number") + `}},` +
			notesSchema + `},"required":["samples","method","table","statistic","num_df","denom_df","p_value","r_squared","eta_squared","residual_standard_error","groups"]}`),
		Hops:  5, // JOIN, START, sums, deviations, CONFIRM
		Bytes: "72 bytes to each receiver for each group; with levene 32 more, in one step more (5 hops instead of 4)",
		Leakage: "Recipients learn, of all parties together, the number of samples, the sum and the sum of squares in each group, and with levene the sum of the distances from the group's mean. " +
			"With levene all parties learn the first three, whether they are recipients or not. They determine a group of one or two samples completely, so let least_samples be well above that. " +
			"Any coalition of up to n-1 parties learns the same sums of the others: with two parties those are the other party's own; and by false sums of its own it can replace the means from which " +
			"distances are measured by other points, one for each group. " +
			"Broker and coordinator learn neither inputs nor result.",
	})
}

// testMembers are the schemas of an F test.
func testMembers(denominator string) string {
	return `"statistic":{"type":["number","null"],"description":"F"},"num_df":{"type":["integer","null"],"description":"degrees of freedom between the groups"},` +
		`"denom_df":{"type":["number","null"],"description":"degrees of freedom ` + denominator + `"},"p_value":{"type":["number","null"],"description":"P(F > statistic) if all groups are alike"}`
}

// anovaLayout is what is opened: the sums, and with levene the deviations.
func anovaLayout(v values) ring.Layout {
	l := groupSumsLayout(len(v.list("groups")))
	if v.truth("levene") {
		l = append(l, deviationsLayout(v)...)
	}
	return l
}

// deviationsLayout has one sum for each group. |n·x-S| is less than 2^(maxSamples' 40 + 1 + the bits of x).
func deviationsLayout(v values) ring.Layout {
	return ring.Layout{{Name: "deviations", Limbs: limbsFor(41 + statEncoding.Bits), Count: len(v.list("groups"))}}
}

// readANOVA gives the vector of sums, and with levene all rows behind it: index of the group and sign in two bytes, then
// 14 bytes, little endian.
func readANOVA(data io.Reader, v values) ([]byte, int, error) {
	if !v.has("groups") {
		return nil, 0, &InputError{"parameters.groups", "is needed: name all groups that are compared, such as [\"a\", \"b\", \"c\"]"}
	}
	groups := v.categories("groups")
	s := newGroupSums(len(groups))
	var rows []byte
	n, err := readGrouped(data, groups, func(at place, g int, q *big.Int) error {
		s.add(g, q)
		if !v.truth("levene") {
			return nil
		}
		if len(rows) == maxLevene*leveneRow {
			return at.bad("is one row too many for Levene's test, which keeps up to %d rows of a party: set parameters.levene to false", maxLevene)
		}
		rows = appendRow(rows, g, q)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return append(s.vector().Bytes(), rows...), n, nil
}

func appendRow(dst []byte, g int, q *big.Int) []byte {
	head := uint16(g) << 1
	if q.Sign() < 0 {
		head |= 1
	}
	dst = binary.LittleEndian.AppendUint16(dst, head)
	var magnitude [leveneRow - 2]byte
	q.FillBytes(magnitude[:])
	for i := len(magnitude) - 1; i >= 0; i-- {
		dst = append(dst, magnitude[i])
	}
	return dst
}

// readRow sets q to the number of a row and returns its group.
func readRow(q *big.Int, row []byte) (g int) {
	head := binary.LittleEndian.Uint16(row)
	var magnitude [leveneRow - 2]byte
	for i := range magnitude {
		magnitude[len(magnitude)-1-i] = row[2+i]
	}
	q.SetBytes(magnitude[:])
	if head&1 == 1 {
		q.Neg(q)
	}
	return int(head >> 1)
}

func runANOVA(ctx context.Context, s Session, v values, payload []byte) ([]byte, error) {
	l := groupSumsLayout(len(v.list("groups")))
	if err := l.Check(); err != nil {
		return nil, fmt.Errorf("parameters without groups: %w", err)
	}
	if len(payload) < l.Size() {
		return nil, fmt.Errorf("the stored input has %d bytes, want %d", len(payload), l.Size())
	}
	x, err := ring.View(l, payload[:l.Size()])
	if err != nil {
		return nil, fmt.Errorf("the stored input: %w", err)
	}
	if !v.truth("levene") {
		sum, err := OpenSum(ctx, s, Label{Round: 2, Vector: "sums"}, x)
		return sum.Bytes(), err
	}
	sums, err := MaskedSum(ctx, s, Label{Round: 2, Vector: "sums"}, x)
	if err != nil {
		return nil, err
	}
	mine, err := deviations(v, sums, payload[l.Size():])
	if _, refused := errors.AsType[*OutcomeError](err); refused {
		// All parties see the same sums and stop here. Finish finds in them why.
		if !slices.Contains(s.Recipients(), s.Self()) {
			return nil, nil
		}
		return sums.Bytes(), nil
	}
	if err != nil {
		return nil, err
	}
	s.Report(Progress{Round: 2, Rounds: 2})
	far, err := openSumAfter(ctx, s, Label{Round: 3, Vector: "deviations"}, sums.Bytes(), mine) // they are from the opened means
	if err != nil || far.Bytes() == nil {
		return nil, err
	}
	return append(sums.Bytes(), far.Bytes()...), nil
}

// centres are the opened n and S of each group, from which deviations are measured. Its error is an *OutcomeError that all
// parties come to alike.
func centres(opened ring.Vector) (n, sum []*big.Int, err error) {
	groups := opened.Layout()[0].Count
	n, sum = make([]*big.Int, groups), make([]*big.Int, groups)
	for g := range n {
		samples, err := samplesIn(opened, 0, g)
		if err != nil {
			return nil, nil, err
		}
		n[g], sum[g] = big.NewInt(samples), opened.Int(1, g)
		// Honest sums obey this, and deviationsLayout has room for what does.
		if most := new(big.Int).Lsh(n[g], uint(statEncoding.Bits)); sum[g].CmpAbs(most) > 0 {
			return nil, nil, impossible("a sum is larger than its samples allow")
		}
	}
	return n, sum, nil
}

// deviations adds |n·x-S| over the rows of each group, with the opened n and S of the group.
func deviations(v values, opened ring.Vector, rows []byte) (ring.Vector, error) {
	n, sum, err := centres(opened)
	if err != nil {
		return ring.Vector{}, err
	}
	total := make([]big.Int, len(n))
	var q big.Int
	for ; len(rows) >= leveneRow; rows = rows[leveneRow:] {
		g := readRow(&q, rows)
		if g >= len(n) {
			return ring.Vector{}, fmt.Errorf("the stored input names group %d of %d", g, len(n))
		}
		q.Mul(&q, n[g]).Sub(&q, sum[g])
		total[g].Add(&total[g], q.Abs(&q))
	}
	if len(rows) > 0 {
		return ring.Vector{}, fmt.Errorf("the stored input ends in a row of %d bytes", len(rows))
	}
	x := ring.New(deviationsLayout(v))
	for g := range total {
		setInt(x, 0, g, &total[g])
	}
	return x, nil
}

// stoppedANOVA is the outcome of a computation that stopped after its sums.
func stoppedANOVA(v values, opened []byte) error {
	sums, err := ring.View(groupSumsLayout(len(v.list("groups"))), opened)
	if err != nil {
		return fmt.Errorf("the opened sums: %w", err)
	}
	if _, _, err := centres(sums); err != nil {
		return err
	}
	return errors.New("the opened sums are without deviations")
}

func finishANOVA(v values, _ int, opened []byte) (object, error) {
	if v.truth("levene") && len(opened) == groupSumsLayout(len(v.list("groups"))).Size() {
		return object{}, stoppedANOVA(v, opened)
	}
	x, err := ring.View(anovaLayout(v), opened)
	if err != nil {
		return object{}, fmt.Errorf("the opened sums: %w", err)
	}
	all, err := openedGroups(x)
	if err != nil {
		return object{}, err
	}
	var o object
	o.put("samples", together(all))
	o.put("method", "One-way analysis of variance")
	o.putVariances(analyse(all, func(g int) *big.Rat { return all[g].power[1] }, func(g int) *big.Rat { return all[g].about(2) }))
	o.putGroups(v.categories("groups"), all)
	if v.truth("levene") {
		test, err := leveneTest(all, x)
		if err != nil {
			return object{}, err
		}
		var member object
		test.put(&member, &o, "levene.")
		member.put("center", "mean")
		o.put("levene", member)
	}
	if v.truth("welch") {
		var member object
		welchOneWay(all).put(&member, &o, "welch.")
		o.put("welch", member)
	}
	return o, nil
}
