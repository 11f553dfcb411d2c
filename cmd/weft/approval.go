package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/weftmpc/weft/gateway/access"
	"github.com/weftmpc/weft/node/policy"
	"github.com/weftmpc/weft/simon"
)

// approvalConfig says which computations wait for a data owner.
type approvalConfig struct {
	Microprotocols []string `yaml:"microprotocols" doc:"Names of microprotocols, or all. A request for one of them waits, before anything leaves, until somebody with the role data-owner or admin has approved it (weft job approve), and ends at its deadline if nobody has: have all parties submit with a long one. Empty: nothing waits."`
	ByCaller       bool     `yaml:"by_caller" doc:"true: whoever asked may also approve, if their role lets them. false: it takes somebody else."`
}

// approvals is what node.yaml says about approvals, checked.
func (c nodeConfig) approvals() (policy.Approval, error) {
	known := []string{policy.Every}
	for _, m := range simon.Catalogue() {
		known = append(known, m.Name)
	}
	for i, name := range c.Approval.Microprotocols {
		if slices.Contains(known, name) {
			continue
		}
		hint := "`weft microprotocols` lists them; all stands for every one"
		if near := nearest(name, known); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		return policy.Approval{}, withHint(fmt.Errorf("approval.microprotocols[%d]: %q is no microprotocol", i, name), "%s", hint)
	}
	a := policy.Approval{Microprotocols: c.Approval.Microprotocols, ByCaller: c.Approval.ByCaller}
	if len(a.Microprotocols) > 0 && c.Private.Listen == "" && !c.Gateway.Access.on() {
		return a, withHint(errors.New("approval: nobody could approve anything: the gateway has no access control"), "set gateway.access, and give somebody the role data-owner")
	}
	return a, nil
}

// jobApproval is the approval of a job as the gateway shows it.
type jobApproval struct {
	Since    time.Time `json:"since"`
	ByCaller bool      `json:"by_caller"`
	Verdict  string    `json:"verdict"` // "": nobody has decided
	By       string    `json:"by"`
	At       time.Time `json:"at"`
	Reason   string    `json:"reason"`
}

// approvalRequest is what somebody who decides has to know of a job.
type approvalRequest struct {
	Owner      string          `json:"owner"`
	Leakage    string          `json:"leakage"`
	WithHelper string          `json:"with_helper"`
	Parameters json.RawMessage `json:"parameters"`
	InputBytes int64           `json:"input_bytes"`
	Approval   *jobApproval    `json:"approval"`
}

// approval fetches what an approval of the job is asked for.
func (c *client) approval(ctx context.Context, id string) (q approvalRequest, err error) {
	raw, err := c.do(ctx, http.MethodGet, "/v1/jobs/"+url.PathEscape(id)+"/approval", nil, answerTime)
	if err != nil {
		return q, err
	}
	if err := json.Unmarshal(raw, &q); err != nil {
		return q, c.foreign(err)
	}
	return q, nil
}

// decide approves or denies the held job that q shows, and no other of the same id.
func (c *client) decide(ctx context.Context, id string, q approvalRequest, approve bool, reason string) (job, error) {
	d := struct {
		Approve bool      `json:"approve"`
		Reason  string    `json:"reason,omitempty"`
		Since   time.Time `json:"since,omitzero"`
	}{Approve: approve, Reason: reason}
	if q.Approval != nil {
		d.Since = q.Approval.Since
	}
	b, err := json.Marshal(d)
	if err != nil {
		return job{}, err
	}
	return c.one(ctx, http.MethodPost, "/v1/jobs/"+url.PathEscape(id)+"/approval", b, answerTime)
}

// showRequest writes what a held job is about.
func showRequest(row func(name, value string), q approvalRequest) {
	row("asked for by", q.Owner)
	row("parameters", string(q.Parameters))
	row("input", fmt.Sprintf("%d bytes, prepared", q.InputBytes))
	row("learnt beyond the result", q.Leakage)
	row("with a helper", q.WithHelper)
}

// showDecision writes what has been decided about a job.
func showDecision(row func(name, value string), a *jobApproval) {
	if a == nil {
		return
	}
	row("held since", clock(a.Since))
	if a.Verdict != "" {
		row(a.Verdict+" by", a.By)
		row(a.Verdict+" at", clock(a.At))
		row("reason", a.Reason)
	}
}

