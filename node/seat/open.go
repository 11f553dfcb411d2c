package seat

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"time"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/coordinator"
)

// startGrace is how long after a JOIN's expiry a START with it is still answered with a notice.
const startGrace = 2 * time.Minute

// ErrWithdrawn says that an open JOIN was withdrawn, or that its START has been served.
var ErrWithdrawn = errors.New("seat: the JOIN is not open any more")

// Open is a JOIN that waits for its START. Its owner receives from Starts and Answers, and calls Begin or Withdraw once.
type Open struct {
	seat   *Seat
	common coordinator.Common
	join   coordinator.Join
	own    coordinator.Own
	raw    []byte   // the JOIN, encoded
	key    [32]byte // hash of own part and signature: the name of this JOIN in the seat

	// Log is for lines about this JOIN and the run that it becomes; its owner may set it before Begin to one that says more.
	Log *slog.Logger

	// Starts gets candidate STARTs; Begin checks them. Answers gets the coordinator's other answers.
	Starts  chan []byte
	Answers chan coordinator.Answer

	secret *ecdh.PrivateKey // nil once started or withdrawn; the seat's lock guards it
}

// Propose signs a JOIN for the common part and opens it. issued (unix ns) must be larger than that of every earlier JOIN
// of this seat for the computation; the JOIN expires at expiry, or with the current bundle if that is sooner.
func (s *Seat) Propose(common coordinator.Common, issued int64, expiry time.Time) (*Open, error) {
	o, err := s.sign(common, issued, expiry)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[o.key] = o
	s.early.expect(common.UUID, s.strangers(common))
	return o, nil
}

// Decline signs a JOIN as Propose does and erases its secret at once: it is never open, and a START with it is answered with
// ABORT "denied". Its owner calls Send, which tells the others as soon as they have joined, too. After a restart the answer is
// "withdrawn".
func (s *Seat) Decline(common coordinator.Common, issued int64, expiry time.Time) (*Open, error) {
	o, err := s.sign(common, issued, expiry)
	if err != nil {
		return nil, err
	}
	o.secret = nil
	now := s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.declined, func(_ [32]byte, until time.Time) bool { return now.After(until.Add(startGrace)) })
	s.declined[o.key] = o.Expiry()
	return o, nil
}

// sign makes a JOIN that nobody knows of.
func (s *Seat) sign(common coordinator.Common, issued int64, expiry time.Time) (*Open, error) {
	now := s.cfg.Now()
	bundle, err := s.channels.Bundle(now)
	if err != nil {
		return nil, fmt.Errorf("making a channel bundle: %w", err)
	}
	decoded, err := coordinator.DecodeBundle(bundle)
	if err != nil {
		return nil, fmt.Errorf("reading the own bundle: %w", err)
	}
	raw, err := common.Encode()
	if err != nil {
		return nil, err
	}
	secret, err := s.keys.take(now)
	if err != nil {
		return nil, err
	}
	own := coordinator.Own{
		FP: s.cfg.Identity.FP(), Issued: issued, Bundle: bundle,
		Expiry: min(expiry.UnixNano(), decoded.NotAfter, issued+int64(time.Hour)),
	}
	copy(own.E[:], secret.PublicKey().Bytes())
	if err := s.nonce(&own); err != nil {
		return nil, err
	}
	o := &Open{
		seat: s, common: common, own: own, secret: secret, Log: s.cfg.Logger.With("computation", common.UUID),
		Starts: make(chan []byte, 4), Answers: make(chan coordinator.Answer, 4),
	}
	o.join.Common = raw
	o.join.Own = own.Encode()
	copy(o.join.Sig[:], s.cfg.Identity.Sign(identity.ContextJoin, coordinator.SigningBytes(raw, o.join.Own)))
	o.raw, o.key = o.join.Encode(), openKey(o.join.Signed)
	return o, nil
}

func openKey(j coordinator.Signed) [32]byte {
	h := sha256.New()
	h.Write(j.Own)
	h.Write(j.Sig[:])
	return [32]byte(h.Sum(nil))
}

// nonce fills the JOIN's nonce: 16 random bytes, and a tag under the store key that only this state folder can make.
func (s *Seat) nonce(own *coordinator.Own) error {
	if _, err := io.ReadFull(s.cfg.Rand, own.Nonce[:16]); err != nil {
		return err
	}
	copy(own.Nonce[16:], s.nonceTag(own))
	return nil
}

func (s *Seat) nonceTag(own *coordinator.Own) []byte {
	m := hmac.New(sha256.New, s.cfg.StoreKey)
	m.Write([]byte("weft/v1/own-nonce"))
	m.Write(own.Nonce[:16])
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(own.Issued)))
	return m.Sum(nil)[:16]
}

