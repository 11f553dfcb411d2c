package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// readmeService are the commands of deploy/README.md: one that makes a key, one that builds the example, one that runs it.
func readmeService(t testing.TB) (initKey, build, run []string) {
	t.Helper()
	own := readMarkdown(t, "../deploy/README.md")["Programs of the house"]
	if own == nil || len(own.blocks) != 1 {
		t.Fatal("deploy/README.md has another section on services than this test knows")
	}
	lines := strings.Split(own.blocks[0], "\n")
	if len(lines) != 3 {
		t.Fatalf("deploy/README.md has %q", lines)
	}
	return strings.Fields(lines[0]), strings.Fields(lines[1]), strings.Fields(lines[2])
}

// exampleService builds the service of deploy/examples and makes it a process of the rack, by the commands of deploy/README.md.
func (r *rack) exampleService(name, url string) *rackProcess {
	r.t.Helper()
	_, build, run := readmeService(r.t)
	program := filepath.Join(r.dir, run[0])
	if _, err := os.Stat(program); err != nil {
		build[slices.Index(build, "-o")+1] = program
		cmd := exec.Command(build[0], build[1:]...)
		cmd.Dir = ".."
		if out, err := cmd.CombinedOutput(); err != nil {
			r.t.Fatalf("%v: %s", err, out)
		}
	}
	run[slices.Index(run, "--url")+1] = url
	p := newRackProcess(r.t, r.dir, name, run[1:]...)
	p.wrap = []string{"sh", "-c", `shift && exec "$0" "$@"`, program} // in the place of weft
	return p
}

// house has alice's node listen for a micro service and a gateway of the house, and returns where.
func (r *rack) house() string {
	r.t.Helper()
	at := freeAddress(r.t)
	initKey, _, _ := readmeService(r.t)
	key := regexp.MustCompile(`icd10: (U\w{55})\n`).FindStringSubmatch(r.weft(initKey[1:]...))
	if key == nil {
		r.t.Fatal("weft service init shows no key")
	}
	r.rewrite("alice", "node.yaml", `  listen: ""`, `  listen: "`+at+`"`)
	r.rewrite("alice", "node.yaml", "  services: {}", "  services: {icd10: "+key[1]+"}")
	gate := regexp.MustCompile(`- (U\w{55})\n`).FindStringSubmatch(r.weft("gateway", "init", "--node", "alice/node.yaml", "--out", "gateway-1", "--listen", freeAddress(r.t)))
	if gate == nil {
		r.t.Fatal("weft gateway init shows no key")
	}
	r.rewrite("alice", "node.yaml", "  gateways: []", "  gateways: ["+gate[1]+"]")
	return "nats://" + at
}

// The service of deploy/examples as a process of its own beside a node: the official client finds it, calls it with what it has
// uploaded, and computes with what comes back. Killed, it is gone in words; started again, the same handles are good; two
// share the work.
func TestExampleService(t *testing.T) {
	t.Parallel()
	py := python(t)
	r := prepareRack(t, rackOptions{})
	url := r.house()
	r.start()
	listed := func() bool {
		_, v := call(t, "GET", r.urls["alice"]+"/representations", "")
		return strings.Contains(fmt.Sprint(v), "microservice:ICD10")
	}
	if listed() {
		t.Error("the service is there before it was started")
	}
	one := r.exampleService("icd10-1", url)
	one.start()
	await(t, "the service is listed", listed) // found in the background

	r.addsCases(t, py, r.urls["alice"])

	// Handles, as a client that lives longer holds them.
	within := r.member(t, "alice", `{"namespace":"hospital.example"}`, "within")
	ask := func(codes string) (int, map[string]any) {
		return call(t, "PATCH", r.urls["alice"]+"/representation/"+within, `{"args":[`+codes+`,"E10"],"kwargs":{}}`)
	}
	if code, v := ask(`["E10.1","48151623"]`); code != http.StatusBadRequest || v["message"] != "the microservice icd10 says: codes[1] is no code of ICD-10 like E11.9" {
		t.Errorf("%d %v", code, v)
	}
	one.kill()
	await(t, "a call says that the service is gone", func() bool {
		code, v := ask(`["E10"]`)
		return code == http.StatusServiceUnavailable && strings.Contains(fmt.Sprint(v["message"]), "the microservice icd10 does not run at present")
	})
	await(t, "the service is not listed", func() bool { return !listed() })
	if code, v := call(t, "POST", r.urls["alice"]+"/representations", `{"kwargs":{"microservice":"ICD10"}}`); code != http.StatusNotFound {
		t.Errorf("%d %v", code, v)
	}
	r.restart("alice") // who has never heard of the service then
	one.start()
	two := r.exampleService("icd10-2", url)
	two.start()
	await(t, "the old handle is good again", func() bool { code, _ := ask(`["E10"]`); return code == http.StatusOK })

	// Two share the work.
	stats := r.serviceStats(url)
	await(t, "two instances answer", func() bool { return len(stats()) == 2 })
	for range 40 {
		if code, v := ask(`["E10","J45"]`); code != http.StatusOK {
			t.Fatalf("%d %v", code, v)
		}
	}
	for _, n := range stats() {
		if n < 5 {
			t.Errorf("an instance has answered %d of 40 calls", n)
		}
	}
	one.stop()
	for range 20 {
		if code, v := ask(`["E10"]`); code != http.StatusOK {
			t.Fatalf("after an orderly end of one: %d %v", code, v)
		}
	}

	// A gateway that is a process of its own knows the same handles.
	gate := newRackProcess(t, r.dir, "gateway-1", "gateway", "--config", "gateway-1/gateway.yaml")
	gate.start()
	r.urls["gateway-1"] = r.gatewayURL("gateway-1")
	await(t, "the other gateway is ready", func() bool { return r.isReady("gateway-1") })
	if code, v := call(t, "PATCH", r.urls["gateway-1"]+"/representation/"+within, `{"args":[["E10"],"E10"],"kwargs":{}}`); code != http.StatusOK {
		t.Errorf("%d %v", code, v)
	}
	r.addsCases(t, py, r.urls["gateway-1"])
	gate.stop()
	two.stop()
}

