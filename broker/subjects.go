package broker

import (
	"strings"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker/identity"
)

// The subjects of the coordinator's service.
const (
	SubjectStatus = "weft.coordinator.status"

	// ServiceCoordinator is the coordinator's name as a NATS micro service.
	ServiceCoordinator = "weft-coordinator"
)

// The subjects of a party's private account that are none of its store's.
const (
	// SubjectNode is where a node tells the gateways of its party what they cannot know by themselves.
	SubjectNode = "weft.node.status"

	// ServiceNode is the node's name as a NATS micro service in its party's private account.
	ServiceNode = "weft-node"

	subjectsNode    = "weft.node.>"
	subjectsService = "weft.service."
)

// ServiceSubject is where a micro service of the house answers in its party's private account: its name, and below it what
// it likes.
func ServiceSubject(service, rest string) string { return subjectsService + service + "." + rest }

// The buckets of a party's private account, which Provision makes, and that of the ledger's account.
const (
	BucketJobs    = "weft_jobs"
	BucketObjects = "weft_objects"
	StoreBodies   = "weft_bodies"

	BucketSids = "weft_sids"
)

const (
	subjectsShare       = "weft.c."
	subjectsCoordinator = "weft.coordinator.>"
	subjectsJoin        = "weft.coordinator.join."
	subjectsLeave       = "weft.coordinator.leave."
	subjectsStart       = "weft.start."
	subjectsEvent       = "weft.event."
	subjectsInboxes     = "_INBOX."
	subjectsInbox       = subjectsInboxes + ">"
	subjectsDiscovery   = "$SRV.>"
	subjectsRewritten   = "_R_." // of the server, for requests from another account; no client may name them
)

// Share is the subject of everything that the party from sends to the party to in the computation uuid. The names are
// tokens of their own, so that a broker can pin a party to its name; it proves nothing, the message itself does.
func Share(uuid, to, from string) string { return subjectsShare + uuid + "." + to + "." + from }

// ShareInbox is the one standing subscription of a party: all computations, all senders. A subscription per computation
// would lose the first messages, and show its UUID to others.
func ShareInbox(self string) string { return Share("*", self, "*") }

// ParseShare takes the subject of a message apart: a UUID in its lower-case form and two names.
func ParseShare(subject string) (computation, to, from string, ok bool) {
	rest, ok := strings.CutPrefix(subject, subjectsShare)
	t := strings.Split(rest, ".")
	if !ok || len(t) != 3 || identity.CheckName(t[1]) != nil || identity.CheckName(t[2]) != nil {
		return "", "", "", false
	}
	if u, err := uuid.Parse(t[0]); err != nil || u.String() != t[0] {
		return "", "", "", false
	}
	return t[0], t[1], t[2], true
}

// JoinSubject is where a party sends its JOINs, "*" for those of all parties. It names the party, so that the coordinator
// can serve every party in turn before it looks at a message; the JOIN itself proves who signed it.
func JoinSubject(party string) string { return subjectsJoin + party }

// LeaveSubject is where a party sends its LEAVEs, "*" for those of all parties.
func LeaveSubject(party string) string { return subjectsLeave + party }

// StartSubject is where the coordinator answers a party.
func StartSubject(party string) string { return subjectsStart + party }

// EventSubject is where a party tells its operators that something of the kind happened; no data, no counts.
func EventSubject(party, kind string) string { return subjectsEvent + party + "." + kind }
