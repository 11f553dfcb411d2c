package test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSchemathesis has schemathesis make requests out of openapi.yaml, right and wrong ones, and hold the answers of a node
// with access control against it: as an administrator and as an analyst.
func TestSchemathesis(t *testing.T) {
	t.Parallel()
	const examples = "6" // of each operation; not a time, in which a busy machine would try little
	program := filepath.Join(filepath.Dir(python(t)), "schemathesis")
	config, err := filepath.Abs("schemathesis.toml")
	must(t, err)
	r := prepareRack(t, rackOptions{})
	r.rewrite("alice", "node.yaml", "    tokens: false\n", "    tokens: true\n")
	r.rewrite("alice", "node.yaml", "  deadline: 5m0s\n", "  deadline: 1s\n") // nobody else takes part
	tokens := map[string]string{}
	for _, role := range []string{"admin", "analyst"} {
		tokens[role] = strings.TrimSpace(r.weft("token", "create", "--config", "alice/node.yaml", "--name", role, "--role", role))
	}
	r.start()
	for _, role := range []string{"admin", "analyst"} {
		t.Run(role, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, program, "--config-file", config, "run", r.urls["alice"]+"/openapi.yaml", "--header", "Authorization: Bearer "+tokens[role],
				"--max-examples", examples, "--request-timeout", "60", "--continue-on-failure", "--generation-database", "none", "--seed", "1", "--no-color")
			cmd.Dir, cmd.Env, cmd.WaitDelay = t.TempDir(), append(os.Environ(), "PYTHONWARNINGS=ignore"), 10*time.Second
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Run(); err != nil {
				t.Errorf("%v\n%s", err, strings.ReplaceAll(out.String(), tokens[role], "TOKEN"))
			}
			_, summary, found := strings.Cut(out.String(), "API Operations:")
			if !found || !strings.Contains(summary, "Tested: 26") {
				t.Errorf("not all operations were tried:\n%s", &out)
			}
			t.Log(strings.TrimSpace(summary))
		})
	}
	for _, line := range strings.Split(r.procs["alice"].log.String(), "\n") {
		if strings.Contains(line, "level=ERROR") || strings.Contains(line, "met a defect") {
			t.Error(line)
		}
	}
}
