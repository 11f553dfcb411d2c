package simon

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"slices"
	"sort"
	"strconv"

	"github.com/weftmpc/weft/simon/encode"
	"github.com/weftmpc/weft/simon/iblt"
	"github.com/weftmpc/weft/simon/ring"
)

// followUp is what KaplanMeier and LogRank read and open: how many subjects of each group (and stratum) have their event,
// and how many leave without it (are censored), at each time. Who was at risk when follows by adding up.
//
// Parameter times is a public grid: a time counts at the next point of the grid, and the parties add up one vector of
// counts. Without it times are private: the parties open by openUnion which times there are.
type followUp struct {
	groups int  // least number of groups; 0: rows may have none
	strata bool // rows may have a stratum after the group
	most   int  // groups
	// exits bounds the points of a grid, over all groups and strata, and the distinct times of a result without one.
	exits int
	// terms, unless 0, bounds times·groups².
	terms int
}

// mostTimes bounds max_times. The last table is for eight times as many.
const mostTimes = 1 << 13

func (f followUp) own() []parameter {
	about := "the groups, in the order in which the result lists them"
	if f.groups == 0 {
		about += "; set it if rows have a group"
	}
	own := []parameter{
		groups("groups", max(f.groups, 1), about),
		timeGrid(),
		whole("max_times", int64(512), 1, mostTimes, "without times: how many combinations of group, time and event all parties are expected to have together, "+
			"and the most that one party may have; up to eight times as many can be opened, but no more than "+strconv.Itoa(f.exits)+" different times over all groups, "+
			"by lookup tables of at most 192 MiB from all other parties together"),
	}
	if f.strata {
		own = append(own, groups("strata", 1, "the strata, if rows have one: groups are compared within them"))
	}
	return own
}

// timeGrid is the parameter for a public grid of times.
func timeGrid() parameter {
	p := listed("times", 1, func(v any) (any, error) {
		n, err := decimal(v, func(x *big.Rat) bool { return x.Sign() >= 0 }, "a number from 0")
		if err != nil {
			return nil, err
		}
		if _, err := gridTime(n); err != nil {
			return nil, err
		}
		return n, nil
	}, `{"type":"number","minimum":0}`, "the public grid of times, ascending, such as the ends of months. A time between two points counts at the later one, "+
		"one beyond the last point is refused: a coarse grid hides single subjects better, and moves the curve to the right. Without it times are private, and all of them are opened")
	list := p.check
	p.check = func(v any) (any, error) {
		l, err := list(v)
		if err != nil {
			return nil, err
		}
		grid, err := gridTimes(l.([]any))
		if err != nil {
			return nil, err
		}
		for i := 1; i < len(grid); i++ {
			if grid[i-1].Cmp(grid[i]) >= 0 {
				return nil, fmt.Errorf("must ascend: index %d is not after index %d", i, i-1)
			}
		}
		return l, nil
	}
	return p
}

// gridTime is a checked number of the parameters in units of 1e-20, as times in data are.
func gridTime(v any) (*big.Int, error) {
	text, err := canonical(nil, v)
	if err != nil {
		return nil, err
	}
	limbs := make([]uint64, statLimbs)
	if err := statEncoding.Encode(limbs, text); err != nil {
		return nil, err
	}
	q := new(big.Int)
	setSigned(q, limbs)
	return q, nil
}

func gridTimes(list []any) ([]*big.Int, error) {
	grid := make([]*big.Int, len(list))
	for i, v := range list {
		var err error
		if grid[i], err = gridTime(v); err != nil {
			return nil, err
		}
	}
	return grid, nil
}

// cohort is what the parameters say of rows.
type cohort struct {
	followUp
	groups, strata []encode.Category // nil: rows have none
	grid           []*big.Int        // nil: times are private
}

func (f followUp) cohort(v values) (cohort, error) {
	d := cohort{followUp: f, groups: v.categories("groups"), strata: v.categories("strata")}
	if !v.has("times") {
		return d, nil
	}
	var err error
	d.grid, err = gridTimes(v.list("times"))
	return d, err
}

// points is how many pairs of counts there are with a grid: first by stratum, then by group, then by time.
func (d cohort) points() int { return max(len(d.strata), 1) * max(len(d.groups), 1) * len(d.grid) }