// gatewayURL is where a gateway of its own listens.
func (r *rack) gatewayURL(name string) string {
	r.t.Helper()
	b, err := os.ReadFile(r.path(name, "gateway.yaml"))
	must(r.t, err)
	m := regexp.MustCompile(`(?m)^  listen: "(.*)"$`).FindSubmatch(b)
	if m == nil {
		r.t.Fatalf("%s", b)
	}
	return "http://" + string(m[1])
}

// addsCases runs the client of gateway/README.md at a gateway of alice, whose codes have 3 cases in 5, beside bob and carol, and
// looks at the sum.
func (r *rack) addsCases(t *testing.T, py, gateway string) {
	t.Helper()
	own := readMarkdown(t, "../gateway/README.md")["Your own microservice"]
	if own == nil || len(own.blocks) != 2 {
		t.Fatal("gateway/README.md has another section on microservices than this test knows")
	}
	id := uuid.NewString()
	script := strings.NewReplacer(`Api("http://127.0.0.1:55501")`, `Api("`+gateway+`")`, "http://127.0.0.1:55501", r.urls["alice"],
		"http://127.0.0.1:55502", r.urls["bob"], "http://127.0.0.1:55503", r.urls["carol"], "b8a3a5ac-1ad0-4d6c-9d1e-0d7d3f0f5b3c", id).Replace(own.blocks[0])
	for party, data := range map[string]string{"bob": "[1,0]", "carol": "[1,1,0]"} {
		body := fmt.Sprintf(`{"microprotocol":"SecureSum","data":%s,"parties":["alice","bob","carol"],"uuid":%q}`, data, id)
		if code, v := call(t, "POST", r.urls[party]+"/v1/jobs", body); code != http.StatusAccepted {
			t.Fatalf("%d %v", code, v)
		}
	}
	out, err := exec.Command(py, "-c", script).CombinedOutput()
	if want := "[1, 0, 1, 1, 0]\n{'inputs': 3, 'result': {'samples': 10, 'sum': 6}}\n"; err != nil || string(out) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
}

// member is the representation of a member of the object that meets the requirements.
func (r *rack) member(t *testing.T, party, requirements, name string) string {
	t.Helper()
	_, root := call(t, "POST", r.urls[party]+"/representations", `{"kwargs":`+requirements+`}`)
	_, v := call(t, "GET", fmt.Sprintf("%s/representation/%v/%s", r.urls[party], root["uuid"], name), "")
	id, _ := v["uuid"].(string)
	if id == "" {
		t.Fatalf("%s: %v, %s: %v", requirements, root, name, v)
	}
	return id
}

// serviceStats asks the instances of icd10 how many calls each has answered, as a gateway's user may.
func (r *rack) serviceStats(url string) func() []int {
	r.t.Helper()
	key, err := nats.NkeyOptionFromSeed(r.path("gateway-1", "gateway.nk"))
	must(r.t, err)
	var public string
	config, err := os.ReadFile(r.path("alice", "node.yaml"))
	must(r.t, err)
	if m := regexp.MustCompile(`gateways: \[(U\w{55})\]`).FindSubmatch(config); m != nil {
		public = string(m[1])
	}
	nc, err := nats.Connect(url, key, nats.CustomInboxPrefix("_INBOX."+public))
	must(r.t, err)
	r.t.Cleanup(nc.Close)
	return func() (n []int) {
		inbox := nc.NewInbox()
		sub, err := nc.SubscribeSync(inbox)
		must(r.t, err)
		defer func() { _ = sub.Unsubscribe() }()
		must(r.t, nc.PublishRequest("$SRV.STATS.icd10", inbox, nil))
		for {
			m, err := sub.NextMsg(500 * time.Millisecond)
			if err != nil || m.Header.Get("Status") != "" {
				return n
			}
			var s micro.Stats
			must(r.t, json.Unmarshal(m.Data, &s))
			n = append(n, s.Endpoints[0].NumRequests)
		}
	}
}
