package simon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/weftmpc/weft/simon/encode"
	"github.com/weftmpc/weft/simon/iblt"
	"github.com/weftmpc/weft/simon/ring"
)

// census counts the pool's samples by category, or by pairs of categories: what frequencies and tests of tables have in
// common. Parameter categories lists the categories, and the parties add up one vector of counts; without it categories
// are private, and the parties open them with openUnion.
type census struct {
	ways  int  // 1: data are categories; 2: data are rows of two
	cells int  // the most a table may have
	other bool // whether parameter other lets data lie outside the listed categories
	hides bool // whether parameter suppress_below hides small counts
}

// Bounds of tables whose cells are only counted.
const (
	// mostCells is as many as two public lists of maxListed categories have.
	mostCells = 1_000_000
	// mostPrivateCells is for pairs of private categories. A table has a cell for each pair of a first and a second category,
	// so that a party with k rows can make one of k² cells.
	mostPrivateCells = 100_000
	// mostTable is how many bytes the JSON of a table may have: it is built in memory, and a job stores up to 64 MiB. The
	// names of categories count most, 61 bytes each, which are up to 366 where they are written as escapes.
	mostTable = 32 << 20
)

func (c census) own() []parameter {
	categories := groups("categories", 1, "the categories, if they are public: others are refused; without it categories are private")
	if c.ways == 2 {
		categories = categoryPairs()
	}
	own := []parameter{categories, maxCategories()}
	if !c.hides {
		own = append(own, unsuppressed())
	}
	if c.other {
		own = append(own, truth("other", false, "with categories: whether values outside them are counted together, as other, instead of being refused"))
	}
	return own
}

// categoryPairs is the parameter with the categories of rows of two: a list for each column.
func categoryPairs() parameter {
	return parameter{"categories", nil, checkCategoryPairs,
		fmt.Sprintf(`"type":"array","minItems":2,"maxItems":2,"items":{"type":"array","minItems":1,"maxItems":%d,"uniqueItems":true,"items":%s}`, maxListed, categoryItems),
		"the categories of the first and of the second column, as two lists, if they are public: others are refused; without it categories are private"}
}

func checkCategoryPairs(v any) (any, error) {
	in, ok := v.([]any)
	if !ok || len(in) != 2 {
		return nil, errors.New("must be two lists: the categories of the first column and of the second")
	}
	out := make([]any, 2)
	for i, x := range in {
		var err error
		if out[i], err = checkList(x, 1, checkCategory); err != nil {
			return nil, fmt.Errorf("has a list at index %d that %w", i, err)
		}
	}
	return out, nil
}

// lists are the public categories, one list for each way; nil where categories are private.
func (c census) lists(v values) [][]encode.Category {
	if !v.has("categories") {
		return nil
	}
	if c.ways == 1 {
		return [][]encode.Category{v.categories("categories")}
	}
	return v.categoryLists("categories")
}

// layout is a count for each cell, in the order of the lists, and one for others; or a lookup table.
func (c census) layout(v values) (ring.Layout, error) {
	lists := c.lists(v)
	if lists == nil {
		return iblt.Layout(c.keySize(), int(v.whole("max_categories"))), nil
	}
	l := ring.Layout{{Name: "counts", Limbs: 1, Count: cellsOf(lists)}}
	if v.truth("other") {
		l = append(l, ring.Field{Name: "other", Limbs: 1, Count: 1})
	}
	return l, nil
}

func (c census) keySize() int { return c.ways * encode.KeySize }

func cellsOf(lists [][]encode.Category) int {
	cells := 1
	for _, l := range lists {
		cells *= len(l)
	}
	return cells
}

