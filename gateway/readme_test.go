package gateway

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/simon"
)

// readmeBlocks are the code blocks of a section of README.md, by language, in order.
func readmeBlocks(t *testing.T, section string) map[string][]string {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(readme), "\n## "+section+"\n")
	if !ok {
		t.Fatalf("README.md has no section %s", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	blocks := map[string][]string{}
	for _, m := range regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		blocks[m[1]] = append(blocks[m[1]], m[2])
	}
	return blocks
}

// withNode is a gateway with a catalogue of microprotocols that exist, and a node that brings each job to the same result
// while clients look.
func withNode(t *testing.T) *party {
	t.Helper()
	p := newParty(t, func(c *Config) { c.Catalogue = simon.Catalogue() })
	news := p.jobs.Changes(t.Context())
	go func() {
		for j := range news {
			if j.State != jobs.Submitted || j.CancelRequested {
				continue
			}
			for _, to := range []jobs.State{jobs.Waiting, jobs.Started, jobs.Committed, jobs.Done} {
				_, err := p.jobs.Change(t.Context(), j.ID, func(j jobs.Job) (jobs.Job, error) {
					j, err := j.Move(to)
					if to == jobs.Waiting {
						j.Waiting = []string{"carol"}
					}
					if to == jobs.Done && err == nil {
						j.Result, err = p.jobs.Put(t.Context(), []byte(`{"samples":5,"sum":85.5}`))
					}
					return j, err
				})
				if err != nil {
					return // the test has ended
				}
				<-time.After(20 * time.Millisecond)
			}
		}
	}()
	return p
}

// run gives a program its text, with the gateway's address in place of the one that README.md has.
func (p *party) run(name string, args []string, text string) string {
	p.t.Helper()
	const stands = "http://127.0.0.1:55501"
	if !strings.Contains(text, stands) {
		p.t.Errorf("%s does not speak to %s:\n%s", name, stands, text)
	}
	c := exec.CommandContext(p.t.Context(), name, append(args, strings.ReplaceAll(text, stands, p.server.URL))...)
	out, err := c.CombinedOutput()
	if err != nil {
		p.t.Errorf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// Readers paste README.md's clients, and see the result.
func TestClientsOfTheReadme(t *testing.T) {
	p := withNode(t)
	blocks := readmeBlocks(t, "Clients")
	for _, tt := range []struct {
		language, program string
		args              []string
		last              string
	}{
		{"python", "python3", []string{"-c"}, "{'samples': 5, 'sum': 85.5}\n"},
		{"js", "node", []string{"--input-type=module", "-e"}, `{"samples":5,"sum":85.5}` + "\n"},
		{"sh", "sh", []string{"-c"}, `"result":{"samples":5,"sum":85.5}}`},
	} {
		if len(blocks[tt.language]) != 1 {
			t.Fatalf("README.md has %d clients in %s", len(blocks[tt.language]), tt.language)
		}
		out := p.run(tt.program, tt.args, blocks[tt.language][0])
		if !strings.HasSuffix(out, tt.last) || tt.language == "python" && !strings.HasPrefix(out, "accepted; ") {
			t.Errorf("%s prints\n%s", tt.language, out)
		}
	}
	if len(blocks["r"]) != 1 {
		t.Fatalf("README.md has %d clients in R", len(blocks["r"]))
	}
	r := blocks["r"][0]
	if exec.Command("Rscript", "-e", "library(httr)").Run() == nil {
		if out := p.run("Rscript", []string{"-e"}, r); !strings.Contains(out, "85.5") {
			t.Errorf("R prints\n%s", out)
		}
	}
	// Where there is no R its request is read all the same.
	_, body, _ := strings.Cut(r, `"/v1/jobs", '`)
	body, _, _ = strings.Cut(body, "'")
	p.want(p.do("POST", "/v1/jobs", body, "Idempotency-Key: from-r"), 202, `"state":"submitted"`)
}

// A client of README.md says what was wrong.
func TestClientsShowProblems(t *testing.T) {
	p := withNode(t)
	blocks := readmeBlocks(t, "Clients")
	for language, program := range map[string][]string{"python": {"python3", "-c"}, "js": {"node", "--input-type=module", "-e"}} {
		text := strings.Replace(strings.ReplaceAll(blocks[language][0], "http://127.0.0.1:55501", p.server.URL), `"SecureSum"`, `"SecureSun"`, 1)
		out, err := exec.CommandContext(t.Context(), program[0], append(program[1:], text)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "/problems/unknown-microprotocol: microprotocol: ") {
			t.Errorf("%s: %v\n%s", language, err, out)
		}
	}
}

// The commands of README.md's first section, one after the other.
func TestCurlOfTheReadme(t *testing.T) {
	p := withNode(t)
	blocks := readmeBlocks(t, "A computation by curl")["sh"]
	if len(blocks) != 2 {
		t.Fatalf("%d blocks", len(blocks))
	}
	var v jobView
	if out := p.run("sh", []string{"-c"}, blocks[0]); json.Unmarshal([]byte(out), &v) != nil || v.State != "submitted" {
		t.Fatal(out)
	}
	asked := 0
	for line := range strings.Lines(blocks[1]) {
		if strings.HasPrefix(line, "JOB=") {
			continue
		}
		asked++
		if out := p.run("sh", []string{"-c"}, "JOB="+v.ID.String()+"\n"+line); strings.Contains(out, problemURI) || out == "" && !strings.Contains(line, "DELETE") {
			t.Errorf("%s\n%s", line, out)
		}
	}
	if asked < 10 {
		t.Errorf("%d commands", asked)
	}
}
