package test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
)

// guardedScript is the tutorial with credentials in the URL, the only place that the official client has for them.
const guardedScript = `
import sys
import federatedsecure.client
me, secret, uuid, nodes, api = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4].split(","), sys.argv[5]
api = federatedsecure.client.Api(api)
microservice = api.create(protocol="Simon")
result = microservice.compute(microprotocol="SecureSum", data=secret, network={"nodes": nodes, "uuid": uuid, "myself": me})
print(api.download(result))
`

// TestNodesWithAccessControl has three nodes that want tokens, one of them by TLS: people compute from the terminal and with
// the official client, see their own jobs alone, and are out a moment after their token has been revoked.
func TestNodesWithAccessControl(t *testing.T) {
	t.Parallel()
	py := python(t)
	r := prepareRack(t, rackOptions{})
	r.weft("ca", "issue", "gateway", "--host", "localhost", "--host", "127.0.0.1")
	pem, err := os.ReadFile(r.path("ca", "ca.crt"))
	must(t, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	r.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	t.Cleanup(r.client.CloseIdleConnections)

	plain := strings.Join([]string{r.urls["alice"], r.urls["bob"], r.urls["carol"]}, ",")
	tokens := map[string]string{}
	for _, name := range three {
		r.rewrite(name, "node.yaml", "    tokens: false\n", "    tokens: true\n")
		tokens[name] = strings.TrimSpace(r.weft("token", "create", "--config", name+"/node.yaml", "--name", "anna", "--role", "analyst"))
		must(t, os.WriteFile(r.path(name, "anna.token"), []byte(tokens[name]+"\n"), 0o600))
	}
	r.rewriteIn("alice", "node.yaml", "gateway", "    cert: \"\"\n", "    cert: ../gateway/tls.crt\n")
	r.rewriteIn("alice", "node.yaml", "gateway", "    key: \"\"\n", "    key: ../gateway/tls.key\n")
	r.urls["alice"] = strings.Replace(r.urls["alice"], "http:", "https:", 1)
	r.start()
	owner := strings.TrimSpace(r.weft("token", "create", "--config", "alice/node.yaml", "--name", "olga", "--role", "data-owner"))

	// From the terminal.
	id := uuid.NewString()
	r.together(func(i int, name string) *exec.Cmd {
		return exec.Command(binary, "run", "SecureSum", "--json", "--parties", strings.Join(three, ","), "--uuid", id, "--data", fmt.Sprint([]int{19, 5, 61}[i]),
			"--gateway", r.urls[name], "--token", "@"+name+"/anna.token", "--ca", "ca/ca.crt")
	}, `{"inputs":3,"result":{"samples":3,"sum":85}}`)
	// With the official client.
	id = uuid.NewString()
	r.together(func(i int, name string) *exec.Cmd {
		return exec.Command(py, "-c", guardedScript, fmt.Sprint(i), fmt.Sprint([]int{1, 2, 3}[i]), id, plain, strings.Replace(r.urls[name], "://", "://token:"+tokens[name]+"@", 1))
	}, `{'inputs': 3, 'result': {'samples': 3, 'sum': 6}}`)

	jobs := func(token string) string {
		q, err := http.NewRequestWithContext(t.Context(), "GET", r.urls["alice"]+"/v1/jobs", nil)
		must(t, err)
		if token != "" {
			q.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := r.client.Do(q)
		must(t, err)
		defer answer.Body.Close()
		var b bytes.Buffer
		_, err = b.ReadFrom(answer.Body)
		must(t, err)
		return fmt.Sprint(answer.StatusCode, " ", strings.Count(b.String(), `"owner":"token:anna"`))
	}
	second := strings.TrimSpace(r.weft("token", "create", "--config", "alice/node.yaml", "--name", "bert", "--role", "analyst"))
	for token, want := range map[string]string{"": "401 0", tokens["bob"]: "401 0", tokens["alice"]: "200 2", owner: "200 2"} {
		if got := jobs(token); got != want {
			t.Errorf("a list of jobs: %s, want %s", got, want)
		}
	}
	await(t, "the new token counts", func() bool { return jobs(second) == "200 0" })
	r.weft("token", "revoke", tokens["alice"], "--config", "alice/node.yaml")
	await(t, "the token is revoked", func() bool { return jobs(tokens["alice"]) == "401 0" })

	for _, name := range three {
		log := r.procs[name].life()
		if !strings.Contains(log, "msg=audit who=token:anna role=analyst what=\"POST /v1/jobs\"") || !strings.Contains(log, "what=\"PATCH /representation/{id}\"") {
			t.Errorf("%s does not log who computed", name)
		}
		for _, secret := range append([]string{owner, second}, tokens["alice"], tokens["bob"], tokens["carol"]) {
			if strings.Contains(log, secret[len(secret)-43:]) {
				t.Errorf("%s logs a token", name)
			}
		}
	}
}

// together runs a command for each party at once, in the rack's folder, and wants the same output of all.
func (r *rack) together(command func(i int, name string) *exec.Cmd, want string) {
	r.t.Helper()
	var wg sync.WaitGroup
	for i, name := range r.parties {
		wg.Go(func() {
			cmd := command(i, name)
			var stderr bytes.Buffer
			cmd.Dir, cmd.Env, cmd.Stderr = r.dir, rackEnviron(), &stderr
			out, err := cmd.Output()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) || strings.TrimSpace(string(out)) != want {
				r.t.Errorf("%s: %v\n%s%s\nwant %s", name, err, out, &stderr, want)
			}
		})
	}
	wg.Wait()
}