func (d cohort) check(hidden bool) error {
	switch {
	case len(d.groups) < d.followUp.groups:
		return &InputError{"parameters.groups", fmt.Sprintf("is missing: list the groups, at least %d", d.followUp.groups)}
	case len(d.groups) > d.most:
		return &InputError{"parameters.groups", fmt.Sprintf("has %d groups: at most %d are possible", len(d.groups), d.most)}
	case hidden && d.grid == nil:
		return &InputError{"parameters.times", "is missing: small counts can be hidden (suppress_below) on a public grid of times, such as the ends of years; without it every time of every party is opened"}
	case hidden && 2*d.points() > suppressedCells:
		return &InputError{"parameters.times", fmt.Sprintf("makes %d points over all groups: small counts can be hidden (suppress_below) on at most %d", d.points(), suppressedCells/2)}
	case d.points() > d.followUp.exits:
		return &InputError{"parameters.times", fmt.Sprintf("makes %d points over all groups: at most %d are possible", d.points(), d.followUp.exits)}
	case d.terms > 0 && d.points()*len(d.groups) > d.terms:
		return &InputError{"parameters.times", fmt.Sprintf("makes %d points over all groups and strata: with %d groups at most %d are possible: agree on fewer times or groups",
			d.points(), len(d.groups), d.terms/len(d.groups))}
	}
	return nil
}

func (f followUp) layout(v values) (ring.Layout, error) {
	d, err := f.cohort(v)
	if err != nil {
		return nil, err
	}
	if d.grid == nil {
		return iblt.Layout(exitKeySize, int(v.whole("max_times"))), nil
	}
	return ring.Layout{{Name: "events", Limbs: 1, Count: d.points()}, {Name: "censored", Limbs: 1, Count: d.points()}}, nil
}

