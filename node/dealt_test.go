package node

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/node/session"
	"github.com/weftmpc/weft/simon"
)

// DealtSum is a microprotocol of the tests: a sum that passes through all places that a comparison has. The dealer masks each
// party's input with a stream and sends the evaluators shares of the masks' sum; the parties' inputs, masked among themselves
// as well, go to both evaluators; the evaluators open the sum of their shares.
func DealtSum(parameters string) simon.Microprotocol {
	return simon.Microprotocol{
		Name: "DealtSum", Version: 1, MinParties: 2, Roles: []simon.Role{simon.S0, simon.S1, simon.Dealer}, Hops: 5,
		Round: 20 * time.Second, Limit: 2 * time.Minute,
		RolesFor: func(canonical []byte) []simon.Role {
			if strings.Contains(string(canonical), "plain") {
				return nil
			}
			return []simon.Role{simon.S0, simon.S1, simon.Dealer}
		},
		Prepare: func(r io.Reader, _ json.RawMessage, _ simon.Guard) (simon.Prepared, error) {
			b, err := io.ReadAll(r)
			if err != nil {
				return simon.Prepared{}, err
			}
			x, err := strconv.ParseInt(string(b), 10, 64)
			return simon.Prepared{Parameters: []byte(parameters), Layout: sha256.Sum256([]byte("dealt")), Input: dealtWord(uint64(x))}, err
		},
		Run: func(ctx context.Context, s simon.Session, _ simon.Common, input []byte) ([]byte, error) {
			c := s.Call("sum")
			sum, err := playDealt(ctx, c, binary.LittleEndian.Uint64(input))
			if err == nil {
				s.Join(c)
			}
			return sum, err
		},
		Deal: func(ctx context.Context, s simon.Session, _ simon.Common) error {
			c := s.Call("sum")
			err := dealSum(ctx, c, 0)
			s.Join(c)
			return err
		},
		Finish: func(c simon.Common, _, opened []byte) (json.RawMessage, error) {
			return fmt.Appendf(nil, `{"samples":%d,"sum":%d}`, c.Parties, int64(binary.LittleEndian.Uint64(opened))), nil
		},
	}
}

var (
	dealtMask  = simon.Label{Round: 1, Vector: "mask"}
	dealtShare = [2]simon.Label{{Round: 1, Vector: "share 0"}, {Round: 1, Vector: "share 1"}}
	dealtInput = simon.Label{Round: 2, Vector: "input"}
	dealtOut   = simon.Label{Round: 3, Vector: "out"}
)

func dealtWord(x uint64) []byte { return binary.LittleEndian.AppendUint64(nil, x) }

func streamed(s simon.Session, p simon.Purpose, peer int, l simon.Label) (uint64, error) {
	stream, err := s.Stream(p, peer, l)
	if err != nil {
		return 0, err
	}
	var b [8]byte
	stream.Fill(b[:])
	return binary.LittleEndian.Uint64(b[:]), nil
}

// dealSum sends the evaluators shares of the sum of all masks; own is the dealer's own mask, if it is a party.
func dealSum(ctx context.Context, s simon.Session, own uint64) error {
	r := own
	for party := range s.N() {
		if party == s.Self() {
			continue
		}
		m, err := streamed(s, simon.Deal, party, dealtMask)
		if err != nil {
			return err
		}
		r += m
	}
	var b [8]byte
	if _, err := io.ReadFull(s.Rand(), b[:]); err != nil {
		return err
	}
	shares := [2][]byte{b[:], dealtWord(r - binary.LittleEndian.Uint64(b[:]))}
	for i, role := range []simon.Role{simon.S0, simon.S1} {
		to, _ := s.Seat(role)
		if err := s.Send(ctx, []int{to}, dealtShare[i], shares[i]); err != nil {
			return err
		}
	}
	return nil
}

func playDealt(ctx context.Context, s simon.Session, x uint64) ([]byte, error) {
	dealer, ok := s.Seat(simon.Dealer)
	if !ok {
		return nil, errors.New("no dealer")
	}
	var mask uint64
	var err error
	if dealer == s.Self() {
		var b [8]byte
		if _, err := io.ReadFull(s.Rand(), b[:]); err != nil {
			return nil, err
		}
		mask = binary.LittleEndian.Uint64(b[:])
		err = dealSum(ctx, s, mask)
	} else {
		mask, err = streamed(s, simon.Deal, dealer, dealtMask)
	}
	if err != nil {
		return nil, err
	}
	y := x + mask
	for peer := range s.N() {
		if peer == s.Self() {
			continue
		}
		m, err := streamed(s, simon.Mask, peer, dealtInput)
		if err != nil {
			return nil, err
		}
		if s.Self() > peer {
			m = -m
		}
		y += m
	}
	if err := s.SendInput(ctx, dealtInput, dealtWord(y)); err != nil {
		return nil, err
	}
	return openDealt(ctx, s, dealer)
}

