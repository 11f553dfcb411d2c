package broker_test

import (
	"testing"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
)

// What the operators' user may ask must not become something that the coordinator says to a party: the reply subject of a
// discovery request is the asker's choice.
func TestOperatorsCannotMakeTheCoordinatorSpeakToAParty(t *testing.T) {
	f := brokertest.Hub(t, "alice", "bob")
	serveCoordinator(t, f)
	start := listen(t, f.Conns["alice"], broker.StartSubject("alice"))
	ops := brokertest.Connect(t, f.Server, f.OpsKey)
	if err := ops.PublishRequest("$SRV.PING", broker.StartSubject("alice"), nil); err != nil {
		t.Fatal(err)
	}
	flush(t, ops)
	if _, err := ops.Request("$SRV.PING", nil, patience); err != nil { // answered after the other
		t.Fatal(err)
	}
	publish(t, f.Coordinator, broker.StartSubject("alice"), "real")
	if m := next(t, start); string(m.Data) != "real" {
		t.Errorf("the operator made the coordinator send alice %.40q", m.Data)
	}
}