// Expiry is the time after which nobody accepts this JOIN.
func (o *Open) Expiry() time.Time { return time.Unix(0, o.own.Expiry).UTC() }

// Send hands the JOIN to the coordinator and takes the answer in.
func (o *Open) Send(ctx context.Context) error {
	answer, err := o.seat.cfg.Fabric.Join(ctx, o.raw)
	if err != nil {
		return err
	}
	a, err := coordinator.DecodeAnswer(answer)
	switch {
	case err != nil: // as if it had not come
	case a.Kind == coordinator.AnswerStart:
		o.seat.deliverStart(a.Start)
	default: // meant for this JOIN, and for no other of the same uuid
		o.answer(a)
	}
	return nil
}

// Withdraw erases the JOIN's secret, then tells the coordinator. It reports false where the JOIN was not open any more.
func (o *Open) Withdraw() bool {
	if o.take(nil) == nil {
		return false
	}
	s := o.seat
	s.mu.Lock()
	s.early.release(o.common.UUID)
	s.mu.Unlock()
	for len(o.Starts) > 0 { // the others of a START that came too late are told at once
		s.deliverStart(<-o.Starts)
	}
	leave := coordinator.Leave{UUID: o.common.UUID, FP: o.own.FP, Join: sha256.Sum256(o.raw)}
	copy(leave.Sig[:], s.cfg.Identity.Sign(identity.ContextLeave, leave.SigningBytes()))
	if err := s.cfg.Fabric.Leave(leave.Encode()); err != nil {
		o.Log.Debug("leave not sent", "error", err)
	}
	return true
}

// take closes the JOIN and returns its secret, once. The computation that it is used up for counts as running from the same
// moment, so that a START that comes twice is never answered with ABORT.
func (o *Open) take(sid *[32]byte) *ecdh.PrivateKey {
	o.seat.mu.Lock()
	defer o.seat.mu.Unlock()
	if o.secret == nil {
		return nil
	}
	if sid != nil {
		o.seat.starting[*sid] = true
	}
	delete(o.seat.open, o.key)
	secret := o.secret
	o.secret = nil
	return secret
}

func (o *Open) answer(a coordinator.Answer) {
	select {
	case o.Answers <- a:
	default: // the coordinator repeats its answer at the next JOIN
	}
}

// deliverStart finds the JOIN that a START carries, or answers for one that is over.
func (s *Seat) deliverStart(b []byte) {
	start, err := coordinator.DecodeStart(b)
	if err != nil {
		return
	}
	mine := -1
	for i, j := range start.Joins {
		if bytes.HasPrefix(j.Own, s.ownPrefix()) {
			mine = i
		}
	}
	if mine < 0 {
		return
	}
	s.mu.Lock()
	o := s.open[openKey(start.Joins[mine])]
	s.mu.Unlock()
	if o == nil {
		if !s.cfg.Helper { // a helper may have forgotten what it has confirmed
			s.refuseStart(start, start.Joins[mine])
		}
		return
	}
	select {
	case o.Starts <- b:
	default: // it comes again with the answer to the next JOIN
	}
}

// ownPrefix is what every own part of this seat begins with.
func (s *Seat) ownPrefix() []byte {
	fp := s.cfg.Identity.FP()
	return fp[:]
}

// refuseStart answers a START whose own JOIN is not open: the participants learn that this computation will not happen,
// or how it ended. The order of the cases is part of the argument that nobody can complete what another one retries.
func (s *Seat) refuseStart(start coordinator.Start, mine coordinator.Signed) {
	own, err := coordinator.DecodeOwn(mine.Own)
	if err != nil {
		return
	}
	if s.cfg.Now().UnixNano() > own.Expiry+int64(startGrace) {
		return
	}
	double := !hmac.Equal(own.Nonce[16:], s.nonceTag(&own))
	if double && !s.allow("double") {
		return
	}
	// The tag does not cover the rest: without this, whoever has seen one JOIN could have ABORTs signed for anything.
	if identity.Verify(s.cfg.Identity.Leaf.Key, identity.ContextJoin, coordinator.SigningBytes(start.Common, mine.Own), mine.Sig[:]) != nil {
		return
	}
	if double { // signed by another copy of this node: that one answers
		s.warn("double", "another process uses this party's identity, or has used it over another state folder: if it runs, stop one of the two")
		return
	}
	common, err := coordinator.DecodeCommon(start.Common)
	if err != nil {
		return
	}
	sid := start.SID()
	s.mu.Lock()
	if own.Issued < s.horizon {
		s.mu.Unlock()
		return
	}
	running := s.runs[sid] != nil || s.starting[sid]
	code := CodeWithdrawn
	if _, ok := s.declined[openKey(mine)]; ok {
		code = CodeDenied
	}
	forgotten := own.Issued > s.forgotten.after && own.Issued < s.forgotten.before
	s.mu.Unlock()
	if running {
		return
	}
	if !s.allow("start/" + common.UUID.String()) {
		return
	}
	s.noticeFor(common, sid, code, forgotten)
}

