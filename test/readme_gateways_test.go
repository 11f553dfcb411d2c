package test

import (
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// A reader follows what README.md says about gateways beside a node, with the lines that the commands print.
func TestReadmeGateways(t *testing.T) {
	own := readMarkdown(t, "../README.md")["Two gateways behind a load balancer"]
	if own == nil || len(own.blocks) != 3 {
		t.Fatal("README.md has other sections than this test knows")
	}
	for _, port := range []string{"4333", "8511", "8512"} {
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatalf("port %s, which README.md's commands use, is not free: %v", port, err)
		}
		l.Close()
	}
	r := prepareRack(t, rackOptions{})
	sh := newShell(t)
	sh.dir = r.dir
	lines := own.blocks[1]
	for command := range strings.SplitSeq(own.blocks[0], "\n") {
		out, err := sh.run(command)
		key := regexp.MustCompile(`"?U[A-Z2-7]{55}"?`).FindString(out)
		if err != nil || key == "" {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
		lines = strings.Replace(lines, `"U..."`, key, 1)
	}
	b, err := os.ReadFile(r.path("alice", "node.yaml"))
	must(t, err)
	group := regexp.MustCompile(`(?s)\nprivate:\n.*?\n\n#`)
	if len(group.FindAll(b, -1)) != 1 || strings.Contains(lines, "U...") {
		t.Fatalf("%s\n%s", b, lines)
	}
	must(t, os.WriteFile(r.path("alice", "node.yaml"), group.ReplaceAll(b, []byte("\n"+lines+"\n\n#")), 0o600))
	for command := range strings.SplitSeq(own.blocks[2], "\n") {
		sh.start(command)
	}
	r.start()
	for _, port := range []string{"8511", "8512"} {
		becomesReady(t, "http://127.0.0.1:"+port)
	}

	r.urls["alice"] = "http://127.0.0.1:8511"
	all := r.submit("19", "5", "61")
	r.urls["alice"] = "http://127.0.0.1:8512"
	r.wantSum(r.ended(all), "85")
	var me struct{ UUID uuid.UUID }
	must(t, r.ask(t.Context(), "alice", http.MethodGet, "/v1/jobs/"+all["alice"].ID.String(), "", http.StatusOK, &me))
	if me.UUID != all["alice"].UUID {
		t.Error("the second gateway shows another job")
	}
}
