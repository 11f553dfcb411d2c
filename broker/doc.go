// Package broker is where weft meets NATS: the names of all subjects and buckets, the description of a broker and the
// text it is rendered to, an embedded server, and connections.
//
// A reader starts at subjects.go for what travels where, at Hub and Private for the two brokers there are, and at Start.
//
// Trust ends at NATS accounts. On a hub each party has an account of its own, joined to the others' by one private
// export and import per ordered pair, and to the coordinator's. A single account with permissions for each user is a
// shorter configuration and was rejected: there, a request whose reply subject is another party's inbox makes the hub
// publish into it, and everybody's interest shows everybody's computations. The permissions of users are there all the
// same, so that a party's own mistakes stop at its own connection. On a private broker the ledger has an account of its own
// for the same reason: in the one of jobs and objects, gateways that are processes of their own are users, too.
//
// Every broker, in a test, in the demo or in production, starts from the text that Config.Render writes and that a stock
// nats-server reads as well; only the key of the store, the handling of signals and the absence of a socket are set in code.
package broker