// Conflict is what another party asked for under the same uuid.
type Conflict struct {
	Party       string
	Issued      time.Time
	Differences []coordinator.Difference

	// What it asked for, as its signed JOIN says.
	FP            identity.Fingerprint
	Microprotocol string
	Version       uint32
	Parameters    []byte
}

// Error names what differs, here first.
func (c *Conflict) Error() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s asked for something else under this uuid at %s:", c.Party, c.Issued.Format("15:04:05 MST"))
	for i, d := range c.Differences {
		if i > 0 {
			b.WriteByte(';')
		}
		fmt.Fprintf(&b, " %s is %s here and %s at %s", d.Name, d.Mine, d.Theirs, c.Party)
	}
	return b.String()
}

// Conflict checks the JOIN that the coordinator shows as the reason why this one cannot start. It returns nil where that
// JOIN is no reason: not signed by an allowed party, expired, of another uuid, for other parties, or in agreement.
func (o *Open) Conflict(a coordinator.Answer) *Conflict {
	other, err := coordinator.DecodeJoin(a.Other)
	if err != nil {
		return nil
	}
	common, err := coordinator.DecodeCommon(other.Common)
	if err != nil || common.UUID != o.common.UUID || bytes.Equal(other.Common, o.join.Common) {
		return nil
	}
	own, _, err := o.seat.checkJoin(other.Common, other.Signed)
	if err != nil || !o.common.Lists(own.FP) { // it need not list this party: that may be the difference
		return nil
	}
	return &Conflict{
		Party: o.seat.Name(own.FP), Issued: time.Unix(0, own.Issued).UTC(),
		Differences: coordinator.Differences(o.common, common, o.seat.Name),
		FP:          own.FP, Microprotocol: common.Microprotocol, Version: common.Version, Parameters: bytes.Clone(common.Parameters),
	}
}

// checkJoin verifies one signed JOIN by itself: allow-list, bundle, times, certificate, signature. Bundles and certificates
// that were verified before are known by their hash, so what is left of the public-key operations is the JOIN's signature;
// whether they are valid now, and who is allowed, is looked at each time.
func (s *Seat) checkJoin(common []byte, j coordinator.Signed) (coordinator.Own, *identity.Leaf, error) {
	own, err := coordinator.DecodeOwn(j.Own)
	if err != nil {
		return own, nil, err
	}
	peer, ok := s.peer(own.FP)
	if !ok && !s.cfg.Helper {
		return own, nil, fmt.Errorf("fingerprint %s is not among the configured parties", own.FP)
	}
	if !ok {
		peer.Name = "party " + own.FP.String()[:16]
	}
	own, leaf, err := s.checkSigned(common, j, own, peer.Name, identity.UsageParty)
	if err == nil && ok && leaf.Name != peer.Name {
		err = fmt.Errorf("certificate of %s is issued to %s", peer.Name, leaf.Name)
	}
	return own, leaf, err
}

// checkHelper verifies the JOIN of a helper that is no party. Who it may be was decided when the own JOIN was signed, which
// names its fingerprint.
func (s *Seat) checkHelper(common []byte, j coordinator.Signed) (coordinator.Own, *identity.Leaf, error) {
	own, err := coordinator.DecodeOwn(j.Own)
	if err != nil {
		return own, nil, err
	}
	return s.checkSigned(common, j, own, "the helper", identity.UsageDealer)
}

func (s *Seat) checkSigned(common []byte, j coordinator.Signed, own coordinator.Own, who string, usage identity.Usage) (coordinator.Own, *identity.Leaf, error) {
	now := s.cfg.Now()
	bundle, _, err := s.channels.Check(own.Bundle, now)
	if err != nil {
		return own, nil, fmt.Errorf("bundle of %s: %w", who, err)
	}
	leaf, err := s.leaves.VerifyAs(usage, bundle.Leaf, now)
	if err != nil {
		return own, nil, fmt.Errorf("certificate of %s: %w", who, err)
	}
	if err := coordinator.CheckOwn(own, bundle, leaf, now); err != nil {
		return own, nil, err
	}
	if err := identity.Verify(leaf.Key, identity.ContextJoin, coordinator.SigningBytes(common, j.Own), j.Sig[:]); err != nil {
		return own, nil, fmt.Errorf("signature of %s: %w", who, err)
	}
	return own, leaf, nil
}
