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
	"strings"
	"time"

	"github.com/weftmpc/weft/simon/matrix"
	"github.com/weftmpc/weft/simon/ring"
)

// vertical is a statistic of columns that lie at different parties, whose rows are of the same samples in the same order. What is
// opened are the sums of products of every two columns, and of columns, exactly.
//
// The parameter columns says which columns each party has, in the order of the client's list of nodes; how many rows there are
// each party writes into its request (Complete), so that all agree on that, too.
type vertical struct {
	own    []parameter
	sums   func(v values) bool        // whether sums of columns are opened; nil: they are
	refuse func(v values) *InputError // parameters that do not fit together; may be nil
	finish func(v values, c *cross, names []string) (object, error)
}

const (
	verticalBytes = "32 bytes for each number of the own columns to each other party, then 32 for each pair of columns and, where there are, sums; " +
		"the dealer sends each party up to 32 bytes for each of its columns with each of another party"
	verticalLeakage = "at full precision, which are all means, variances and covariances: any regression among these columns follows from them. " +
		"k columns give k·(k+3)/2 sums: from a few rows of coarse values the rows themselves can be found, so a policy wants ten rows for each column. " +
		"Any coalition of up to n-1 parties learns nothing else of the columns of the party that is left. Broker and coordinator learn names of columns and the number of rows, and neither numbers nor result, unless the coordinator deals and works with a party. " +
		"Experimental: it shows all covariances of columns of different parties, and parties and dealer must follow the protocol; one that does not can make results wrong."
	verticalHelper = "The dealer sends random numbers and receives nothing, not even the result. Together with one party it reads all columns of all parties: a node's policy must list it for this microprotocol."
	verticalInput  = `{"description":"this party's columns as a list of rows, the rows of all parties in the same order of samples; a list of numbers is a column","anyOf":[` +
		`{"type":"array","minItems":1,"items":{"type":"number"}},{"type":"array","minItems":1,"items":{"type":"array","minItems":1,"items":{"type":"number"}}}]}`
)

// columnsOfParties is the parameter that names the columns of each party.
func columnsOfParties() parameter {
	one := names("columns", 1, "")
	return parameter{"columns", nil, func(v any) (any, error) {
		lists, ok := v.([]any)
		if !ok || len(lists) < 2 || len(lists) > 128 {
			return nil, errors.New(`must be a list of the parties' lists of names, such as [["age", "dose"], ["outcome"]]`)
		}
		out := make([]any, 0, len(lists))
		seen := map[string]bool{}
		for i, list := range lists {
			named, err := one.check(list)
			if err != nil {
				return nil, fmt.Errorf("at index %d %w", i, err)
			}
			for _, name := range named.([]any) {
				if seen[name.(string)] {
					return nil, fmt.Errorf("has the name %q twice", shorten(name.(string)))
				}
				seen[name.(string)] = true
			}
			out = append(out, named)
		}
		if len(seen) > mostVertical {
			return nil, fmt.Errorf("must have at most %d names", mostVertical)
		}
		return out, nil
	}, fmt.Sprintf(`"type":"array","minItems":2,"maxItems":128,"items":{"type":"array","minItems":1,"maxItems":%d,"uniqueItems":true,"items":{"type":"string","minLength":1,"maxLength":100}}`, mostVertical),
		"for each party, in the order of the nodes, the names of its columns in the order of its data; needed"}
}

// columnsAt are the names of a party's columns.
func columnsAt(v values, position int) []string {
	var list []string
	inner, _ := v.list("columns")[position].([]any)
	for _, x := range inner {
		s, _ := x.(string)
		list = append(list, s)
	}
	return list
}

// allColumns are the names of all columns, in the order of positions.
func allColumns(v values) (list []string) {
	for i := range v.list("columns") {
		list = append(list, columnsAt(v, i)...)
	}
	return list
}

