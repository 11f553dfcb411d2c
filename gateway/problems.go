package gateway

import (
	"net/http"
	"strings"

	"github.com/weftmpc/weft/jobs"
)

// problemType is one type of problem details (RFC 9457 §3.1.1): what went wrong, told to programs. Its URI is
// /problems/ and its name, and stays what it is over versions; GET of that URI explains it.
type problemType struct {
	name   string // the reason of the Error
	status []int
	title  string // the same each time; an answer's detail says more
	advice string // what to do, for people
}

// problemURI is where the types are.
const problemURI = "/problems/"

// problemTypes is THE list of types under /v1: what a request can meet, then how a computation can end without a result.
// README.md has it as a table.
var problemTypes = []problemType{
	{"bad-json", []int{400}, "the body is no valid JSON object", "The detail says where: a key twice, NaN, Infinity, anything after the end."},
	{"bad-query", []int{400}, "a parameter after ? is not possible here", "The detail names those that are."},
	{"bad-header", []int{400}, "a header of the request cannot be used", "The detail names it."},
	{"broken-body", []int{400}, "the body ended too early or came too slowly", "Send the request again."},
	{"client-gone", []int{400}, "the client closed its side of the connection before the answer", "Keep the connection open until the answer has come. Whether the request was carried out is not known."},
	{"unknown-field", []int{400}, "the body has a field that is not known", "The detail lists the fields."},
	{"invalid-field", []int{400}, "a field or parameter of the request cannot be used", "`field` names it, `detail` says why."},
	{"invalid-input", []int{400}, "the data or parameters are not what the microprotocol takes", "`field` names the place, and the value is never repeated. /v1/microprotocols/NAME has the schemas."},
	{"unknown-file", []int{400}, "the node's folder has no such file", "Send the data, or put the file there."},
	{"unreadable-file", []int{400}, "the node may not read the file", "Let the user that the node runs as read it, or send the data."},
	{"unauthenticated", []int{401}, "the gateway does not know who asks", "Send a token as Authorization: Bearer TOKEN. The detail says what is wrong with the one that was sent."},
	{"role", []int{403}, "the caller's role may not do this", "The detail names the role that may; the gateway's administrator gives roles."},
	{"no-role", []int{403}, "the caller is known and has no role here", "The gateway's administrator gives roles."},
	{"proxy-only", []int{403}, "the gateway answers its proxy alone", "Use the proxy's address."},
	{"wrong-origin", []int{403}, "the web page may not use this gateway", "Its operator lists the origins of pages that may."},
	{"origin-needs-json", []int{403}, "a web page sent something else than JSON", "Content-Type: application/json."},
	{"own-job", []int{403}, "nobody decides about a job of their own", "Another data owner or an administrator has to; the node's administrator can set approval.by_caller."},
	{"unknown-path", []int{404}, "there is nothing at this path", "/docs shows what there is."},
	{"unknown-job", []int{404}, "there is no such job", "It was deleted, has expired, or belongs to another gateway."},
	{"unknown-microprotocol", []int{404, 501}, "the microprotocol is not available here", "/v1/microprotocols lists those that are."},
	{"unknown", []int{404}, "the object is not here any more", "It was deleted or has expired."},
	{"wrong-method", []int{405}, "the method is not possible here", "The header Allow has those that are."},
	{"active", []int{409}, "the job has not ended", "It is being cancelled; delete it again in a moment."},
	{"committed", []int{409}, "the result is computed and waits for confirmations", "It can be neither cancelled nor deleted now; wait for its end."},
	{"not-held", []int{409}, "the job does not wait for an approval", "Look at the job: it has ended, goes on, its deadline has passed, or it is not the one that you have looked at before."},
	{"decided", []int{409}, "somebody else has decided otherwise before", "The job's `approval` says who. A denied computation can be submitted again, an approved one cancelled."},
	{"changed", []int{409}, "two requests changed the same object at once", "Send the request again."},
	{"too-large", []int{413}, "the body or the data are too large", "The detail has the limit."},
	{"not-json", []int{415}, "the body is not called JSON", "Content-Type: application/json."},
	{"compressed", []int{415}, "the body is compressed", "Send it without Content-Encoding."},
	{"wrong-host", []int{421}, "the Host header names another server", "Its operator adds the name to the gateway's hosts."},
	{"key-reused", []int{422}, "the Idempotency-Key was used for another request", "`instance` is the job that it stands for. Use a new key for a new request."},
	{"too-many", []int{429}, "there are too many jobs", "Delete ended ones, or wait until running ones end."},
	{"too-many-refused", []int{429}, "too many requests with a file of the node were refused", "Wait Retry-After seconds."},
	{"too-often", []int{429}, "too many requests, or refused credentials", "Send the request again after Retry-After seconds."},
	{"internal", []int{500}, "a defect of this gateway or node", "Its log has the cause, without data."},
	{"busy", []int{503}, "the gateway has as many such requests as it allows", "Send the request again after Retry-After seconds."},
	{"no-authentication", []int{503}, "credentials of this kind cannot be checked at present", "The gateway's log says why. Send the request again after Retry-After seconds."},
	{"draining", []int{503}, "the gateway is shutting down", "Jobs go on; send the request again in a moment."},
	{"away", []int{503}, "this party's node, which keeps jobs and objects, does not answer", "Send the request again after Retry-After seconds, with the same Idempotency-Key: it may have arrived."},
	{"not-finished", []int{504}, "there is no result yet", "The job goes on; ask again. The detail says whom it waits for."},
	{"full", []int{507}, "there is no disk space left", "Nothing was stored, or nothing computed; the operator has to make room."},

	{"input", []int{400}, "the stored input cannot be used", "Submit the computation again."},
	{"outcome", []int{400}, "the parties' data together have no such result", "All parties learn the same reason, as too few samples. Another attempt ends alike."},
	{"denied", []int{403, 502}, "a data owner has denied the computation", "403: at this party, and the detail says who; 502: at another, which the detail names. Nothing was computed. Talk to them."},
	{"policy", []int{403}, "this node's policy forbids the computation", "The detail names the rule; the node's administrator sets it."},
	{"cancelled", []int{409}, "the job was cancelled", "Submit a new one."},
	{"conflict", []int{409}, "the parties have asked for different things", "The detail shows what differs; agree on it and submit again."},
	{"replaced", []int{409}, "a newer request took the job's place", "Use another uuid for computations side by side."},
	{"failed", []int{500}, "the job has failed for a reason that was not written down", "Submit it again."},
	{"not-available", []int{501}, "the node does not have this microprotocol in this version", "Update the node, or use one of /v1/microprotocols."},
	{"coordinator", []int{502}, "the coordinator refused the request", "The detail has its reason."},
	{"equivocation", []int{502}, "a party sent different messages to different parties", "No result is released. The detail names the party; talk to it."},
	{"peer", []int{502}, "another party ended the computation", "The detail names it and its reason."},
	{"certificate", []int{503}, "this node's certificate has expired", "Whoever keeps the authority renews it."},
	{"no-coordinator", []int{504}, "the coordinator does not answer", "Its operator sees that it runs and is linked."},
	{"not-approved", []int{504}, "nobody has approved the computation before its deadline", "The detail says whose approval it waited for, and since when. Submit it again, with a later deadline if they need more time."},
	{"not-confirmed", []int{504}, "not all parties have confirmed the result", "Others may have it: ask them before you compute again."},
	{"not-joined", []int{504}, "not all parties have asked for the computation in time", "The detail names those that are missing. Submit again when they are ready."},
	{"timeout", []int{504}, "a message of a party did not come in time", "The detail names the party; see that its node runs and is connected."},
}

