package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/node/seat"
	"github.com/weftmpc/weft/simon"
)

// Some parameters a party knows only from another one, such as the shape of a matrix that the other has. The coordinator starts
// nothing before all requests agree; where they differ it shows each party another one's signed JOIN. A party whose
// microprotocol can complete its own request from that withdraws it and asks anew with what it has read. Nothing else is taken
// from the other request, and all parties sign the same in the end.

// errCompleted ends an open request that lacked what another party has said; it is sent again.
var errCompleted = errors.New("the request lacked what another party has said")

// mostCompleted bounds how often one job's request is sent again for what others say.
const mostCompleted = 8

// parameters are those of the attempt.
func (r *runner) parameters() []byte {
	if r.full != nil {
		return r.full
	}
	return r.job.Parameters
}

// complete lets the microprotocol write into the parameters what follows from this party's place and data.
func (r *runner) complete() error {
	if r.m.Complete == nil || r.full != nil {
		return nil
	}
	full, err := r.placed(nil, 0)
	if err == nil {
		r.full = full
	}
	return err
}

// placed asks the microprotocol for the parameters of this party in its place, knowing those of another one or none.
func (r *runner) placed(other []byte, at int) ([]byte, error) {
	return guarded(func() ([]byte, error) {
		return r.m.Complete(simon.Placed{
			Position: r.job.Self, Parties: len(r.job.Parties), Parameters: r.job.Parameters, Input: r.input, Other: other, OtherPosition: at,
		})
	})
}

// completedBy is errCompleted where err shows another party's request that says what this one lacks; else it is err.
func (r *runner) completedBy(err error) error {
	var conflict *seat.Conflict
	if r.m.Complete == nil || r.asked >= mostCompleted || !errors.As(err, &conflict) {
		return err
	}
	at := slices.IndexFunc(r.parties, func(p seat.Peer) bool { return p.FP == conflict.FP })
	if conflict.Microprotocol != r.m.Name || conflict.Version != r.m.Version || at < 0 {
		return err
	}
	full, problem := r.placed(conflict.Parameters, at)
	if problem != nil {
		return problem
	}
	// What says nothing new differs for good, unless it is what was read before and was told a second time, late, or lacks only
	// what this party has said: the other one, which may have been restarted, completes it then.
	if bytes.Equal(full, r.parameters()) && !r.heard[conflict.FP].Equal(conflict.Issued) && !lacking(conflict.Parameters, full) {
		return err
	}
	if r.heard == nil {
		r.heard = map[identity.Fingerprint]time.Time{}
	}
	r.full, r.heard[conflict.FP] = full, conflict.Issued
	r.asked++
	return errCompleted
}

// lacking says whether canonical parameters are others but for what they leave open.
func lacking(parameters, others []byte) bool {
	var p, o map[string]json.RawMessage
	if json.Unmarshal(parameters, &p) != nil || json.Unmarshal(others, &o) != nil || len(p) != len(o) {
		return false
	}
	for name, value := range p {
		other, there := o[name]
		if !there || !bytes.Equal(value, other) && string(value) != "null" {
			return false
		}
	}
	return true
}