// complete adds what all of them share to a description.
func (st vertical) complete(m Microprotocol) Microprotocol {
	m.Version, m.MinParties, m.Hops = 1, 2, 5 // JOIN, START, masked columns, sums, CONFIRM
	m.Round, m.Limit = 20*time.Second, 120*time.Second
	m.Roles, m.Trusting, m.WithHelper = []Role{Dealer}, []Role{Dealer}, verticalHelper
	m.Input, m.Bytes = json.RawMessage(verticalInput), verticalBytes
	known := withTiming(m.Round, m.Limit, append(slices.Clone(st.own), columnsOfParties(),
		whole("rows", nil, 1, matrix.Most, "how many rows each party has; by default as in the data"))...)
	m.Parameters = schemaOf(known)
	m.Prepare = func(data io.Reader, parameters json.RawMessage, g Guard) (Prepared, error) {
		return st.prepare(data, parameters, known, g)
	}
	m.Complete = func(p Placed) ([]byte, error) { return st.place(p, known) }
	m.Check = func(canonical []byte, g Guard) error {
		v, err := readParameters(canonical, known)
		if err != nil {
			return err
		}
		return st.check(v, g)
	}
	m.Run = func(ctx context.Context, s Session, c Common, input []byte) ([]byte, error) {
		v, shares, err := st.agreed(s, c, known)
		if err != nil {
			return nil, err
		}
		return st.run(ctx, s, v, shares, input)
	}
	m.Deal = func(ctx context.Context, s Session, c Common) error {
		_, shares, err := st.agreed(s, c, known)
		if err != nil {
			return err
		}
		return shares.deal(ctx, s)
	}
	m.Finish = func(c Common, _, opened []byte) (json.RawMessage, error) {
		v, err := canonicalValues(c, known)
		if err != nil {
			return nil, err
		}
		return st.result(v, opened)
	}
	return m
}

// opensSums says whether sums of columns are opened.
func (st vertical) opensSums(v values) bool { return st.sums == nil || st.sums(v) }

// check refuses parameters that do not fit together, and fewer rows than a policy asks for.
func (st vertical) check(v values, g Guard) error {
	if !v.has("columns") {
		return &InputError{"parameters.columns", `is missing: for each party the names of its columns, such as [["age", "dose"], ["outcome"]]`}
	}
	if st.refuse != nil {
		if err := st.refuse(v); err != nil {
			return err
		}
	}
	if !v.has("rows") {
		return nil
	}
	width := len(allColumns(v))
	if least := g.samples(2, width); v.whole("rows") < int64(least) {
		return &InputError{"parameters.rows", fmt.Sprintf("must be at least %d: this party's policy asks for it, with %d columns of all parties", least, width)}
	}
	columns := make([]int, len(v.list("columns")))
	for i := range columns {
		columns[i] = len(columnsAt(v, i))
	}
	if err := (crossShares{rows: int(v.whole("rows")), columns: columns}).check(); err != nil {
		return &InputError{"parameters.rows", "are too many: " + err.Error()}
	}
	return nil
}

func (st vertical) prepare(data io.Reader, parameters json.RawMessage, known []parameter, g Guard) (Prepared, error) {
	v, err := readParameters(parameters, known)
	if err != nil {
		return Prepared{}, err
	}
	if err := st.check(v, g); err != nil {
		return Prepared{}, err
	}
	f, err := readFactor(data)
	if err != nil {
		return Prepared{}, err
	}
	c, err := canonical(nil, v)
	if err != nil {
		return Prepared{}, err
	}
	return Prepared{Parameters: c, Layout: verticalLayout(len(allColumns(v)), st.opensSums(v)).Hash(), Input: f.stored()}, nil
}

// turned is the factor, or, for one column, its row as a column.
func turned(f factor, columns int) factor {
	if columns == 1 && f.rows == 1 {
		f.rows, f.columns = f.columns, 1
	}
	return f
}

// place writes the number of rows, if the data have the columns that the parameters name for this party.
func (st vertical) place(p Placed, known []parameter) ([]byte, error) {
	v, err := readParameters(p.Parameters, known)
	if err != nil {
		return nil, err
	}
	f, err := storedFactor(p.Input)
	if err != nil {
		return nil, err
	}
	if n := len(v.list("columns")); n != p.Parties {
		return nil, &InputError{"parameters.columns", fmt.Sprintf("has lists of %d parties, and %d take part", n, p.Parties)}
	}
	mine := columnsAt(v, p.Position)
	if f = turned(f, len(mine)); f.columns != len(mine) {
		return nil, &InputError{"data", fmt.Sprintf("has %d columns, and parameters.columns names %d for this party: %s", f.columns, len(mine), shorten(strings.Join(mine, ", ")))}
	}
	if said := v.whole("rows"); v.has("rows") && said != int64(f.rows) {
		return nil, &InputError{"parameters.rows", fmt.Sprintf("is %d, and the data have %d rows", said, f.rows)}
	}
	v["rows"] = int64(f.rows)
	return canonical(nil, v)
}

