package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/gateway"
	"github.com/weftmpc/weft/simon"
)

// How a gateway asks its node.
const (
	statusEvery = time.Second     // between two questions
	statusTime  = 2 * time.Second // for one answer
	statusOld   = 5 * time.Second // from when on an answer says nothing of now
)

// nodeView is what a gateway that is a process of its own knows of its node: the newest answer. Nobody waits for another one,
// so that a node which is slow holds no request up.
type nodeView struct {
	nc    *nats.Conn
	party string
	log   *slog.Logger

	last      atomic.Pointer[answered]
	directory directory
	told      string            // version of the node, for the log
	taken     func(simon.Guard) // a new guard
}

// answered is an answer, and when it came by the process's own clock.
type answered struct {
	status nodeStatus
	at     time.Time
}

// wrongParty says that a gateway is linked with another party's node.
type wrongParty struct{ want, have string }

func (e *wrongParty) Error() string {
	return fmt.Sprintf("node.url leads to the node of %s, and party of this configuration is %s", e.have, e.want)
}

// ask asks once, and takes over what is new.
func (v *nodeView) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	m, err := v.nc.RequestWithContext(ctx, broker.SubjectNode, nil)
	if err != nil {
		return err
	}
	var s nodeStatus
	if err := json.Unmarshal(m.Data, &s); err != nil {
		return fmt.Errorf("the node's answer cannot be read: is its version of weft another one? %w", err)
	}
	if s.Party != v.party {
		return &wrongParty{v.party, s.Party}
	}
	return v.take(s)
}

// take takes an answer over.
func (v *nodeView) take(s nodeStatus) error {
	before := v.last.Load()
	if before == nil || !reflect.DeepEqual(addresses(before.status.Parties), addresses(s.Parties)) {
		list, err := gateway.NewDirectory(v.party, addresses(s.Parties), false)
		if err != nil {
			return err
		}
		v.directory.list.Store(list)
		if before != nil {
			v.log.Info("the node's list of parties has changed", "parties", len(s.Parties))
		}
	}
	if s.Version != v.told {
		v.told = s.Version
		if s.Version != version() {
			v.log.Warn("the node has another version of weft: update the older one of the two", "node", s.Version, "gateway", version())
		}
	}
	v.last.Store(&answered{s, time.Now()})
	if v.taken != nil && (before == nil || before.status.Guard != s.Guard) {
		v.taken(s.Guard)
	}
	return nil
}

func addresses(parties []partyStatus) []gateway.Party {
	list := make([]gateway.Party, len(parties))
	for i, p := range parties {
		list[i] = gateway.Party{Name: p.Name, URLs: p.URLs}
	}
	return list
}

// run asks again and again until ctx ends.
func (v *nodeView) run(ctx context.Context) {
	away := false
	for pause(ctx, statusEvery) == nil {
		err := v.ask(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !away && time.Since(v.last.Load().at) > statusOld:
			away = true
			v.log.Warn("the node does not answer", "error", err)
		case err == nil && away:
			away = false
			v.log.Info("the node answers again")
		}
	}
}

// now is the newest answer; ok = false: it is too old to say anything of this moment.
func (v *nodeView) now() (s nodeStatus, ok bool) {
	last := v.last.Load()
	if last == nil {
		return s, false
	}
	return last.status, v.nc.IsConnected() && time.Since(last.at) < statusOld
}

// ready tells what keeps the party from computing.
func (v *nodeView) ready() error {
	s, ok := v.now()
	switch {
	case !v.nc.IsConnected():
		return errors.New("no connection to this party's node")
	case !ok:
		return errors.New("this party's node does not answer")
	case s.Missing != "":
		return errors.New(s.Missing)
	}
	return nil
}

// room tells why nothing new may be stored. What the node said last counts, also when it is old: the store is asked next.
func (v *nodeView) room() error {
	if s, _ := v.now(); s.Room != "" {
		return errors.New(s.Room)
	}
	return nil
}

// stats are the node's numbers; all but what is known without it is zero while it is away.
func (v *nodeView) stats() gateway.NodeStats {
	s, ok := v.now()
	if !ok {
		return gateway.NodeStats{Expires: s.Stats.Expires}
	}
	return s.Stats
}

// facts are what the node knows of a party.
func (v *nodeView) facts(party string) gateway.Facts {
	s, _ := v.now()
	for _, p := range s.Parties {
		if p.Name == party {
			return gateway.Facts{Organisation: p.Organisation, Seen: p.Seen, Expires: p.Expires}
		}
	}
	return gateway.Facts{}
}
