package gateway

import (
	"encoding/json"
	"net/http"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/jobs"
)

// jobApproval is the approval that a job waits for, or has waited for.
type jobApproval struct {
	Since    time.Time  `json:"since"`
	ByCaller bool       `json:"by_caller"`
	Verdict  string     `json:"verdict,omitempty"`
	By       string     `json:"by,omitempty"`
	At       *time.Time `json:"at,omitempty"`
	Reason   string     `json:"reason,omitempty"`
}

// approvalOf is nil where the job has waited for none.
func approvalOf(j jobs.Job) *jobApproval {
	a := j.Approval
	if a.Since.IsZero() {
		return nil
	}
	v := &jobApproval{Since: a.Since.UTC(), ByCaller: a.ByCaller, By: a.By, At: timeOrNone(a.At), Reason: a.Reason}
	if a.Verdict != 0 {
		v.Verdict = a.Verdict.String()
	}
	return v
}

// heldDetail says where a held job stands.
func heldDetail(j jobs.Job) string {
	a := j.Approval
	switch a.Verdict {
	case jobs.Approved:
		return "approved by " + a.By + "; this party's node has not taken it up yet"
	case jobs.Denied:
		return "denied by " + a.By + "; this party's node tells the others and ends it"
	}
	who := "a data owner's approval"
	if !a.ByCaller {
		who += ", other than " + j.Caller + ","
	}
	return "held: waits for " + who + " since " + clock(a.Since) + ", until " + clock(j.Deadline)
}

// approvalRequest is what somebody who decides about a job has to know: all but the data.
type approvalRequest struct {
	ID            uuid.UUID       `json:"id"`
	UUID          uuid.UUID       `json:"uuid"`
	State         string          `json:"state"`
	Owner         string          `json:"owner"`
	Microprotocol string          `json:"microprotocol"`
	Version       uint32          `json:"version"`
	Summary       string          `json:"summary,omitempty"`
	Leakage       string          `json:"leakage,omitempty"`
	WithHelper    string          `json:"with_helper,omitempty"`
	Parameters    json.RawMessage `json:"parameters"`
	Parties       []string        `json:"parties"`
	InputBytes    int64           `json:"input_bytes"`
	Created       time.Time       `json:"created"`
	Deadline      time.Time       `json:"deadline"`
	Approval      *jobApproval    `json:"approval,omitempty"`
}

// getApproval shows what an approval is asked for.
func (g *Gateway) getApproval(w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	if err := dropBody(w, r); err != nil {
		return err
	}
	j, err := g.pathJob(r)
	if err != nil {
		return err
	}
	q := approvalRequest{
		ID: j.ID, UUID: j.UUID, State: stateWord(j.State), Owner: j.Caller, Microprotocol: j.Microprotocol, Version: j.Version,
		Parameters: orNull(j.Parameters), Parties: j.Parties, InputBytes: j.Input.Size, Created: j.Created.UTC(), Deadline: j.Deadline.UTC(), Approval: approvalOf(j),
	}
	if m := g.microprotocol[j.Microprotocol]; m != nil && m.Version == j.Version {
		q.Summary, q.Leakage, q.WithHelper = m.Summary, m.Leakage, m.WithHelper
	}
	return write(w, mustJSON(q))
}

// postApproval approves or denies a held job. What is decided is in the job's record, for the node to act on: this gateway
// may be a process of its own, and the node may be down.
func (g *Gateway) postApproval(w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	l := g.loan()
	defer l.giveBack()
	body, err := g.readBody(w, r, l)
	if err != nil {
		return err
	}
	d, err := readDecision(body)
	if err != nil {
		return err
	}
	j, err := g.pathJob(r)
	if err != nil {
		return err
	}
	note(w, func(a *audited) { a.decided = d.verdict.String() })
	if j, err = g.config.Jobs.DecideSince(r.Context(), j.ID, d.since, d.verdict, callerOf(r.Context()), d.reason); err != nil {
		return err
	}
	return g.writeJob(w, r, http.StatusOK, j)
}

// decision is what somebody has decided.
type decision struct {
	verdict jobs.Verdict
	reason  string
	since   time.Time // when the job was held that they have looked at; zero: they do not say
}

// readDecision checks the body of a decision.
func readDecision(body []byte) (d decision, err error) {
	members, err := representation.ParseObject(body)
	if err != nil {
		return d, fail(http.StatusBadRequest, "bad-json", "%s", err)
	}
	for _, m := range members {
		switch m.Key {
		case "approve":
			switch string(m.Value) {
			case "true":
				d.verdict = jobs.Approved
			case "false":
				d.verdict = jobs.Denied
			default:
				return d, invalid("approve", "it must be true or false")
			}
		case "reason":
			text, ok := representation.Text(m.Value)
			if !ok && !representation.IsNull(m.Value) || len(text) > jobs.MaxReason || !printable(text) {
				return d, invalid("reason", "it must be one line of text, of at most %d bytes", jobs.MaxReason)
			}
			d.reason = text
		case "since":
			text, ok := representation.Text(m.Value)
			at, err := time.Parse(time.RFC3339Nano, text)
			if !ok && !representation.IsNull(m.Value) || ok && (err != nil || at.IsZero()) {
				return d, invalid("since", "it must be since when the job that was looked at is held, as GET says it")
			}
			d.since = at
		default:
			return d, fail(http.StatusBadRequest, "unknown-field", "unknown field %s; a decision has approve and, if you like, reason and since", representation.Show(m.Key))
		}
	}
	if d.verdict == 0 {
		return d, invalid("approve", "it is missing; it must be true or false")
	}
	return d, nil
}

// printable says whether the text is one line without control characters: it is shown in terminals.
func printable(text string) bool {
	for _, c := range text {
		if c == utf8.RuneError || !unicode.IsPrint(c) {
			return false
		}
	}
	return true
}