// typesByName finds a type.
var typesByName = func() map[string]*problemType {
	m := make(map[string]*problemType, len(problemTypes))
	for i := range problemTypes {
		m[problemTypes[i].name] = &problemTypes[i]
	}
	return m
}()

// typeName is the type of a reason: reasons that only name the field once more are of one type.
func typeName(reason string) string {
	if typesByName[reason] == nil && strings.HasPrefix(reason, "invalid-") {
		return "invalid-field"
	}
	return reason
}

// problemDetails is RFC 9457 §3, with two members of our own.
type problemDetails struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Instance string `json:"instance,omitempty"` // the path of the job that the answer is about
	Reason   string `json:"reason,omitempty"`
	Field    string `json:"field,omitempty"`
}

// problemFrom is the error as problem details. One of no known type says no more than its status (RFC 9457 §4.2.1).
func problemFrom(e *Error) problemDetails {
	d := problemDetails{"about:blank", http.StatusText(e.Code), e.Code, e.Message, e.instance, e.Reason, e.Field}
	if t := typesByName[typeName(e.Reason)]; t != nil {
		d.Type, d.Title = problemURI+t.name, t.title
	}
	return d
}

// about is the error of a request that names a job.
func (e *Error) about(r *http.Request) *Error {
	if e.instance != "" || !strings.HasPrefix(r.URL.Path, "/v1/jobs/") {
		return e
	}
	id, err := pathID(r, "job")
	if err != nil {
		return e
	}
	copied := *e // one error value serves many requests
	copied.instance = jobPath(jobs.Job{ID: id})
	return &copied
}

// jobPath is where a job is.
func jobPath(j jobs.Job) string { return "/v1/jobs/" + j.ID.String() }
