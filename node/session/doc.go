// Package session is the engine of one computation at one seat: it carries simon's protocols over datagrams that may be
// lost, repeated, reordered or forged.
//
// It is a state machine without sockets and clock. Bytes leave through Link; Deliver and Tick feed it. Play runs a
// protocol over it and returns what was opened, the transcript hash and the result hash; Commit then counts the signed
// notices that turn an outcome into a result.
//
// Safety: no two different bodies leave for one label, no key meets a nonce twice, and nothing is used whose sender has
// not the same transcript as this seat. Bytes that do not authenticate are counted and dropped, never answered with an
// abort, or the broker could end any computation.
//
// Liveness: as long as each message comes through in one of the repeated tries before the round time-out, Play ends with
// the result. The receiver drives: it knows what it lacks and asks for it; the sender repeats the stored ciphertext.
//
// A ciphertext is stored rather than sealed anew on an ask. Sealing anew would give the same bytes only as long as
// nobody, caller included, has touched the body since, and one changed byte under a repeated nonce gives both away.
package session
