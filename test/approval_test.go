package test

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// approvalScript is the tutorial with credentials in the URL; it shows the error of a computation that has none.
const approvalScript = `
import sys
import federatedsecure.client
me, secret, uuid, nodes, api = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4].split(","), sys.argv[5]
api = federatedsecure.client.Api(api)
microservice = api.create(protocol="Simon")
try:
    result = microservice.compute(microprotocol="SecureSum", data=secret, network={"nodes": nodes, "uuid": uuid, "myself": me})
    print(api.download(result))
except Exception as e:
    print("error:", e)
`

// TestApprovals has a house whose policy asks for an approval: its analyst computes through one of its gateways with the
// official client, its data owner decides from the terminal through the other, and its node is killed in between.
func TestApprovals(t *testing.T) {
	t.Parallel()
	py := python(t)
	w := newTwins(t)
	w.rewriteIn("alice", "node.yaml", "approval", "  microprotocols: []", "  microprotocols: [SecureSum]")
	tokens := map[string]string{}
	for _, name := range w.names {
		w.rewrite(name, "gateway.yaml", "    tokens: false\n", "    tokens: true\n")
		for person, role := range map[string]string{"anna": "analyst", "olga": "data-owner"} {
			tokens[person+"@"+name] = strings.TrimSpace(w.weft("token", "create", "--config", name+"/gateway.yaml", "--name", person, "--role", role))
		}
	}
	for _, name := range w.names {
		w.procs[name].start()
	}
	w.start()
	w.up(w.names...)

	nodes := make([]string, len(three))
	for i, name := range three {
		nodes[i] = w.urls[name]
	}
	as := func(person, gateway string, args ...string) string {
		t.Helper()
		cmd := exec.Command(binary, append([]string{"job"}, append(args, "--gateway", w.at[gateway], "--token", tokens[person+"@"+gateway])...)...)
		var out bytes.Buffer
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = w.dir, rackEnviron(), &out, &out
		_ = cmd.Run() // the exit code is looked at where it matters, by what it says
		return out.String()
	}
	compute := func(secrets ...int) (outputs []string, wait func()) {
		id := uuid.NewString()
		outputs = make([]string, len(three))
		var wg sync.WaitGroup
		for i, name := range three {
			api := w.urls[name]
			if name == "alice" {
				api = strings.Replace(w.at["gw-1"], "://", "://token:"+tokens["anna@gw-1"]+"@", 1)
			}
			wg.Go(func() {
				cmd := exec.CommandContext(t.Context(), py, "-c", approvalScript, fmt.Sprint(i), fmt.Sprint(secrets[i]), id, strings.Join(nodes, ","), api)
				out, _ := cmd.CombinedOutput()
				outputs[i] = strings.TrimSpace(string(out))
			})
		}
		return outputs, wg.Wait
	}
	held := func() (id string) {
		t.Helper()
		list := ""
		await(t, "a job is held", func() bool {
			list = as("olga", "gw-2", "ls", "--state", "held")
			return strings.Contains(list, "held: waits for a data owner's approval, other than token:anna, since ")
		})
		for line := range strings.Lines(list) {
			if f := strings.Fields(line); len(f) > 2 && f[2] == "held" {
				return f[0]
			}
		}
		t.Fatalf("no job in %q", list)
		return ""
	}
	lists := func() string { return as("olga", "gw-2", "ls") }

	outputs, wait := compute(19, 5, 61)
	id := held()
	for _, part := range []string{"asked for by", "token:anna", "parameters", `"limit_ms":`, "learnt beyond the result", "alice, bob, carol", "held since"} {
		if shown := as("olga", "gw-2", "show", id); !strings.Contains(shown, part) {
			t.Errorf("show lacks %q:\n%s", part, shown)
		}
	}
	if said := as("anna", "gw-1", "approve", id); !strings.Contains(said, "needs the role data-owner") {
		t.Errorf("the analyst approves: %s", said)
	}
	w.procs["alice"].kill() // the record is all that is left
	w.procs["alice"].start()
	w.up(w.names...)
	await(t, "the approval is taken", func() bool {
		return strings.Contains(as("olga", "gw-2", "approve", id), "job "+id+" is approved\n")
	})
	wait()
	for i, out := range outputs {
		if out != "{'inputs': 3, 'result': {'samples': 3, 'sum': 85}}" {
			t.Errorf("%s: %s", three[i], out)
		}
	}
	if l := lists(); !strings.Contains(l, "done") || strings.Contains(l, "held") {
		t.Errorf("%s", l)
	}

	began := time.Now()
	outputs, wait = compute(1, 2, 3)
	id = held()
	if said := as("olga", "gw-2", "deny", id, "--reason", "not part of this study"); !strings.HasPrefix(said, "job "+id+" is denied\n") {
		t.Errorf("deny: %s", said)
	}
	if said := as("olga", "gw-2", "deny", id); !strings.HasPrefix(said, "job "+id+" is denied\n") {
		t.Errorf("deny again: %s", said)
	}
	if said := as("olga", "gw-1", "approve", id); !strings.Contains(said, "somebody else has decided otherwise before") {
		t.Errorf("approve after all: %s", said)
	}
	wait()
	for i, want := range []string{"token:olga has denied this computation at ", "alice ended the computation: whoever decides about its data has denied it", "alice ended the computation: whoever decides about its data has denied it"} {
		if !strings.Contains(outputs[i], "error: ") || !strings.Contains(outputs[i], want) {
			t.Errorf("%s: %s\nwant %s", three[i], outputs[i], want)
		}
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("the others were told after %s", took)
	}
	if log := w.procs["gw-2"].life(); !strings.Contains(log, `msg=audit who=token:olga role=data-owner what="POST /v1/jobs/{id}/approval"`) || !strings.Contains(log, "verdict=denied status=200") {
		t.Errorf("gw-2 does not log who has decided:\n%s", log)
	}
}