// read counts a party's own samples: the payload is the vector of counts, or a list of keys with counts.
func (c census) read(data io.Reader, v values) ([]byte, int, error) {
	lists := c.lists(v)
	switch {
	case lists == nil && hiding(v):
		return nil, 0, &InputError{"parameters.categories", "is needed where counts are hidden (suppress_below): list the categories; private ones can be opened with their counts only"}
	case lists == nil:
		return c.readKeys(data, v)
	case hiding(v) && cellsOf(lists) >= suppressedCells: // with one for others
		return nil, 0, &InputError{"parameters.categories", fmt.Sprintf("make a table of %d cells: small counts can be hidden (suppress_below) in fewer than %d", cellsOf(lists), suppressedCells)}
	}
	if n := cellsOf(lists); n > c.cells {
		return nil, 0, &InputError{"parameters.categories", fmt.Sprintf("make a table of %d cells: at most %d are possible", n, c.cells)}
	}
	if n := tableSize(labelsOf(lists)); n > mostTable {
		return nil, 0, &InputError{"parameters.categories", fmt.Sprintf("make a table of up to %d bytes: at most %d are possible: give shorter names, or fewer categories", n, mostTable)}
	}
	index := make([]map[encode.Category]int, c.ways)
	for way, l := range lists {
		index[way] = make(map[encode.Category]int, len(l))
		for i, k := range l {
			index[way][k] = i
		}
	}
	counts := make([]uint64, cellsOf(lists)+1) // the last one: other
	rows, _, err := readRows(data, c.width(), func(_ place, cells []cell) error {
		at := 0
		for way, x := range cells {
			k, err := x.category()
			if err != nil {
				return err
			}
			i, listed := index[way][k]
			switch {
			case listed:
				at = at*len(lists[way]) + i
			case v.truth("other"):
				at = len(counts) - 1
			case c.other:
				return x.at.unlisted("is no category of parameters.categories: add it at all parties, or set other to true to count all others together")
			default:
				return x.at.unlisted("is no category of parameters.categories: add it at all parties")
			}
		}
		counts[at]++
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	l, err := c.layout(v)
	if err != nil {
		return nil, 0, err
	}
	x := ring.New(l)
	for i := range l[0].Count {
		x.SetLimbs(0, i, counts[i:i+1])
	}
	if len(l) > 1 {
		x.SetLimbs(1, 0, counts[len(counts)-1:])
	}
	return x.Bytes(), rows, nil
}

func (c census) readKeys(data io.Reader, v values) ([]byte, int, error) {
	if v.truth("other") {
		return nil, 0, &InputError{"parameters.other", "needs the list categories: without it every value is a category"}
	}
	counts := newKeyCounts(int(v.whole("max_categories")))
	var key []byte
	rows, _, err := readRows(data, c.width(), func(_ place, cells []cell) error {
		key = key[:0]
		for _, x := range cells {
			k, err := x.category()
			if err != nil {
				return err
			}
			key = k.Append(key)
		}
		if !counts.add(key) {
			return tooManyCategories(v, ", or give the list as categories")
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return encodeKeyed(counts.list(), c.keySize()), rows, nil
}

// width is that of readRows.
func (c census) width() int {
	if c.ways == 1 {
		return 0
	}
	return c.ways
}

// run opens the counts.
func (c census) run(ctx context.Context, s Session, v values, payload []byte) ([]byte, error) {
	l, err := c.layout(v)
	if err != nil {
		return nil, err
	}
	if !v.has("categories") {
		own, err := decodeKeyed(payload, c.keySize())
		if err != nil {
			return nil, fmt.Errorf("the stored input: %w", err)
		}
		return runUnion(ctx, s, "categories", own, c.keySize(), int(v.whole("max_categories")), validCategories)
	}
	x, err := ring.View(l, payload)
	if err != nil {
		return nil, fmt.Errorf("the stored input: %w", err)
	}
	return openCounts(ctx, s, v, x)
}

// crosstab is the pool's samples by category: counts has a number for each combination of categories, those of the last
// list next to each other.
type crosstab struct {
	lists  [][]encode.Category
	labels [][]string
	counts []int64
	other  int64
	n      int64 // samples, others included
	hides  bool  // small counts are hidden, and 0 may be one
}

// count reads what run has opened.
func (c census) count(v values, opened []byte) (*crosstab, error) {
	t := &crosstab{lists: c.lists(v), hides: hiding(v)}
	var err error
	if t.lists == nil {
		err = c.countKeys(t, v, opened)
	} else {
		t.labels = labelsOf(t.lists)
		err = c.countVector(t, v, opened)
	}
	if err != nil {
		return nil, err
	}
	t.n = t.other
	for _, k := range t.counts {
		t.n += k // no more than 2^20·2^40
	}
	if t.n > maxSamples {
		return nil, impossible("the number of samples is impossible")
	}
	return t, nil
}

func labelsOf(lists [][]encode.Category) [][]string {
	labels := make([][]string, len(lists))
	for way, l := range lists {
		labels[way] = encode.Labels(l)
	}
	return labels
}

// tableSize is how many bytes the JSON of a table with these labels has at most, whatever its counts.
func tableSize(labels [][]string) int {
	last := labels[len(labels)-1]
	if len(last) == 0 {
		return len("{}")
	}
	above, rows := 0, 1
	for _, list := range labels[:len(labels)-1] {
		rows = len(list)
		for _, label := range list {
			above += quotedSize(label) + len(`:{},`)
		}
	}
	// The digits of counts with a given sum are the most where all are equal.
	digits := len(strconv.Itoa(maxSamples/(max(rows, 1)*len(last)))) + 1
	row := 0
	for _, label := range last {
		row += quotedSize(label) + len(`:,`) + digits
	}
	return above + rows*row + len(`{}`)
}

// quotedSize is the length of what appendString appends.
func quotedSize(s string) int {
	n := len(s) + 2
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"', c == '\\', c == '\b', c == '\f', c == '\n', c == '\r', c == '\t':
			n++
		case c < 0x20:
			n += len(`\u0000`) - 1
		}
	}
	return n
}

func (c census) countVector(t *crosstab, v values, opened []byte) error {
	l, err := c.layout(v)
	if err != nil {
		return err
	}
	x, err := ring.View(l, opened)
	if err != nil {
		return fmt.Errorf("the opened counts: %w", err)
	}
	t.counts = make([]int64, l[0].Count)
	for i := range t.counts {
		if t.counts[i], err = samplesIn(x, 0, i); err == nil {
			err = checkCount(v, t.counts[i])
		}
		if err != nil {
			return err
		}
	}
	if len(l) > 1 {
		if t.other, err = samplesIn(x, 1, 0); err == nil {
			err = checkCount(v, t.other)
		}
	}
	return err
}

// countKeys lists the categories of opened keys in the order of encode.Compare.
func (c census) countKeys(t *crosstab, v values, opened []byte) error {
	entries, err := readUnion(v, opened, c.keySize())
	if err != nil {
		return err
	}
	keys := make([][]encode.Category, len(entries))
	t.lists = make([][]encode.Category, c.ways)
	for i, e := range entries {
		if keys[i], err = readCategories(e.key); err != nil || e.count > maxSamples {
			return impossible("an opened category is none")
		}
		for way, k := range keys[i] {
			t.lists[way] = append(t.lists[way], k)
		}
	}
	for way := range t.lists {
		slices.SortFunc(t.lists[way], encode.Compare)
		t.lists[way] = slices.Compact(t.lists[way])
	}
	cells, most := cellsOf(t.lists), c.cells
	if c.ways > 1 {
		most = min(most, mostPrivateCells)
	}
	const instead = ": give the list as categories, or fewer of them"
	if cells > most {
		return &OutcomeError{fmt.Sprintf("the parties have too many different categories together: a table of them has %d cells, and at most %d are possible", cells, most) + instead}
	}
	t.labels = labelsOf(t.lists)
	if n := tableSize(t.labels); n > mostTable {
		return &OutcomeError{fmt.Sprintf("the parties have too many different categories together: a table of them has up to %d bytes, and at most %d are possible", n, mostTable) + instead}
	}
	t.counts = make([]int64, cells)
	for i, e := range entries {
		at := 0
		for way, k := range keys[i] {
			j, _ := slices.BinarySearchFunc(t.lists[way], k, encode.Compare)
			at = at*len(t.lists[way]) + j
		}
		t.counts[at] = int64(e.count)
	}
	return nil
}

// mode are the categories with the largest count, of several the one whose key is the smallest by its bytes; nil where all
// counts are 0.
func (t *crosstab) mode() []encode.Category {
	var best []encode.Category
	var bestKey, key []byte
	most := int64(0)
	for i, count := range t.counts {
		if count == 0 || count < most {
			continue
		}
		at := t.categories(i)
		key = key[:0]
		for _, k := range at {
			key = k.Append(key)
		}
		if count > most || string(key) < string(bestKey) {
			most, best, bestKey = count, at, slices.Clone(key)
		}
	}
	return best
}

// categories are those of a cell.
func (t *crosstab) categories(cell int) []encode.Category {
	at := make([]encode.Category, len(t.lists))
	for way := len(t.lists) - 1; way >= 0; way-- {
		l := t.lists[way]
		at[way] = l[cell%len(l)]
		cell /= len(l)
	}
	return at
}

// object names the values of the cells: {label: value}, or {label: {label: value}}.
func (t *crosstab) object(value func(cell int) any) object {
	var o object
	if len(t.lists) == 1 {
		for i, label := range t.labels[0] {
			o.put(label, value(i))
		}
		return o
	}
	columns := make([][]byte, len(t.labels[1]))
	for j, label := range t.labels[1] {
		columns[j] = append(appendString(nil, label), ':')
	}
	for i, label := range t.labels[0] {
		row := json.RawMessage{'{'}
		for j, column := range columns {
			if j > 0 {
				row = append(row, ',')
			}
			row = appendValue(append(row, column...), value(i*len(columns)+j))
		}
		o.put(label, append(row, '}'))
	}
	return o
}

// countOf is a cell's count as a result shows it.
func (t *crosstab) countOf(cell int) any { return shown(t.hides, t.counts[cell]) }

// The words of descriptions.
const (
	privateCategories = "Without the parameter categories, recipients also learn every category of every party, also one that a single sample has: where names of rare categories point at persons, list categories. " +
		"An attempt that cannot be read, because the parties have more different categories together than max_categories or by chance, opens its lookup table, a function of the pooled counts. " +
		"Experimental: opening private categories by a lookup table under masks is weft's own composition, without a published proof. "
	censusColluders = "Any coalition of up to n-1 parties learns the same counts of the others: with two parties those are the other party's own. " +
		"Broker and coordinator learn neither inputs nor result; with the parameter categories, everybody who learns the parameters learns that list."
	tableSchema  = `{"type":"object","additionalProperties":{"type":"object","additionalProperties":{"type":["integer","null"],"minimum":0}}}`
	pairsInput   = `{"description":"rows of two categories: text, whole numbers, true or false","type":"array","items":{"type":"array","minItems":2,"maxItems":2,"items":` + categoryItems + `}}`
	censusBytes1 = "8 bytes per category to each receiver; for private categories 88·(2·max_categories+256) bytes, 68 kB by default, and twice as many in each further attempt"
	censusBytes2 = "8 bytes per cell of the table to each receiver; for private categories 152·(2·max_categories+256) bytes, 117 kB by default, and twice as many in each further attempt"
	censusHops   = 4 // JOIN, START, masked vectors, CONFIRM; one more for each further attempt
)