// read counts a party's own subjects: the payload is the vector of counts, or a list of keys with counts.
func (f followUp) read(data io.Reader, v values) ([]byte, int, error) {
	d, err := f.cohort(v)
	if err != nil {
		return nil, 0, err
	}
	if err := d.check(hiding(v)); err != nil {
		return nil, 0, err
	}
	if d.grid != nil {
		return d.readCounts(data, v)
	}
	counts := newKeyCounts(int(v.whole("max_times")))
	key := make([]byte, exitKeySize)
	rows, err := d.rows(data, func(_ place, x subject) error {
		x.write(key)
		if !counts.add(key) {
			return place{-1, -1}.bad("has more than %d different times, over all groups, with and without event: set max_times at all parties, or agree on a grid of times", v.whole("max_times"))
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return encodeKeyed(counts.list(), exitKeySize), rows, nil
}

func (d cohort) readCounts(data io.Reader, v values) ([]byte, int, error) {
	events, censored := make([]uint64, d.points()), make([]uint64, d.points())
	rows, err := d.rows(data, func(at place, x subject) error {
		i := sort.Search(len(d.grid), func(i int) bool { return d.grid[i].Cmp(&x.time) >= 0 })
		if i == len(d.grid) {
			return place{at.row, 0}.unlisted("is after the last of parameters.times: add a later point at all parties, or end the follow-up there without event")
		}
		i += (x.stratum*max(len(d.groups), 1) + x.group) * len(d.grid)
		if x.event {
			events[i]++
		} else {
			censored[i]++
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	l, err := d.layout(v)
	if err != nil {
		return nil, 0, err
	}
	x := ring.New(l)
	for i := range events {
		x.SetLimbs(0, i, events[i:i+1])
		x.SetLimbs(1, i, censored[i:i+1])
	}
	return x.Bytes(), rows, nil
}

// subject is one row. Group and stratum are positions in the parameters' lists, 0 where there are none.
type subject struct {
	stratum, group int
	time           big.Int // in units of 1e-20, from 0 to 2^112
	event          bool
}

// The key of subjects, where times are private: stratum and group (2 bytes each), time (14 bytes), 1 for an event and 0
// without, zeros up to a multiple of 8. All with the highest byte first, so that the order of keys is that of subjects.
const exitKeySize = 24

func (x *subject) write(key []byte) {
	clear(key)
	binary.BigEndian.PutUint16(key, uint16(x.stratum)) // lists have up to maxListed members
	binary.BigEndian.PutUint16(key[2:], uint16(x.group))
	x.time.FillBytes(key[4:18])
	if x.event {
		key[18] = 1
	}
}

// subject reads a key that a party may have chosen; ok is false unless subject.write makes it.
func (d cohort) subject(key []byte) (x subject, ok bool) {
	if len(key) != exitKeySize {
		return x, false
	}
	x.stratum = int(binary.BigEndian.Uint16(key))
	x.group = int(binary.BigEndian.Uint16(key[2:]))
	x.time.SetBytes(key[4:18])
	x.event = key[18] == 1
	again := make([]byte, exitKeySize)
	x.write(again)
	return x, bytes.Equal(again, key) && x.stratum < max(len(d.strata), 1) && x.group < max(len(d.groups), 1)
}

// rows reads data and calls row for each subject, which is valid until row returns.
func (d cohort) rows(data io.Reader, row func(at place, x subject) error) (rows int, err error) {
	columns, width := "[time, event]", 2
	if d.groups != nil {
		columns, width = "[time, event, group]", 3
	}
	if d.strata != nil {
		columns, width = "[time, event, group, stratum]", 4
	}
	group, stratum := listPositions(d.groups), listPositions(d.strata)
	var x subject
	rows, _, err = readRows(data, -4, func(at place, cells []cell) error {
		switch {
		case len(cells) == 3 && width == 2:
			return at.bad("has 3 values: give %s, or name the groups in parameters.groups", columns)
		case len(cells) == 4 && width == 3 && d.followUp.strata:
			return at.bad("has 4 values: give %s, or name the strata in parameters.strata", columns)
		case len(cells) != width:
			return at.bad("has %d values: give %s", len(cells), columns)
		}
		if err := cells[0].decimal(&x.time, statEncoding); err != nil {
			return err
		}
		if x.time.Sign() < 0 {
			return cells[0].at.bad("is negative: times count from when the subject was first observed")
		}
		var err error
		if x.event, err = cells[1].event(); err != nil {
			return err
		}
		if d.groups != nil {
			if x.group, err = listPosition(cells[2], group, "group of parameters.groups"); err != nil {
				return err
			}
		}
		if d.strata != nil {
			if x.stratum, err = listPosition(cells[3], stratum, "stratum of parameters.strata"); err != nil {
				return err
			}
		}
		return row(at, x)
	})
	return rows, err
}

// listPositions finds listed categories; it serves for lookups only.
func listPositions(list []encode.Category) map[encode.Category]int {
	at := make(map[encode.Category]int, len(list))
	for i, c := range list {
		at[c] = i
	}
	return at
}

func listPosition(c cell, list map[encode.Category]int, what string) (int, error) {
	k, err := c.category()
	if err != nil {
		return 0, err
	}
	i, ok := list[k]
	if !ok {
		return 0, c.at.unlisted("is no %s: name it there, in the same spelling and kind (text, number, true or false), or leave the row out", what)
	}
	return i, nil
}

// run opens the counts.
func (f followUp) run(ctx context.Context, s Session, v values, payload []byte) ([]byte, error) {
	d, err := f.cohort(v)
	if err != nil {
		return nil, err
	}
	if d.grid == nil {
		own, err := decodeKeyed(payload, exitKeySize)
		if err != nil {
			return nil, fmt.Errorf("the stored input: %w", err)
		}
		return runUnion(ctx, s, "times", own, exitKeySize, int(v.whole("max_times")), func(key []byte) bool {
			_, ok := d.subject(key)
			return ok
		})
	}
	l, err := f.layout(v)
	if err != nil {
		return nil, err
	}
	x, err := ring.View(l, payload)
	if err != nil {
		return nil, fmt.Errorf("the stored input: %w", err)
	}
	if hiding(v) {
		return openCounts(ctx, s, v, x)
	}
	sum, err := OpenSum(ctx, s, Label{Round: 2, Vector: "exits"}, x)
	return sum.Bytes(), err
}

// deal is a dealer's part where small counts are hidden, which they are on a grid.
func (f followUp) deal(ctx context.Context, s Session, seats gateSeats, v values) error {
	d, err := f.cohort(v)
	if err == nil {
		err = d.check(true)
	}
	if err != nil {
		return err
	}
	return dealCounts(f.layout)(ctx, s, seats, v)
}

// exit is how many subjects of one stratum and group have their event or leave at one time.
type exit struct {
	stratum, group   int
	time             *big.Int
	events, censored int64
}

// exits reads what run has opened, ordered by stratum, group and time, and counts all subjects.
func (d cohort) exits(v values, opened []byte) (list []exit, samples int64, err error) {
	if d.grid == nil {
		list, err = d.openedKeys(v, opened)
	} else {
		list, err = d.openedCounts(v, opened)
	}
	if err != nil {
		return nil, 0, err
	}
	for _, x := range list {
		samples += x.events + x.censored // no more than 2^17·2^40
	}
	if samples > maxSamples {
		return nil, 0, impossible("the number of samples is impossible")
	}
	return list, samples, nil
}

// openedCounts are the points of the grid at which there is somebody.
func (d cohort) openedCounts(v values, opened []byte) ([]exit, error) {
	points, err := d.openedPoints(v, opened)
	return slices.DeleteFunc(points, func(x exit) bool { return x.events == 0 && x.censored == 0 }), err
}

// openedPoints are all points of the grid: by stratum, group and time.
func (d cohort) openedPoints(v values, opened []byte) ([]exit, error) {
	l, err := d.layout(v)
	if err != nil {
		return nil, err
	}
	counts, err := ring.View(l, opened)
	if err != nil {
		return nil, fmt.Errorf("the opened counts: %w", err)
	}
	list := make([]exit, d.points())
	for i := range list {
		block := i / len(d.grid)
		x := exit{stratum: block / max(len(d.groups), 1), group: block % max(len(d.groups), 1), time: d.grid[i%len(d.grid)]}
		if x.events, err = samplesIn(counts, 0, i); err != nil {
			return nil, err
		}
		if x.censored, err = samplesIn(counts, 1, i); err != nil {
			return nil, err
		}
		list[i] = x
	}
	return list, nil
}

func (d cohort) openedKeys(v values, opened []byte) ([]exit, error) {
	switch {
	case bytes.Equal(opened, []byte{unionUnread}):
		return nil, tooManyTimes(v)
	case bytes.Equal(opened, []byte{unionLarge}):
		return nil, &OutcomeError{fmt.Sprintf("the parties have too many different times together, or max_times %d is too large: a larger lookup table is not possible with so many parties; "+
			"agree on a grid of times", v.whole("max_times"))}
	}
	entries, err := readUnion(v, opened, exitKeySize)
	if err != nil {
		return nil, err
	}
	var list []exit
	for _, e := range entries { // in the order of keys
		x, ok := d.subject(e.key)
		if !ok || e.count > maxSamples {
			return nil, impossible("an opened time is none")
		}
		last := len(list) - 1
		if last < 0 || list[last].stratum != x.stratum || list[last].group != x.group || list[last].time.Cmp(&x.time) != 0 {
			list = append(list, exit{stratum: x.stratum, group: x.group, time: &x.time})
			last++
		}
		if x.event {
			list[last].events = int64(e.count)
		} else {
			list[last].censored = int64(e.count)
		}
	}
	if len(list) > d.followUp.exits { // the largest table can hold more
		return nil, &OutcomeError{fmt.Sprintf("the parties have %d different times together, over all groups, and at most %d are possible: agree on a grid of times", len(list), d.followUp.exits)}
	}
	return list, nil
}

func tooManyTimes(v values) error {
	return &OutcomeError{fmt.Sprintf("the parties have too many different times together to open them with max_times %d: raise it at all parties (up to %d), or agree on a grid of times",
		v.whole("max_times"), mostTimes)}
}

// byTime orders exits by time, those of one time by group.
func byTime(list []exit) []exit {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b exit) int { return a.time.Cmp(b.time) })
	return list
}

// The words of descriptions.
const (
	followUpBytes = "16 bytes for each point of times and each group (and stratum) to each receiver; for private times 48·(2·max_times+256) bytes, 61 kB by default, " +
		"and twice as many in each further attempt"
	followUpLeakage = "A count of one is one subject: agree on a grid of times that is as coarse as the question allows. " +
		"Without the parameter times, recipients learn every distinct time of every party in this way, also one that a single subject has: somebody who knows that subject may recognise it. " +
		"Which party holds it they do not learn. " +
		"An attempt that cannot be read, because the parties have more different times together than max_times or by chance, opens its lookup table, a function of the same counts. " +
		"Experimental: opening private times by a lookup table under masks is weft's own composition, without a published proof. " +
		"Any coalition of up to n-1 parties learns the same counts of the others: with two parties those are the other party's own. " +
		"Broker and coordinator learn neither inputs nor result; with the parameter times, everybody who learns the parameters learns that grid."
)
