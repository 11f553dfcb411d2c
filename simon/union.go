package simon

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/weftmpc/weft/simon/encode"
	"github.com/weftmpc/weft/simon/iblt"
)

// keyed is a key with the number of samples that have it. All keys of a list have one length.
type keyed struct {
	key   []byte
	count uint64 // at least 1
}

// encodeKeyed writes a list of different keys: ordered by their bytes, keySize bytes of key, then 8 bytes of count, lowest
// byte first. It is what a job stores of a party's keys, and what is opened of the pool's.
func encodeKeyed(list []keyed, keySize int) []byte {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b keyed) int { return bytes.Compare(a.key, b.key) })
	out := make([]byte, 0, len(list)*(keySize+8))
	for _, k := range list {
		if len(k.key) != keySize {
			panic(fmt.Sprintf("simon: a key of %d bytes, want %d", len(k.key), keySize))
		}
		out = binary.LittleEndian.AppendUint64(append(out, k.key...), k.count)
	}
	return out
}

// decodeKeyed reads what encodeKeyed writes, and nothing else. The keys are parts of b.
func decodeKeyed(b []byte, keySize int) ([]keyed, error) {
	if len(b)%(keySize+8) != 0 {
		return nil, fmt.Errorf("a list of keys has %d bytes, no multiple of %d", len(b), keySize+8)
	}
	list := make([]keyed, 0, len(b)/(keySize+8))
	for ; len(b) > 0; b = b[keySize+8:] {
		k := keyed{b[:keySize:keySize], binary.LittleEndian.Uint64(b[keySize:])}
		if n := len(list); k.count == 0 || n > 0 && bytes.Compare(list[n-1].key, k.key) >= 0 {
			return nil, errors.New("a list of keys is not in order, or has a key without samples")
		}
		list = append(list, k)
	}
	return list, nil
}

// keyCounts counts a party's own samples by key, up to a number of different keys.
type keyCounts struct {
	most   int // different keys
	counts map[string]uint64
}

func newKeyCounts(most int) *keyCounts { return &keyCounts{most, map[string]uint64{}} }

// add counts one sample. It returns false where that is one key more than there may be.
func (k *keyCounts) add(key []byte) bool {
	k.counts[string(key)]++
	return len(k.counts) <= k.most
}

// list are the keys in order of their bytes.
func (k *keyCounts) list() []keyed {
	list := make([]keyed, 0, len(k.counts))
	for key, count := range k.counts {
		list = append(list, keyed{[]byte(key), count})
	}
	slices.SortFunc(list, func(a, b keyed) int { return bytes.Compare(a.key, b.key) })
	return list
}

// Bounds of the tables of keys.
const (
	// unionAttempts is how often the parties try to read a table. Each table is twice as large as the one before.
	unionAttempts = 4
	// mostUnionTable is how many bytes a table may have. A table shows one key for a cell at most, in fewer bytes than the
	// cell has: so what is opened fits into a job store, which takes 64 MiB.
	mostUnionTable = 64 << 20
	// mostUnionTables is the same for the tables of all other parties, which a session holds together, in 256 MiB.
	mostUnionTables = 192 << 20
)

// errUnionSize ends openUnion before a table that is too large is made.
var errUnionSize = errors.New("the table of keys is too large")

// unionFits says whether n parties may try a table for dmax keys. It follows from what all of them know.
func unionFits(n, keySize, dmax int) bool {
	size := iblt.Layout(keySize, dmax).Size()
	return size <= mostUnionTable && size <= mostUnionTables/max(n-1, 1)
}

// maxCategories is the parameter for the size of the first table. A party's keys may not be more; those of all parties
// together may, which then cost further attempts.
func maxCategories() parameter {
	return whole("max_categories", int64(256), 1, 1<<16,
		"where categories are private: how many different ones all parties are expected to have together, and the most that one party may have; up to eight times as many can be opened: by lookup tables of at most 64 MiB, and 192 MiB from all other parties together")
}

// tooManyCategories is what read answers where keyCounts is full; other is another way out, or empty.
func tooManyCategories(v values, other string) error {
	return place{-1, -1}.bad("has more than %d different categories: set max_categories at all parties%s", v.whole("max_categories"), other)
}

// openUnion opens which keys the parties have together, and how many samples of all parties have each: the histogram of the
// pool, ordered by key. Nobody listed the keys before.
//
// Each party puts its keys, of keySize bytes, with their counts into an invertible lookup table (Goodrich, Mitzenmacher
// 2011; package iblt); OpenSum opens the total of the tables, which is the table of the pool. The hash functions of attempt
// a are keyed with the session's SID, name and a; the table is for dmax·2^a keys. An attempt that cannot be read is followed
// by the next: all parties see the same total and decide alike. ok is false after four of them. The error is errUnionSize
// where the next table would be larger than unionFits allows. valid says whether bytes are a key that an honest party may
// have.
//
// Learns: every recipient the pooled histogram, with every key of every party, also one that a single sample has; who holds
// which keys it does not learn. A table that cannot be read is a function of the pooled histogram too. Any coalition of up
// to n-1 parties learns the histogram of the others. That the sum of such tables opens a histogram securely follows from
// the security of OpenSum; the composition is weft's own and has no published proof.
// One hop for each attempt, (2·dmax·2^a+256)·(keySize+24) bytes to each recipient. Where some party is no recipient, one
// more hop of one byte tells it whether to go on.
//
// The error is an *OutcomeError where the total is none of honest parties.
func openUnion(ctx context.Context, s Session, name string, own []keyed, keySize, dmax int, valid func(key []byte) bool) (entries []keyed, ok bool, err error) {
	for attempt := range unionAttempts {
		if !unionFits(s.N(), keySize, dmax<<attempt) {
			return nil, false, errUnionSize
		}
		if attempt > 0 {
			s.Report(Progress{Round: uint32(attempt + 1), Rounds: uint32(attempt + 1)})
		}
		u := union{name, own, keySize, dmax << attempt, valid}
		if entries, ok, err = u.try(ctx, s, attempt); ok || err != nil {
			return entries, ok, err
		}
	}
	return nil, false, nil
}

