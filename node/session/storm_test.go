package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weftmpc/weft/simon"
	"github.com/weftmpc/weft/simon/simontest"
)

// Keys come late and in any order while every peer storms every other with authentic asks for whatever there might be, and
// in every other run one seat closes in the middle: no nonce and no stream is used twice, nothing but the caller's bodies
// arrives, and without a Close everybody ends with the same transcript.
func TestStorm(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) { storm(t, seed) })
	}
}

func storm(t *testing.T, seed uint64) {
	const n, rounds, size = 4, 3, 3*chunkSize + 17
	l := newLab(t, n, labOptions{noKeys: true, seed: seed, faults: simontest.Faults{
		MaxDelay: 30 * time.Millisecond, Loss: 0.05, Duplicate: 0.1, Reorder: 0.3,
	}})
	defer l.close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var others sync.WaitGroup
	for i := range n {
		for j := range n {
			if i == j {
				continue
			}
			r := rand.New(rand.NewPCG(seed, uint64(i*n+j)))
			others.Go(func() {
				time.Sleep(time.Duration(r.IntN(2000)) * time.Millisecond)
				s := l.sessions[i]
				if err := s.SetKey(j, labPRK(s.cfg.SID, i, j), labEpoch(i, j)); err != nil && !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
				stormAsks(ctx, r, s, j, rounds)
			})
		}
	}
	closed := -1
	if seed%2 == 1 {
		closed = int(seed) % n
		others.Go(func() {
			time.Sleep(time.Duration(1000+300*seed) * time.Millisecond)
			l.sessions[closed].Close()
		})
	}
	outs, errs := l.play(func(ctx context.Context, s simon.Session) ([]byte, error) {
		for round := range rounds {
			body := vector(s.Self(), size+round)
			got, err := s.Exchange(ctx, nil, simon.Label{Round: uint32(round), Vector: "x"}, body)
			if err != nil {
				return nil, err
			}
			clear(body)
			for k, b := range got {
				if k != s.Self() && !bytes.Equal(b, vector(k, size+round)) {
					return nil, fmt.Errorf("the body of seat %d changed", k)
				}
			}
		}
		return nil, nil
	})
	cancel()
	others.Wait()
	for i, err := range errs {
		switch {
		case closed < 0 && (err != nil || outs[i].TH != outs[0].TH):
			t.Errorf("seed %d: seat %d: %v, transcript %x", seed, i, err, outs[i].TH)
		case err != nil && !typed(err):
			t.Errorf("seed %d: seat %d: %v", seed, i, err)
		}
	}
	if closed < 0 && l.fresh.seals != n*(n-1)*rounds*int(chunksOf(size+saltSize)) {
		t.Errorf("seed %d: %d units sealed: something was sealed twice, or not at all", seed, l.fresh.seals)
	}
}

// stormAsks sends s authentic asks of seat j until ctx ends.
func stormAsks(ctx context.Context, r *rand.Rand, s *Session, j, rounds int) {
	own, peer := s.cfg.Participants[s.cfg.Self].FP, s.cfg.Participants[j].FP
	prk := labPRK(s.cfg.SID, s.cfg.Self, j)
	key := deriveKey(&prk, purposeResend, "", &peer, &own)
	for ctx.Err() == nil {
		a := Ask{SID: s.cfg.SID, From: peer[:], To: own[:]}
		for range 1 + r.IntN(6) {
			l := LabelAsk{Label: labelBytes(nil, simon.Label{Round: uint32(r.IntN(rounds + 1)), Vector: "x"})}
			for c := range uint32(6) {
				if r.IntN(2) == 0 {
					l.Missing = append(l.Missing, c)
				}
			}
			a.Labels = append(a.Labels, l)
		}
		s.Deliver(j, sealAsk(a, key))
		time.Sleep(time.Duration(r.IntN(40)) * time.Millisecond)
	}
}

// Whatever comes on a peer's subject, no bytes but those that the peer sealed are taken, and none of them stops anything.
func FuzzDeliver(f *testing.F) {
	build := func(t testing.TB, self int) *Session {
		c := labConfig(2, 0, self, 0)
		c.Link = recorder{new([][]byte)}
		s, err := New(c)
		if err == nil {
			err = s.SetKey(1-self, labPRK(c.SID, 0, 1), labEpoch(0, 1))
		}
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	forge := build(f, 1)
	share := forger{s: forge, to: 0, label: helloLabel(1), th: transcriptStart(forge.cfg.SID), seq: 1, body: []byte("body")}.seal()
	ask := sealAsk(Ask{
		SID: forge.cfg.SID, From: forge.cfg.Participants[1].FP[:], To: forge.cfg.Participants[0].FP[:],
		Labels: []LabelAsk{{Label: []byte(helloLabel(1)), Missing: []uint32{0, 3}}},
	}, forge.peers[0].askKey)
	for _, b := range [][]byte{share, ask, share[:len(share)-1], EncodeNoticeAsk(forge.cfg.SID, nil), EncodeInit([]byte("init")), {}} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := build(t, 0)
		s.Deliver(1, b)
		if authentic := bytes.Equal(b, share) || bytes.Equal(b, ask); authentic != (len(s.Heard()) == 1) || s.err != nil {
			t.Errorf("heard %v, %v", s.Heard(), s.err)
		}
	})
}
