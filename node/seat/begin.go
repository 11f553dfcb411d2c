package seat

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/node/channel"
	"github.com/weftmpc/weft/node/session"
)

// noticeHold is how much longer than the computation's time limit notices are asked for and ledger lines stand by.
const noticeHold = 2 * time.Minute

// Begin checks a START completely, uses the JOIN up and returns the run. An error that is not ErrWithdrawn leaves the JOIN
// open: an invalid START is dropped as if it had not come. job is the record that the ledger line names.
func (o *Open) Begin(b []byte, job jobs.Job) (*Run, error) {
	s := o.seat
	start, err := coordinator.DecodeStart(b)
	if err != nil {
		return nil, err
	}
	if s.cfg.Now().UnixNano() > o.own.Expiry {
		return nil, fmt.Errorf("the own JOIN has expired")
	}
	peers, self, err := o.check(start)
	if err != nil {
		return nil, err
	}
	err = each(len(peers), func(i int) (err error) {
		if i == self {
			return nil
		}
		if peers[i].shared, err = agree(o.secret, peers[i].own.E); err != nil {
			return fmt.Errorf("the key of %s: %w", peers[i].Name, err)
		}
		return nil
	})
	used := false
	defer func() {
		if !used { // the JOIN may still be open: what was agreed for this START is for nothing
			for i := range peers {
				clear(peers[i].shared[:])
			}
		}
	}()
	if err != nil {
		return nil, err
	}
	sid := start.SID()
	if o.take(&sid) == nil {
		return nil, ErrWithdrawn
	}
	used = true
	r := &Run{
		seat: s, uuid: o.common.UUID, sid: sid, common: o.common, self: self, peers: peers, among: len(o.common.Parties),
		wake: make(chan struct{}, 1), begun: s.cfg.Now(), log: o.Log,
	}
	if err := r.prepare(job, sha256.Sum256(o.raw)); err != nil {
		r.release(o)
		return nil, fmt.Errorf("%w: %w", ErrWithdrawn, err)
	}
	r.register()
	return r, nil
}

// participant is a seat of a run with what is known of it.
type participant struct {
	session.Participant
	own    coordinator.Own
	bundle []byte
	pair   *channel.Pair
	shared []byte // X25519 of the two JOINs' keys; erased once the pair's key is made
	keyed  bool
	repeat time.Time // when the own INIT goes out again; zero: not any more
	wait   time.Duration

	invited bool // its INIT has come in this run
}

// check verifies a START against the open JOIN: same common part, own JOIN byte for byte, every other JOIN by itself.
func (o *Open) check(start coordinator.Start) ([]participant, int, error) {
	if !bytes.Equal(start.Common, o.join.Common) {
		return nil, 0, fmt.Errorf("START has another common part than the own JOIN")
	}
	n, places := len(o.common.Parties), append(slices.Clone(o.common.Parties), o.common.Helpers()...)
	if len(start.Joins) != len(places) {
		return nil, 0, fmt.Errorf("START has %d JOINs for %d participants", len(start.Joins), len(places))
	}
	if err := o.common.CheckRoles(); err != nil {
		return nil, 0, err
	}
	self, peers, leaves := slices.Index(places, o.own.FP), make([]participant, len(places)), make([]*identity.Leaf, len(places))
	if self < 0 {
		return nil, 0, fmt.Errorf("START does not name this node")
	}
	if j := start.Joins[self]; !bytes.Equal(j.Own, o.join.Own) || j.Sig != o.join.Sig {
		return nil, 0, fmt.Errorf("START has another JOIN of this node")
	}
	err := each(len(peers), func(i int) error {
		fp := places[i]
		if i == self {
			leaves[i] = o.seat.cfg.Identity.Leaf
			peers[i] = participant{own: o.own, bundle: o.own.Bundle}
			peers[i].Participant = session.Participant{FP: fp, Key: o.seat.cfg.Identity.Leaf.Key, Name: o.seat.cfg.Identity.Name()}
			return nil
		}
		check := o.seat.checkJoin
		if i >= n {
			check = o.seat.checkHelper
		}
		own, leaf, err := check(start.Common, start.Joins[i])
		if err != nil {
			return err
		}
		if own.FP != fp {
			return fmt.Errorf("START has the JOINs in another order than the participants")
		}
		leaves[i] = leaf
		o.seat.met.note(leaf.Name, func(k *Known) { k.Expires = leaf.NotAfter })
		peers[i] = participant{own: own, bundle: own.Bundle}
		peers[i].Participant = session.Participant{FP: fp, Key: leaf.Key, Name: leaf.Name}
		return nil
	})
	if err == nil {
		err = o.seat.checkTogether(o.common, leaves)
	}
	if err == nil {
		o.seat.learn(peers, n)
	}
	return peers, self, err
}

