package gateway

import (
	"strings"
	"testing"
)

// lines are the log's audit lines since the last call.
func (b *buffer) lines() (audit []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.b.String()) {
		if _, rest, ok := strings.Cut(line, " msg=audit "); ok {
			audit = append(audit, strings.TrimSpace(rest))
		}
	}
	b.b.Reset()
	return audit
}

func TestAudit(t *testing.T) {
	p, who := newGuarded(t, nil)
	job, upload := p.jobOf("token:analyst"), p.uploadOf("token:analyst")
	p.log.lines()
	body := `{"microprotocol":"Add","data":[` + secretValue + `],"parties":["alice","bob"]}`
	for _, x := range []struct {
		method, path, body, name, want string
	}{
		{"POST", "/v1/jobs", body, "analyst", `who=token:analyst role=analyst what="POST /v1/jobs" from=127.0.0.1 made=ID status=202`},
		{"POST", "/v1/jobs", `{"microprotocol":"Add","file":"` + secretValue + `.csv","parties":["alice","bob"]}`, "admin", `who=token:admin role=admin what="POST /v1/jobs" from=127.0.0.1 status=400`},
		{"POST", "/v1/jobs", `{"microprotocol":"Add","data":[666],"parties":["alice","bob"]}`, "admin", `who=token:admin role=admin what="POST /v1/jobs" from=127.0.0.1 status=500`},
		{"POST", "/v1/jobs", body, "viewer", `who=token:viewer role=viewer what="POST /v1/jobs" from=127.0.0.1 status=403`},
		{"PUT", "/representations", `{"args":[` + secretValue + `]}`, "analyst", `who=token:analyst role=analyst what="PUT /representations" from=127.0.0.1 made=ID status=200`},
		{"POST", "/v1/jobs/" + job + "/cancel", "", "data-owner", `who=token:data-owner role=data-owner what="POST /v1/jobs/{id}/cancel" from=127.0.0.1 object=` + job + ` status=200`},
		{"DELETE", "/v1/jobs/" + job, "", "data-owner", `who=token:data-owner role=data-owner what="DELETE /v1/jobs/{id}" from=127.0.0.1 object=` + job + ` status=404`},
		{"DELETE", "/v1/jobs/" + job, "", "analyst", `who=token:analyst role=analyst what="DELETE /v1/jobs/{id}" from=127.0.0.1 object=` + job + ` status=204`},
		{"DELETE", "/representation/" + upload, "", "analyst", `who=token:analyst role=analyst what="DELETE /representation/{id}" from=127.0.0.1 object=` + upload + ` status=200`},
		{"DELETE", "/representation/" + secretValue, "", "analyst", `who=token:analyst role=analyst what="DELETE /representation/{id}" from=127.0.0.1 status=404`},
		{"POST", "/v1/jobs", body, "nobody", ""},
		{"GET", "/v1/jobs", "", "analyst", ""},
	} {
		p.do(x.method, x.path, x.body, who.as(x.name))
		log := p.log.String()
		got := p.log.lines()
		if strings.Contains(log, secretValue) || strings.Contains(log, "weft_") {
			t.Errorf("%s %s: the log says too much: %s", x.method, x.path, log)
		}
		before, after, any := strings.Cut(x.want, "ID")
		switch {
		case x.want == "" && len(got) > 0, x.want != "" && len(got) != 1:
			t.Errorf("%s %s: %q", x.method, x.path, got)
		case x.want != "" && (!strings.HasPrefix(got[0], before) || !strings.HasSuffix(got[0], after) || !any && got[0] != x.want):
			t.Errorf("%s %s: %s\nwant %s", x.method, x.path, got[0], x.want)
		}
	}
	free := newParty(t, nil)
	free.log.lines()
	free.do("PUT", "/representations", `{"args":[1]}`)
	if got := free.log.lines(); len(got) != 1 || !strings.HasPrefix(got[0], `who=anyone role=analyst what="PUT /representations" made=`) {
		t.Errorf("%q", got)
	}
}
