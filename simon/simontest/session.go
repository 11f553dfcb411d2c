package simontest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/prg"
)

// Options of a run. The zero value: all parties are recipients, positions are seats, no helpers, nothing bent.
type Options struct {
	Seed       uint64
	Positions  []int              // by party; nil: position = seat
	Roles      map[simon.Role]int // seats from n on are helpers and play too; First is set from Positions
	Recipients []int              // seats; nil: all parties

	// Stream replaces what seat reads from a stream, for instance to shift one pair's mask. nil: no change.
	Stream func(seat int, id StreamID, s prg.Stream) prg.Stream
	// Rewrite replaces a body on its way to one receiver, to play a cheat. nil: no change.
	Rewrite func(m Message) []byte
}

// StreamID names a pairwise stream. A < B are the seats.
type StreamID struct {
	Purpose simon.Purpose
	Path    string
	Label   simon.Label
	A, B    int
}

// Kind is how a message was sent.
type Kind uint8

// The kinds of messages.
const (
	Exchange Kind = iota + 1
	Open
	Send
	SendInput
)

func (k Kind) String() string {
	return [...]string{"?", "exchange", "open", "send", "input"}[k]
}

// Message is one body that one seat sent to one other.
type Message struct {
	Path     string // call path, "" for the run itself
	Kind     Kind
	Label    simon.Label
	From, To int
	Body     []byte
}

// Record is what a run leaves behind. Seats index Results, Errs and Progress; Messages are sorted by path, label, kind,
// sender and receiver.
type Record struct {
	N        int
	Results  [][]byte
	Errs     []error
	Messages []Message
	Progress [][]simon.Progress
}

// Err is the first error of a seat, other than the end of the run that an earlier error caused.
func (r *Record) Err() error {
	for seat, err := range r.Errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("seat %d: %w", seat, err)
		}
	}
	return errors.Join(r.Errs...)
}

// View is every message that one of the seats received, in the order of Messages.
func (r *Record) View(seats ...int) []Message {
	var view []Message
	for _, m := range r.Messages {
		if slices.Contains(seats, m.To) {
			view = append(view, m)
		}
	}
	return view
}

// Run plays one protocol at n parties and the helpers of the options, each in a goroutine with a Session of its own, and
// waits for all. Pair keys and private randomness come from the seed. It enforces the rules of Session: a label, a stream
// or an opening used twice is an error, as is a parent that speaks while a child is open or an end with an open child.
// An error at one seat ends the run for all.
func Run(t testing.TB, n int, o Options, play func(ctx context.Context, s simon.Session) ([]byte, error)) *Record {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := newBoard(n, o)
	seats := b.seats
	r := &Record{N: n, Results: make([][]byte, seats), Errs: make([]error, seats), Progress: make([][]simon.Progress, seats)}
	var wg sync.WaitGroup
	for seat := range seats {
		wg.Go(func() {
			s := newSession(b, seat)
			result, err := play(ctx, s)
			if err == nil {
				err = s.finished()
			}
			if err != nil {
				cancel()
			}
			r.Results[seat], r.Errs[seat], r.Progress[seat] = result, err, s.reported()
		})
	}
	wg.Wait()
	r.Messages = b.messages()
	return r
}

// MustRun is Run where every seat must succeed.
func MustRun(t testing.TB, n int, o Options, play func(ctx context.Context, s simon.Session) ([]byte, error)) *Record {
	t.Helper()
	r := Run(t, n, o, play)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return r
}

// board is where the seats of one run leave and find messages.
type board struct {
	Options
	n, seats int

	mu   sync.Mutex
	sent map[address][]byte
	used map[address]bool // labels under which a seat has sent a body, of any kind and to anybody
	wake chan struct{}    // closed and replaced at every new message
}

// address names one body for one receiver.
type address struct {
	path     string
	kind     Kind
	label    simon.Label
	from, to int
}

func newBoard(n int, o Options) *board {
	if n < 1 {
		panic("simontest: a run needs a party")
	}
	if o.Positions == nil {
		for i := range n {
			o.Positions = append(o.Positions, i)
		}
	}
	if o.Recipients == nil {
		for i := range n {
			o.Recipients = append(o.Recipients, i)
		}
	}
	o.Roles = maps.Clone(o.Roles)
	if o.Roles == nil {
		o.Roles = map[simon.Role]int{}
	}
	o.Roles[simon.First] = slices.Index(o.Positions, 0)
	seats := n
	for _, seat := range o.Roles {
		seats = max(seats, seat+1)
	}
	return &board{Options: o, n: n, seats: seats, sent: map[address][]byte{}, used: map[address]bool{}, wake: make(chan struct{})}
}

// post leaves one body for each receiver; own bodies are not messages.
func (b *board) post(a address, to []int, body []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	once := address{path: a.path, label: a.label, from: a.from}
	if b.used[once] {
		return fmt.Errorf("simontest: %v of %q sent twice by seat %d: one label is for one body", a.label, a.path, a.from)
	}
	b.used[once] = true
	for _, seat := range to {
		a.to = seat
		copied := append([]byte{}, body...)
		if b.Rewrite != nil && seat != a.from {
			copied = b.Rewrite(Message{a.path, a.kind, a.label, a.from, seat, copied})
		}
		b.sent[a] = copied
	}
	close(b.wake)
	b.wake = make(chan struct{})
	return nil
}

// take waits for one body.
func (b *board) take(ctx context.Context, kinds []Kind, a address) ([]byte, error) {
	for {
		b.mu.Lock()
		wake := b.wake
		for _, k := range kinds {
			a.kind = k
			if body, ok := b.sent[a]; ok {
				b.mu.Unlock()
				return bytes.Clone(body), nil
			}
		}
		b.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for seat %d at %q: %w", a.from, a.label.Vector, ctx.Err())
		}
	}
}

func (b *board) messages() []Message {
	var all []Message
	for a, body := range b.sent {
		if a.from != a.to {
			all = append(all, Message{a.path, a.kind, a.label, a.from, a.to, body})
		}
	}
	slices.SortFunc(all, func(x, y Message) int {
		return cmp.Or(cmp.Compare(x.Path, y.Path), cmp.Compare(x.Label.Round, y.Label.Round), cmp.Compare(x.Label.Vector, y.Label.Vector),
			cmp.Compare(x.Kind, y.Kind), cmp.Compare(x.From, y.From), cmp.Compare(x.To, y.To))
	})
	return all
}

// digest derives 32 bytes from a seed for one use.
func digest(use string, seed uint64, detail string) [32]byte {
	h := sha256.New()
	for _, part := range []string{"weft/simontest", use, detail} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		io.WriteString(h, part)
	}
	h.Write(binary.BigEndian.AppendUint64(nil, seed))
	return [32]byte(h.Sum(nil))
}

// key is the key of a pairwise stream.
func (b *board) key(id StreamID) [32]byte {
	return digest("stream", b.Seed, fmt.Sprintf("%d %q %d %q %d %d", id.Purpose, id.Path, id.Label.Round, id.Label.Vector, id.A, id.B))
}

func (b *board) rand(seat int) io.Reader {
	return rand.NewChaCha8(digest("rand", b.Seed, fmt.Sprint(seat)))
}
