// Package coordinator brings the parties of one computation together.
//
// A party that wants to compute sends a signed JOIN. The coordinator holds it until every party on its list has sent one with
// the same common part, and then publishes one START that consists of all of them. The formats JOIN, START, bundle, answer
// and LEAVE live here and are used by nodes and coordinator alike. A reader who wants to know what is decided starts at
// Match, which is a pure function; Table is the state around it, Service the NATS around that.
//
// Safety: a START is made of unexpired signed JOINs alone, one of each listed party, with byte-equal common parts, and no
// JOIN enters two STARTs of one coordinator; but no node relies on it, for each verifies every signature itself, serves its
// own JOIN at most once, and derives all keys from the hash of all JOINs, so that a coordinator that lies can only prevent or
// delay.
//
// Liveness: if all parties keep repeating JOINs that agree until they expire, and messages to and from one coordinator
// eventually arrive, then every party receives the START, whatever was lost on the way and however often the coordinator was
// restarted with empty memory.
//
// # What it sees
//
// Who computes which microprotocol with whom, when, with which parameters and recipients; names and certificates of the
// parties; hashes of the layouts of their vectors; public keys. Never data, inputs, shares, counts, channel keys or results:
// none of them is ever sent to it, and nothing that it is sent lets it compute them.
//
// # A coordinator that helps
//
// A computation may need a dealer: one who sends the evaluators random correlations, and learns nothing as long as it does not
// work together with one of them. Helper is such a place, with keys of its own; whoever runs the coordinator hands it one, and
// the coordinator does no more than to append its JOIN to a START (CheckRoles says who can be what). As dealer it knows the
// parties' masks in that computation and the shares that it sent. It receives no body of any computation, and no result.
//
// As opener it receives sums of all parties' numbers that no party sees, and announces what follows from them; as aggregator
// it receives the parties' vectors under masks, and sends back their total under one more that it does not know. It has one of
// these places in a computation, and never one beside that of a party.
//
// # Trust
//
// Names, and so subjects, come from verified certificates; a request proves nothing by where it came from. The name in its
// subject says only whose turn it takes, and a JOIN under another's name is refused: parties are served in turn, one message
// of each at a time, so that whoever floods the coordinator waits for itself. Disagreement
// counts only between parties that list each other, so that a stranger who guesses a UUID cannot fail a computation. Who is
// in conflict receives the other party's whole signed JOIN: nodes need not believe the coordinator about it and name the
// differing fields themselves (Differences). A listed party that has not joined yet hears of it when it does.
//
// # Repetition
//
// A party has one JOIN per UUID and list of parties. Only a JOIN with a larger time of issue replaces it; the same bytes
// again are answered again, with the START if and only if that very JOIN stands in it, and what has ended is remembered until
// two minutes after its expiry, so that a late copy opens nothing. The alternative, a counter of computations per UUID, needs
// clients to agree on a number that they do not have.
//
// State is memory only. Replicas under one identity share nothing: a START is a function of its JOINs, so two replicas that
// hear the same JOINs make the same START, and repetition carries every JOIN to each of them in time. A replica that still
// holds a JOIN which another one has started can offer it once more; the party whose JOIN it was answers with an ABORT, and
// the others try again. Where the coordinator helps, each replica signs a JOIN of its own, so their STARTs differ, and only
// the replica whose JOIN is in a START helps: of two STARTs of the same JOINs at most one completes, as before.
package coordinator
