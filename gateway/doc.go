// Package gateway is the HTTP side of one party: the representation API of the official clients and an API of jobs.
//
// Start at New for what is served and at Serve for how. A handler checks, stores a job and answers; it never computes. What
// a client waits for is a change of the job's record, which the party's node makes.
//
// Safety: nothing is stored unless every check has passed, the check of the data by the microprotocol's Prepare included.
// Private input leaves a handler in one direction only, into a job or an object of the same caller: no answer but the
// download of an upload, and no log line, repeats it. A job is cancelled by a request that says so, never by a client that
// goes away or releases its representation.
//
// Liveness: a download ends with its job, with its client, after Config.Wait, or with the gateway, whichever comes first;
// the job goes on, and its result can be asked for again, also after a restart. A stream of events tells of every job's
// newest state; states in between may be left out, and a state may come twice.
//
// Identifiers of root objects and functions are derived and not stored. The alternative, a table of handed-out identifiers,
// would have to be written at each of the three requests that precede a call, and would grow with clients that never
// release anything, which is what the official ones do.
package gateway
