package coordinator

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/identity"
)

// formatVersion is the first byte of every versioned format here.
const formatVersion = 1

// Bounds of the formats; decoders refuse what lies outside.
const (
	MinParties       = 2
	MaxParties       = 128
	MaxParameters    = 64 << 10 // bytes
	MaxMicroprotocol = 64       // bytes, printable ASCII without space
	maxHelpers       = 3        // dealer, opener, aggregator where they are no parties
	maxParticipants  = MaxParties + maxHelpers

	minCommon = 1 + 16 + 4 + 1 + 4 + 4 + 4 + 4 + 32 + 2 + MinParties*34 + 5*32 + 2 + 32 + 32
	maxCommon = 1 + 16 + 4 + MaxMicroprotocol + 4 + 4 + MaxParameters + 4 + 4 + 32 + 2 + MaxParties*34 + 5*32 + 2 + maxParticipants*32 + 32
)

// Common is the part of a computation that all participants sign alike.
//
//	u8 1 | uuid[16] | LP(microprotocol) | u32 version | LP(parameters) | u32 round_ms | u32 limit_ms | layout[32]
//	| u16 n | n x fp[32] ascending | n x u16 position | S0 S1 D O A fp[32] each | u16 r | r x fp[32] ascending | coordinator fp[32]
//
// Integers are big-endian; LP is a u32 length in bytes before the field.
type Common struct {
	UUID          uuid.UUID
	Microprotocol string // 1 to MaxMicroprotocol bytes
	Version       uint32 // of the microprotocol
	Parameters    []byte // RFC 8785 JSON with defaults filled in, at most MaxParameters
	RoundMS       uint32 // time-out of one message step, milliseconds, not zero
	LimitMS       uint32 // time limit of the computation, milliseconds, not zero
	Layout        [32]byte

	Parties   []identity.Fingerprint // MinParties to MaxParties, strictly ascending
	Positions []uint16               // Positions[i] is the index of Parties[i] in the clients' list of nodes; a permutation

	S0, S1, Dealer, Opener, Aggregator identity.Fingerprint // zero: not used

	Recipients  []identity.Fingerprint // participants that receive the result: not empty, strictly ascending
	Coordinator identity.Fingerprint
}

// Encode returns the bytes that are hashed and signed. It refuses what DecodeCommon would refuse.
func (c Common) Encode() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("encoding the common part of a JOIN: %w", err)
	}
	return c.encode(), nil
}

func (c Common) encode() []byte {
	b := make([]byte, 0, minCommon+len(c.Microprotocol)+len(c.Parameters)+34*len(c.Parties)+32*len(c.Recipients))
	b = append(b, formatVersion)
	b = append(b, c.UUID[:]...)
	b = appendLP(b, []byte(c.Microprotocol))
	b = binary.BigEndian.AppendUint32(b, c.Version)
	b = appendLP(b, c.Parameters)
	b = binary.BigEndian.AppendUint32(b, c.RoundMS)
	b = binary.BigEndian.AppendUint32(b, c.LimitMS)
	b = append(b, c.Layout[:]...)
	b = appendFingerprints(b, c.Parties)
	for _, p := range c.Positions {
		b = binary.BigEndian.AppendUint16(b, p)
	}
	for _, role := range c.roles() {
		b = append(b, role[:]...)
	}
	b = appendFingerprints(b, c.Recipients)
	return append(b, c.Coordinator[:]...)
}

// DecodeCommon reads the common part and checks every bound of it. Parameters shares memory with b.
func DecodeCommon(b []byte) (Common, error) {
	var c Common
	r := reader{b: b}
	r.version()
	r.into(c.UUID[:])
	c.Microprotocol = string(r.lp("microprotocol", 1, MaxMicroprotocol))
	c.Version = r.u32()
	c.Parameters = r.lp("parameters", 0, MaxParameters)
	c.RoundMS, c.LimitMS = r.u32(), r.u32()
	r.into(c.Layout[:])
	c.Parties = r.fingerprints("parties", MinParties, MaxParties)
	if raw := r.take(2 * len(c.Parties)); raw != nil {
		c.Positions = make([]uint16, len(c.Parties))
		for i := range c.Positions {
			c.Positions[i] = binary.BigEndian.Uint16(raw[2*i:])
		}
	}
	for _, role := range []*identity.Fingerprint{&c.S0, &c.S1, &c.Dealer, &c.Opener, &c.Aggregator} {
		r.into(role[:])
	}
	c.Recipients = r.fingerprints("recipients", 1, maxParticipants)
	r.into(c.Coordinator[:])
	if r.err == nil && len(r.b) == 0 {
		r.err = c.check()
	}
	if err := r.end("the common part of a JOIN"); err != nil {
		return Common{}, err
	}
	return c, nil
}

