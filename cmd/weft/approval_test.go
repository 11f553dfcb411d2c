package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftmpc/weft/gateway/access"
	"github.com/weftmpc/weft/node/policy"
)

func TestApprovalsOfTheConfiguration(t *testing.T) {
	guarded := func(c *nodeConfig) { c.Gateway.Access.Tokens = true }
	for name, x := range map[string]struct {
		change func(*nodeConfig)
		wrong  string // in the error and its hint; empty: none
	}{
		"nothing":         {func(*nodeConfig) {}, ""},
		"two":             {func(c *nodeConfig) { guarded(c); c.Approval.Microprotocols = []string{"SecureSum", "KaplanMeier"} }, ""},
		"all":             {func(c *nodeConfig) { guarded(c); c.Approval.Microprotocols = []string{"all"} }, ""},
		"misspelt":        {func(c *nodeConfig) { guarded(c); c.Approval.Microprotocols = []string{"all", "SecureSun"} }, `approval.microprotocols[1]: "SecureSun" is no microprotocol; did you mean "SecureSum"?`},
		"unknown":         {func(c *nodeConfig) { guarded(c); c.Approval.Microprotocols = []string{"x"} }, "weft microprotocols"},
		"nobody may":      {func(c *nodeConfig) { c.Approval.Microprotocols = []string{"all"} }, "nobody could approve anything"},
		"gateways beside": {func(c *nodeConfig) { c.Approval.Microprotocols, c.Private.Listen = []string{"all"}, "127.0.0.1:1" }, ""},
	} {
		c := defaultNode()
		x.change(&c)
		a, err := c.approvals()
		text := ""
		if err != nil {
			text = err.Error() + "; " + advice(err, "")
		}
		if (x.wrong == "") != (err == nil) || !strings.Contains(text, x.wrong) {
			t.Errorf("%s: %q, want %q", name, text, x.wrong)
		}
		if err == nil && a.Needs("SecureSum") != (len(c.Approval.Microprotocols) > 0) {
			t.Errorf("%s: %+v", name, a)
		}
	}
	if a := (policy.Approval{Microprotocols: []string{"KaplanMeier"}}); a.Needs("SecureSum") || !a.Needs("KaplanMeier") {
		t.Errorf("%+v", a)
	}
}

// The doctor tells whether there is somebody who can approve.
func TestDoctorLooksForWhoApproves(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	var found []finding
	d := &doctor{now: time.Now, file: "node.yaml", tell: func(f finding) { found = append(found, f) }}
	d.config = defaultNode()
	d.config.State, d.config.Gateway.Access.Tokens = state, true
	ask := func(status, text string) {
		t.Helper()
		found = nil
		d.approval()
		if len(found) != 1 || found[0].Status != status || !strings.Contains(found[0].Text, text) {
			t.Errorf("%+v, want %s: %s", found, status, text)
		}
	}
	if d.approval(); len(found) > 0 {
		t.Errorf("nothing waits, and yet %+v", found)
	}
	d.config.Approval.Microprotocols = []string{"KaplanMeier"}
	ask("warning", "KaplanMeier: waits for somebody with the role data-owner or admin, and nobody has it")
	roles := d.config.Gateway.Access.Certificates
	roles["anna"] = access.Analyst.String()
	ask("warning", "nobody has it")
	roles["olga"] = access.DataOwner.String()
	ask("warning", "the one person")
	d.config.Approval.ByCaller = true
	ask("ok", "waits for")
	d.config.Approval.ByCaller = false
	roles["otto"] = access.Admin.String()
	ask("ok", "waits for")
	clear(roles)
	d.config.Gateway.Access.OIDC.Issuer, d.config.Gateway.Access.OIDC.Roles = "https://provider.example.org", map[string]string{"owners": "data-owner"}
	ask("ok", "waits for")
}
