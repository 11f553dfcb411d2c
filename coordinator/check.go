package coordinator

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/identity"
)

// Bounds on times. A JOIN is short-lived because whoever holds it can answer with a START until it expires.
const (
	MaxJoinValidity   = time.Hour
	MaxBundleValidity = 2*time.Hour + 2*time.Minute
	ClockTolerance    = 2 * time.Minute
)

// Refusal is why a JOIN is not held.
type Refusal struct {
	Code uint16
	Text string // one sentence for the party's operator
}

func (r *Refusal) Error() string { return r.Text }

func refuse(code uint16, format string, a ...any) *Refusal {
	return &Refusal{Code: code, Text: fmt.Sprintf(format, a...)}
}

func (r *Refusal) answer(id uuid.UUID) Answer {
	return Answer{Kind: AnswerRefused, UUID: id, Code: r.Code, Text: printable(r.Text, maxText)}
}

// CheckOwn checks what a JOIN's own part, its bundle and the certificate in it say about each other and about the time:
// one fingerprint in all of them, expiry within the bundle's validity and that within the certificate's, none of them too
// long, nothing from the future, nothing expired. Signatures and the certificate's chain are the caller's. The error is a
// *Refusal.
func CheckOwn(o Own, b Bundle, l *identity.Leaf, now time.Time) error {
	if r := checkOwn(o, b, l, now); r != nil {
		return r
	}
	return nil
}

func checkOwn(o Own, b Bundle, l *identity.Leaf, now time.Time) *Refusal {
	issued, expiry := time.Unix(0, o.Issued), time.Unix(0, o.Expiry)
	switch {
	case o.FP != b.FP || o.FP != l.FP:
		return refuse(CodeMalformed, "the JOIN, its channel bundle and its certificate are not of one key")
	case expiry.Sub(issued) > MaxJoinValidity:
		return refuse(CodeExpired, "the JOIN of %s is valid for %s; at most %s is allowed", l.Name, seconds(expiry.Sub(issued)), MaxJoinValidity)
	case issued.Sub(now) > ClockTolerance:
		return refuse(CodeClock, "clock of %s differs by %s: it is ahead; synchronise the clocks", l.Name, seconds(issued.Sub(now)))
	case !now.Before(expiry) && now.Sub(expiry) > ClockTolerance:
		return refuse(CodeClock, "clock of %s differs by %s: it is behind, unless the JOIN is an old one; it expired %s ago; synchronise the clocks",
			l.Name, seconds(now.Sub(issued)), seconds(now.Sub(expiry)))
	case !now.Before(expiry):
		return refuse(CodeExpired, "the JOIN of %s expired at %s, %s ago", l.Name, expiry.UTC().Format(time.RFC3339), seconds(now.Sub(expiry)))
	case b.NotAfter-b.NotBefore > int64(MaxBundleValidity):
		return refuse(CodeMalformed, "the channel bundle of %s is valid for %s; at most %s is allowed", l.Name,
			seconds(time.Duration(b.NotAfter-b.NotBefore)), MaxBundleValidity)
	case time.Unix(0, b.NotBefore).Sub(now) > ClockTolerance:
		return refuse(CodeClock, "clock of %s differs: its channel bundle becomes valid in %s only; synchronise the clocks", l.Name,
			seconds(time.Unix(0, b.NotBefore).Sub(now)))
	case o.Expiry > b.NotAfter:
		return refuse(CodeMalformed, "the JOIN of %s outlives its channel bundle", l.Name)
	case time.Unix(0, b.NotAfter).After(l.NotAfter):
		return refuse(CodeMalformed, "the channel bundle of %s outlives its certificate, which ends at %s: renew the certificate", l.Name,
			l.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

func seconds(d time.Duration) time.Duration { return d.Round(time.Second) }

// candidate is a JOIN that passed all checks which need no state of the table.
type candidate struct {
	entry Entry
	leaf  *identity.Leaf
}

// parse decodes the whole JOIN and checks what is free of cryptography.
func (t *Table) parse(b []byte) (c candidate, bundle Bundle, r *Refusal) {
	j, err := DecodeJoin(b)
	if err != nil {
		return c, bundle, refuse(CodeMalformed, "%v", err)
	}
	common, err := DecodeCommon(j.Common)
	if err != nil {
		return c, bundle, refuse(CodeMalformed, "%v", err)
	}
	c.entry.Common = common // the answer names the UUID
	own, err := DecodeOwn(j.Own)
	if err != nil {
		return c, bundle, refuse(CodeMalformed, "%v", err)
	}
	if bundle, err = DecodeBundle(own.Bundle); err != nil {
		return c, bundle, refuse(CodeMalformed, "%v", err)
	}
	c.entry = NewEntry(j, common, own)
	switch {
	case common.Coordinator != t.self:
		return c, bundle, refuse(CodeCoordinator, "this JOIN is meant for the coordinator %s, this one is %s: compare the parties' configurations",
			common.Coordinator, t.self)
	case len(common.Parties) > t.config.MaxParties:
		return c, bundle, refuse(CodeParties, "%d parties; this coordinator serves computations of up to %d", len(common.Parties), t.config.MaxParties)
	case !common.Lists(own.FP):
		return c, bundle, refuse(CodeMalformed, "the signer of this JOIN is not in its own list of parties")
	}
	return c, bundle, t.checkRoles(&common)
}

// verify does the cryptography: the certificate's chain unless it is known, and one Ed25519 signature.
//
// The bundle's own signature is left to the parties. The JOIN's covers it, so a bad one is its signer's doing.
func (t *Table) verify(c *candidate, bundle Bundle, now time.Time) *Refusal {
	leaf, err := t.leaves.Verify(bundle.Leaf, now)
	switch {
	case errors.Is(err, identity.ErrUnreadable):
		return refuse(CodeMalformed, "%v", err)
	case err != nil:
		return refuse(CodeCertificate, "%v", err)
	}
	e := &c.entry
	if r := checkOwn(e.Own, bundle, leaf, now); r != nil {
		return r
	}
	if err := identity.Verify(leaf.Key, identity.ContextJoin, SigningBytes(e.Join.Common, e.Join.Own), e.Join.Sig[:]); err != nil {
		return refuse(CodeSignature, "the JOIN of %s: %v", leaf.Name, err)
	}
	c.leaf = leaf
	return nil
}