func (c *Common) roles() [5]identity.Fingerprint {
	return [5]identity.Fingerprint{c.S0, c.S1, c.Dealer, c.Opener, c.Aggregator}
}

// Helpers lists the participants that are no parties, in the order in which their own-parts follow the parties' in a START:
// dealer, opener, aggregator, each once.
func (c Common) Helpers() []identity.Fingerprint {
	var hs []identity.Fingerprint
	for _, fp := range []identity.Fingerprint{c.Dealer, c.Opener, c.Aggregator} {
		if fp != (identity.Fingerprint{}) && !c.Lists(fp) && !slices.Contains(hs, fp) {
			hs = append(hs, fp)
		}
	}
	return hs
}

// Lists says whether fp is one of the parties.
func (c *Common) Lists(fp identity.Fingerprint) bool { return listed(c.Parties, fp) }

func (c *Common) check() error {
	if n := len(c.Microprotocol); n < 1 || n > MaxMicroprotocol {
		return fmt.Errorf("microprotocol: %d bytes; want 1 to %d", n, MaxMicroprotocol)
	}
	for _, x := range []byte(c.Microprotocol) {
		if x < 0x21 || x > 0x7e {
			return errors.New("microprotocol: not printable ASCII without spaces")
		}
	}
	if n := len(c.Parameters); n > MaxParameters {
		return fmt.Errorf("parameters: %d bytes; at most %d", n, MaxParameters)
	}
	if c.RoundMS == 0 || c.LimitMS == 0 {
		return errors.New("round time-out and time limit must not be zero")
	}
	if n := len(c.Parties); n < MinParties || n > MaxParties {
		return fmt.Errorf("parties: %d; want %d to %d", n, MinParties, MaxParties)
	}
	if !ascending(c.Parties) {
		return errors.New("parties: not strictly ascending by fingerprint")
	}
	if err := checkPositions(c.Positions, len(c.Parties)); err != nil {
		return err
	}
	if len(c.Recipients) == 0 {
		return errors.New("recipients: none; name at least one")
	}
	if !ascending(c.Recipients) {
		return errors.New("recipients: not strictly ascending by fingerprint")
	}
	helpers := c.Helpers()
	for _, fp := range c.Recipients {
		if !c.Lists(fp) && !slices.Contains(helpers, fp) {
			return fmt.Errorf("recipients: %s does not take part", fp)
		}
	}
	return nil
}

func checkPositions(ps []uint16, n int) error {
	if len(ps) != n {
		return fmt.Errorf("positions: %d for %d parties", len(ps), n)
	}
	seen := make([]bool, n)
	for _, p := range ps {
		if int(p) >= n || seen[p] {
			return fmt.Errorf("positions: not a permutation of 0 to %d", n-1)
		}
		seen[p] = true
	}
	return nil
}

func (r *reader) fingerprints(name string, least, most int) []identity.Fingerprint {
	n := int(r.u16())
	if r.err != nil {
		return nil
	}
	if n < least || n > most {
		r.fail("%s: %d; want %d to %d", name, n, least, most)
		return nil
	}
	raw := r.take(32 * n)
	if raw == nil {
		return nil
	}
	fps := make([]identity.Fingerprint, n)
	for i := range fps {
		copy(fps[i][:], raw[32*i:])
	}
	return fps
}

func appendFingerprints(b []byte, fps []identity.Fingerprint) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(fps)))
	for i := range fps {
		b = append(b, fps[i][:]...)
	}
	return b
}

// ascending says whether fps is sorted without repetition.
func ascending(fps []identity.Fingerprint) bool {
	for i := 1; i < len(fps); i++ {
		if slices.Compare(fps[i-1][:], fps[i][:]) >= 0 {
			return false
		}
	}
	return true
}

// listed searches an ascending list.
func listed(fps []identity.Fingerprint, fp identity.Fingerprint) bool {
	_, ok := slices.BinarySearchFunc(fps, fp, func(a, b identity.Fingerprint) int { return slices.Compare(a[:], b[:]) })
	return ok
}
