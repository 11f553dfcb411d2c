// Package jobs keeps clients' requests for computations, and the ledger of what this party has promised about each of
// them, on the party's private JetStream. Open gives a Store; Store.Submit accepts a job, Store.Watch is a node's queue.
//
// Safety: an accepted job is never lost, and no job ends twice or differently for two readers. A result is never
// invented: a job is done only by the table's step from committed. A ledger line never goes back: a sid that was
// committed is never aborted, one that was aborted is never committed, and a notice in it is never forgotten while the
// line is kept. Nobody overwrites a record whose newest revision he has not read.
//
// Liveness: every acknowledged write reaches every watcher and every wait as long as the broker runs, if only as a newer
// record of the same job. A job that nobody moves stays where it is: deadlines and attempts are the node's.
//
// # States
//
// One table says how a job moves, and nothing else sets a state: Job.Move takes a step, Store.Update refuses a record
// that is not one step of the table away from the one it replaces.
//
//	submitted -> held | waiting | failed | cancelled
//	held      -> waiting | failed | cancelled
//	waiting   -> started | committed | failed | cancelled | waiting (another JOIN) | held (new rules)
//	started   -> committed | waiting | failed | cancelled
//	committed -> done | waiting | failed
//	done, failed, cancelled: nothing; the record goes after Options.Retain, or with Delete
//
// A held job waits for somebody of this party, whom its rules name, to approve it; nothing has left for it, and no JOIN is
// open. The decision stands in the record, beside the state: Decide writes it once, whoever else writes, and Update refuses
// another, as it refuses that a denied job goes on. The node moves the job on, so that a decision that comes while the node
// is down counts at its next start. An approval is for what the record holds, which is what Prepare made: another attempt
// needs no other.
//
// Started is for users: a node leaves it out where a computation is over before anybody could see it. What has started, and
// must be aborted after a crash, the ledger knows.
//
// And one for a line of the ledger:
//
//	started   -> committed | aborted
//	committed -> done | peer-aborted | failed
//	aborted, done, peer-aborted, failed: nothing; the line goes after Line.Kept
//
// The two are written one after the other, the ledger first wherever the step makes a promise: started(sid) before the
// first body of the sid leaves, committed(sid) before the own CONFIRM leaves, aborted(sid) before an ABORT. After a
// crash in between the line tells the truth, and the node brings the job after it.
//
// # What is durable
//
// When a method that writes has returned without an error, its write is on the broker's disk, encrypted with the store
// key; whether it survives a power cut or only the death of every process depends on how the broker was started. Durable
// are job records (with prepared input, opened elements and result) and ledger lines. Not durable, and made anew from
// them at Open, are the local copies and the counts of jobs per caller. Watches and waits end with the process.
//
// A record holds bodies of up to 64 KiB itself. A larger one goes to the object store first, then the record that names
// it: a process that dies in between leaves bytes without a name, which Sweep removes after an hour. The other way
// round, a record loses a name first and then the bytes go. So a record never names bytes that are not there, save for
// a reader who holds an old one.
//
// An error of a write that is none of this package's own (a time-out, a lost connection) says nothing about whether it
// took place. The next read tells; a write that is repeated with the same revision is then ErrConflict, never a second
// write.
//
// # What is forgotten
//
// The prepared input goes when the job ends, opened elements and salts when a committed job waits again or ends, all
// of it with Delete: Move leaves the names out, the same write makes that durable, and Update then removes the bytes.
// The broker frees the space of removed messages in its own time; until then the encrypted blocks may still hold them.
//
// Job, Body and the errors of this package print no private bytes under any verb or log handler. Code that wants a
// body's bytes calls Store.Read.
//
// # Decisions
//
// The bucket is the queue. A work-queue stream beside it would be a second opinion on what is to be done, and its late
// acknowledgements do not fence; a claim is a compare-and-set of the record with the node's boot id.
//
// Reads come from a local copy (jobs/internal/mirror) instead of the server: a node looks a ledger line up for each
// message that it does not expect, and a gateway's wait must not poll. The copy costs memory in proportion to the
// records, which Limits bounds.
//
// Records are a flat format of this package (jobs/internal/record) instead of msgpack: the decoder is as long, and
// allocates nothing that the record's own length does not cover.
package jobs