func openDealt(ctx context.Context, s simon.Session, dealer int) ([]byte, error) {
	s0, _ := s.Seat(simon.S0)
	s1, _ := s.Seat(simon.S1)
	var own []byte
	if s.Self() == s0 || s.Self() == s1 {
		all, i, other := make([]int, s.N()), 0, s1
		for k := range all {
			all[k] = k
		}
		if s.Self() == s1 {
			i, other = 1, s0
		}
		inputs, err := s.Receive(ctx, all, dealtInput)
		if err != nil {
			return nil, err
		}
		share, err := s.Receive(ctx, []int{dealer}, dealtShare[i])
		if err != nil {
			return nil, err
		}
		zero, err := streamed(s, simon.Zero, other, dealtOut)
		if err != nil {
			return nil, err
		}
		o := -binary.LittleEndian.Uint64(share[0])
		if i == 0 {
			for _, b := range inputs {
				o += binary.LittleEndian.Uint64(b)
			}
			zero = -zero
		}
		own = dealtWord(o - zero)
	}
	shares, err := s.Exchange(ctx, []int{min(s0, s1), max(s0, s1)}, dealtOut, own)
	if err != nil {
		return nil, err
	}
	return dealtWord(binary.LittleEndian.Uint64(shares[0]) + binary.LittleEndian.Uint64(shares[1])), nil
}

// dealer is the dealer of a fleet: a process that can be killed. Then nothing leaves it.
type dealer struct {
	*seat.Dealer
	fleet  *fleet
	cancel context.CancelFunc
	done   sync.WaitGroup
	dead   atomic.Bool
	step   atomic.Pointer[func(string)]
}

// dealtFleet is a fleet that computes by DealtSum, whose coordinator deals.
func dealtFleet(t *testing.T, f *fleet, m simon.Microprotocol) *dealer {
	t.Helper()
	f.catalogue, f.terms.round = []simon.Microprotocol{m}, 20*time.Second
	d := f.deal(seat.DealerConfig{})
	f.again()
	return d
}

// deal starts a dealer and, with it, the coordinator anew, as one process.
func (f *fleet) deal(c seat.DealerConfig) *dealer {
	f.t.Helper()
	d := &dealer{fleet: f}
	c.Identity, c.Roots, c.Catalogue, c.Now, c.Logger, c.Send = f.center, f.roots, f.catalogue, f.now, f.logger.With("node", "dealer"), d.send
	var err error
	d.Dealer, err = seat.NewDealer(c)
	must(f.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	d.done.Go(func() { d.Run(ctx) })
	f.t.Cleanup(d.kill)
	f.mu.Lock()
	f.helper, f.started, f.heard = d, d.Started, d.deliver
	f.mu.Unlock()
	f.newCoordinator()
	return d
}

func (d *dealer) at(step string) {
	if f := d.step.Load(); f != nil {
		(*f)(step)
	}
}

// Sign is a step, too.
func (d *dealer) Sign(common []byte) (own, sig []byte, err error) {
	own, sig, err = d.Dealer.Sign(common)
	d.at("signed")
	return own, sig, err
}

func (d *dealer) deliver(id uuid.UUID, from string, b []byte) {
	if !d.dead.Load() {
		d.Deliver(id, from, b)
	}
}

func (d *dealer) send(id uuid.UUID, to string, b []byte) error {
	kind, _, _ := session.Kind(b)
	d.at(fmt.Sprintf("before send %d", kind))
	if d.dead.Load() {
		return errors.New("dead")
	}
	d.fleet.note(kind, b)
	err := d.fleet.end.Send(to, append(append([]byte{'d'}, id[:]...), b...))
	d.at(fmt.Sprintf("after send %d", kind))
	return err
}

// kill ends the dealer's process: nothing leaves it any more.
func (d *dealer) kill() {
	d.dead.Store(true)
	d.cancel()
	d.done.Wait()
}