func (p *program) jobApproveCommand() *cobra.Command {
	return p.decisionCommand(true, &cobra.Command{
		Use:   "approve ID",
		Short: "Approve a job that waits for a data owner",
		Long: `Approves a job that is held because this party's policy asks for it (approval in node.yaml), and shows what it is about.
It then goes on, also after an attempt that has failed. It takes the role data-owner or admin, and nobody approves a job of
their own unless the policy lets them. The first decision counts; the same one again is no failure. "weft job show" shows
what a held job is about before.

` + exitCodes,
		Example: `  weft job ls --state held
  weft job show 0d9c1f8e-5a0c-4f0c-9d7e-2b1f6a3c4d5e
  weft job approve 0d9c1f8e-5a0c-4f0c-9d7e-2b1f6a3c4d5e`,
	})
}

func (p *program) jobDenyCommand() *cobra.Command {
	return p.decisionCommand(false, &cobra.Command{
		Use:   "deny ID",
		Short: "Deny a job that waits for a data owner",
		Long: `Denies a job that is held because this party's policy asks for an approval (approval in node.yaml). It fails with the reason,
which its caller reads and no other party; the others' jobs fail as soon as all have asked, saying that this party has denied
it. It takes the role data-owner or admin. The first decision counts; the same one again is no failure.

` + exitCodes,
		Example: `  weft job deny 0d9c1f8e-5a0c-4f0c-9d7e-2b1f6a3c4d5e --reason "not part of this study"`,
	})
}

// decisionCommand completes a command that approves or denies.
func (p *program) decisionCommand(approve bool, c *cobra.Command) *cobra.Command {
	var address, reason string
	var format output
	c.Args = oneArgument("ID", "`weft job ls --state held` lists those that wait")
	c.RunE = func(c *cobra.Command, args []string) error {
		cl, err := p.dialJob(address, args[0])
		if err != nil {
			return err
		}
		q, err := cl.approval(c.Context(), args[0])
		if err != nil {
			return err
		}
		j, err := cl.decide(c.Context(), args[0], q, approve, reason)
		if err != nil {
			return err
		}
		if format != outputTable {
			return p.printJob(format, j)
		}
		return p.showDecided(j, q)
	}
	p.gatewayFlag(c, &address)
	outputFlag(c, &format, "print the job as one line of JSON")
	c.Flags().StringVar(&reason, "reason", "", "one line for the job's caller")
	return c
}

// showDecided says what has been decided, and about what.
func (p *program) showDecided(j job, q approvalRequest) error {
	if j.Approval == nil {
		return errors.New("the gateway does not say what was decided")
	}
	if _, err := fmt.Fprintf(p.stdout, "job %s is %s\n", oneLine(j.ID), oneLine(j.Approval.Verdict)); err != nil {
		return err
	}
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value = oneLine(value); value != "" {
			fmt.Fprintf(table, "  %s\t%s\n", name, value)
		}
	}
	row("microprotocol", j.Microprotocol)
	row("parties", strings.Join(j.Parties, ", "))
	showRequest(row, q)
	return table.Flush()
}

// approval looks whether somebody can approve what waits for it, as far as this configuration tells.
func (d *doctor) approval() {
	c := d.config
	if len(c.Approval.Microprotocols) == 0 {
		return
	}
	what := strings.Join(c.Approval.Microprotocols, ", ")
	may := func(role access.Role, err error) bool { return err == nil && role >= access.DataOwner }
	deciders := 0
	if c.Gateway.Access.Tokens {
		list, err := loadTokens(c.State)
		if err != nil {
			return // told by access
		}
		for _, t := range list {
			if t.State(d.now()) == "active" && may(t.Role, nil) {
				deciders++
			}
		}
	}
	for _, role := range c.Gateway.Access.Certificates {
		if may(access.ParseRole(role)) {
			deciders++
		}
	}
	provider := false
	for _, role := range c.Gateway.Access.OIDC.Roles {
		provider = provider || c.Gateway.Access.OIDC.Issuer != "" && may(access.ParseRole(role))
	}
	switch {
	case deciders > 1, provider, deciders == 1 && c.Approval.ByCaller:
		d.ok("approval", "%s: waits for somebody with the role data-owner or admin", what)
	case c.Private.Listen != "":
		d.ok("approval", "%s: waits for somebody with the role data-owner or admin, at a gateway that is a process of its own", what)
	case deciders == 1:
		d.warn("approval", "give another one the role data-owner, if that one asks for computations, too", "%s: waits for the one person with the role data-owner or admin, who cannot approve what they ask for themselves", what)
	default:
		d.warn("approval", "weft token create --config "+d.file+" --name NAME --role data-owner", "%s: waits for somebody with the role data-owner or admin, and nobody has it", what)
	}
}