// union is one attempt at openUnion.
type union struct {
	name          string
	own           []keyed
	keySize, dmax int
	valid         func(key []byte) bool
}

func (u union) try(ctx context.Context, s Session, attempt int) (entries []keyed, ok bool, err error) {
	sid := s.SID()
	hashKey := iblt.HashKey(sid[:], u.name, uint32(attempt))
	t := iblt.New(hashKey, u.keySize, u.dmax)
	for _, k := range u.own {
		t.Add(k.key, k.count)
	}
	call := s.Call(fmt.Sprintf("%s %d", u.name, attempt))
	sum, err := OpenSum(ctx, call, Label{Round: 2, Vector: "table"}, t.Vector())
	if err != nil {
		return nil, false, err
	}
	fate := byte(unionUnread)
	if sum.Bytes() != nil {
		if t, err = iblt.FromVector(hashKey, u.keySize, u.dmax, sum); err != nil {
			return nil, false, err
		}
		list, read, err := t.Decode(maxSamples, u.valid)
		switch {
		case errors.Is(err, iblt.ErrCorrupt):
			fate = unionCorrupt
		case err != nil:
			return nil, false, err
		case read:
			fate = unionRead
			for _, e := range list {
				entries = append(entries, keyed{e.Key, e.Count})
			}
		}
	}
	if fate, err = sharedFate(ctx, call, fate); err != nil {
		return nil, false, err
	}
	s.Join(call)
	if fate == unionCorrupt {
		return nil, false, impossible("the opened table of categories is no sum of tables")
	}
	return entries, fate == unionRead, nil
}

// What became of an attempt; also the first byte of what runUnion returns.
const (
	unionRead    = 1 // the keys follow
	unionUnread  = 2
	unionCorrupt = 3
	unionLarge   = 4 // what the next attempt would have been
)

// sharedFate tells the parties that are no recipients what the recipients saw. Where all are, nothing is sent.
func sharedFate(ctx context.Context, s Session, fate byte) (byte, error) {
	recipients := slices.DeleteFunc(s.Recipients(), func(seat int) bool { return seat >= s.N() })
	if len(recipients) == s.N() {
		return fate, nil
	}
	if len(recipients) == 0 {
		return 0, errors.New("no party receives the table of categories: name at least one as recipient")
	}
	told, err := announce(ctx, s, recipients, Label{Round: 3, Vector: "fate"}, fate)
	if err != nil {
		return 0, err
	}
	if told < unionRead || told > unionCorrupt {
		return 0, fmt.Errorf("seat %d says what nothing can become of a table", recipients[0])
	}
	return told, nil
}

// runUnion is openUnion for statistics: it returns what readUnion reads, nil at a party that is no recipient.
func runUnion(ctx context.Context, s Session, name string, own []keyed, keySize, dmax int, valid func(key []byte) bool) ([]byte, error) {
	entries, ok, err := openUnion(ctx, s, name, own, keySize, dmax, valid)
	_, outcome := errors.AsType[*OutcomeError](err)
	switch {
	case err != nil && !outcome && !errors.Is(err, errUnionSize):
		return nil, err
	case !slices.Contains(s.Recipients(), s.Self()):
		return nil, nil
	case errors.Is(err, errUnionSize):
		return []byte{unionLarge}, nil
	case err != nil:
		return []byte{unionCorrupt}, nil
	case !ok:
		return []byte{unionUnread}, nil
	}
	return append([]byte{unionRead}, encodeKeyed(entries, keySize)...), nil
}

// readUnion reads what runUnion opened, or the outcome that nothing could be read.
func readUnion(v values, opened []byte, keySize int) ([]keyed, error) {
	if len(opened) == 0 {
		return nil, errors.New("no table of categories was opened")
	}
	switch {
	case opened[0] == unionRead:
		return decodeKeyed(opened[1:], keySize)
	case opened[0] == unionUnread && len(opened) == 1:
		return nil, &OutcomeError{fmt.Sprintf("the parties have too many different categories together to open them with max_categories %d: raise it at all parties", v.whole("max_categories"))}
	case opened[0] == unionLarge && len(opened) == 1:
		return nil, &OutcomeError{fmt.Sprintf("the parties have too many different categories together, or max_categories %d is too large: a larger lookup table is not possible with so many parties; "+
			"give the list as categories, or fewer of them", v.whole("max_categories"))}
	case opened[0] == unionCorrupt && len(opened) == 1:
		return nil, impossible("the opened table of categories is no sum of tables")
	}
	return nil, errors.New("the opened table of categories was written by another version of weft: submit the computation again")
}

// validCategories says whether a key is categories one after the other, of kinds that data have.
func validCategories(key []byte) bool {
	_, err := readCategories(key)
	return err == nil
}

// readCategories reads a key of categories one after the other.
func readCategories(key []byte) ([]encode.Category, error) {
	var all []encode.Category
	for ; len(key) > 0; key = key[encode.KeySize:] {
		if len(key) < encode.KeySize {
			return nil, encode.ErrKey
		}
		c, err := encode.ParseCategory(key[:encode.KeySize])
		if err != nil || c.Kind == encode.KindDecimal {
			return nil, encode.ErrKey
		}
		all = append(all, c)
	}
	return all, nil
}