func agree(secret *ecdh.PrivateKey, e [32]byte) ([]byte, error) {
	if secret == nil {
		return nil, ErrWithdrawn
	}
	pub, err := ecdh.X25519().NewPublicKey(e[:])
	if err != nil {
		return nil, err
	}
	return secret.ECDH(pub) // refuses an all-zero result
}

// pairSecret is prk of a pair: HKDF-Extract (RFC 5869) with salt sid over the channel's key and the JOINs' shared secret.
func pairSecret(sid, k [32]byte, shared []byte) ([32]byte, error) {
	ikm := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(k)+4+len(shared)), uint32(len(k)))
	ikm = append(ikm, k[:]...)
	ikm = binary.BigEndian.AppendUint32(ikm, uint32(len(shared)))
	ikm = append(ikm, shared...)
	prk, err := hkdf.Extract(sha256.New, ikm, sid[:])
	clear(ikm)
	if err != nil {
		return [32]byte{}, err
	}
	defer clear(prk)
	return [32]byte(prk), nil
}

// prepare makes the session and starts to write the ledger line.
func (r *Run) prepare(job jobs.Job, ownJoin [32]byte) error {
	s, c := r.seat, r.common
	parts := make([]session.Participant, len(r.peers))
	line := jobs.Line{
		SID: r.sid, Job: job.ID, UUID: r.uuid, Own: ownJoin, State: jobs.LineStarted, Self: r.self, Parties: len(c.Parties),
		Notices: make([][]byte, len(r.peers)),
		Until:   r.begun.Add(time.Duration(c.LimitMS)*time.Millisecond + noticeHold),
	}
	positions, first := make([]int, len(c.Parties)), 0
	for i, p := range r.peers {
		parts[i] = p.Participant
		line.Participants = append(line.Participants, jobs.Participant{FP: [32]byte(p.FP), Key: [32]byte(p.Key), Name: p.Name})
		if i < len(positions) {
			if positions[i] = int(c.Positions[i]); positions[i] == 0 {
				first = i
			}
		}
		for _, fp := range c.Recipients {
			if fp == p.FP {
				line.Recipients = append(line.Recipients, i)
			}
		}
	}
	r.line, r.until = line, line.Until
	var err error
	r.session, err = session.New(session.Config{
		UUID: r.uuid, SID: r.sid, Layout: c.Layout, Participants: parts, Parties: len(c.Parties), Self: r.self,
		Positions: positions, Roles: roles(c, first), Recipients: line.Recipients, Budget: s.budget(c),
		Version: c.Version, Round: time.Duration(c.RoundMS) * time.Millisecond, Limit: time.Duration(c.LimitMS) * time.Millisecond,
		Started: r.begun, Rand: s.cfg.Rand, Link: r, Durable: r.durable, Hop: r.hop,
	})
	if err != nil {
		return err
	}
	r.written = make(chan struct{})
	go func() {
		defer close(r.written)
		stored, err := s.cfg.Ledger.CreateLine(context.Background(), r.line)
		if err != nil {
			r.writeErr = fmt.Errorf("writing the ledger: %w", err)
			return
		}
		r.line = stored
	}()
	return nil
}

// durable waits for the line "started"; nothing of this computation leaves before.
func (r *Run) durable() error {
	<-r.written
	return r.writeErr
}

// release ends a run that never began.
func (r *Run) release(o *Open) {
	r.seat.mu.Lock()
	defer r.seat.mu.Unlock()
	r.seat.early.release(o.common.UUID)
	delete(r.seat.starting, r.sid)
	for i := range r.peers {
		clear(r.peers[i].shared)
	}
}

// register makes the run known, opens the channels and takes in what came early.
func (r *Run) register() {
	s := r.seat
	s.mu.Lock()
	s.runs[r.sid] = r
	delete(s.starting, r.sid)
	early := s.early.take(r.uuid)
	s.early.release(r.uuid)
	s.mu.Unlock()
	for i := range r.peers {
		if i != r.self {
			r.openChannel(i)
		}
	}
	for from, messages := range early {
		for _, m := range messages {
			s.Deliver(r.uuid, from, m)
		}
	}
}