// agreed are the parameters of a computation that runs.
func (st vertical) agreed(s Session, c Common, known []parameter) (values, crossShares, error) {
	shares := crossShares{label: Label{Round: 1, Vector: "columns"}, columns: make([]int, s.N())}
	v, err := canonicalValues(c, known)
	if err != nil {
		return nil, shares, err
	}
	if err := st.check(v, Guard{}); err != nil {
		return nil, shares, err
	}
	if !v.has("rows") || len(v.list("columns")) != s.N() {
		return nil, shares, errors.New("the parties have not agreed on rows and columns")
	}
	shares.rows = int(v.whole("rows"))
	for seat := range shares.columns {
		shares.columns[seat] = len(columnsAt(v, s.Position(seat)))
	}
	return v, shares, shares.check()
}

// run opens the number of rows, the sums of products and the sums, with the columns in the order of positions.
func (st vertical) run(ctx context.Context, s Session, v values, c crossShares, input []byte) ([]byte, error) {
	f, err := storedFactor(input)
	if err != nil {
		return nil, err
	}
	own := turned(f, c.columns[s.Self()]).matrix()
	defer own.Clear()
	s.Report(Progress{Round: 1, Rounds: 2})
	shares, err := c.run(ctx, s, own)
	if err != nil {
		return nil, err
	}
	x := ring.New(verticalLayout(shares.Rows(), st.opensSums(v)))
	order, mine := c.positions(s)
	at := 0
	for i, a := range order {
		for _, b := range order[i:] {
			x.SetLimbs(0, at, shares.Limbs(min(a, b), max(a, b)))
			at++
		}
	}
	if st.opensSums(v) {
		ones := matrix.New(own.Rows(), 1)
		for i := range own.Rows() {
			ones.Limbs(i, 0)[0] = 1
		}
		sums := matrix.New(own.Columns(), 1)
		if err := sums.AddCross(ctx, own, ones); err != nil {
			return nil, err
		}
		for j := range own.Columns() {
			x.SetLimbs(1, mine+j, sums.Limbs(j, 0))
		}
	}
	s.Report(Progress{Round: 2, Rounds: 2})
	sum, err := OpenSum(ctx, s, Label{Round: 2, Vector: "sums"}, x)
	if err != nil || sum.Bytes() == nil {
		return nil, err
	}
	return append(binary.LittleEndian.AppendUint32(nil, uint32(c.rows)), sum.Bytes()...), nil
}

// positions are, in the order of positions, where columns stand in the order of seats; mine is where this party's begin in the
// order of positions.
func (c crossShares) positions(s Session) (order []int, mine int) {
	first, _ := c.offsets()
	for position := range s.N() {
		for seat := range s.N() {
			if s.Position(seat) != position {
				continue
			}
			if seat == s.Self() {
				mine = len(order)
			}
			for j := range c.columns[seat] {
				order = append(order, first[seat]+j)
			}
		}
	}
	return order, mine
}

func (st vertical) result(v values, opened []byte) (json.RawMessage, error) {
	const head = 4
	names := allColumns(v)
	if len(opened) < head {
		return nil, errors.New("what was opened was written by another version of weft: submit the computation again")
	}
	x, err := ring.View(verticalLayout(len(names), st.opensSums(v)), opened[head:])
	if err != nil {
		return nil, fmt.Errorf("the opened sums: %w", err)
	}
	c := newCross(int64(binary.LittleEndian.Uint32(opened)), len(names))
	at := 0
	for i := range names {
		for j := i; j < len(names); j++ {
			c.of[i][j] = scaled(x.Int(0, at), 2*matrixEncoding.Digits)
			c.of[j][i] = c.of[i][j]
			at++
		}
		if st.opensSums(v) {
			c.sums = append(c.sums, scaled(x.Int(1, i), matrixEncoding.Digits))
		}
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	o, err := st.finish(v, c, names)
	if err != nil {
		return nil, err
	}
	return o.json(), nil
}

// moved puts column i first.
func (c *cross) moved(i int) *cross {
	order := []int{i}
	for j := range c.of {
		if j != i {
			order = append(order, j)
		}
	}
	m := newCross(c.n, len(c.of))
	for a, i := range order {
		for b, j := range order {
			m.of[a][b] = new(big.Rat).Set(c.of[i][j])
		}
		if c.sums != nil {
			m.sums = append(m.sums, c.sums[i])
		}
	}
	return m
}
