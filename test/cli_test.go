package test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// command is a run of the weft command that may still go on.
type command struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr lockedBuffer
	done           chan struct{}
}

// weft starts the command against a party's gateway, in a folder of its own and without a terminal.
func (d *demoProcess) weft(t *testing.T, party int, stdin string, args ...string) *command {
	t.Helper()
	return startCommand(t, d.urls[party], stdin, args...)
}

// startCommand starts the command against a gateway.
func startCommand(t *testing.T, gateway, stdin string, args ...string) *command {
	t.Helper()
	c := &command{t: t, done: make(chan struct{})}
	c.cmd = exec.Command(binary, args...)
	c.cmd.Env = append(rackEnviron(), "WEFT_GATEWAY="+gateway)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = strings.NewReader(stdin), &c.stdout, &c.stderr
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(c.done); _ = c.cmd.Wait() }()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.done
	})
	return c
}

// code waits for the end of the command and returns its exit code.
func (c *command) code() int {
	c.t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		c.t.Fatalf("weft %q goes on: %s%s", c.cmd.Args[1:], &c.stdout, &c.stderr)
	}
	return c.cmd.ProcessState.ExitCode()
}

// ok waits for a good end and returns standard output.
func (c *command) ok() string {
	c.t.Helper()
	if code := c.code(); code != 0 {
		c.t.Fatalf("weft %q: exit code %d: %s%s", c.cmd.Args[1:], code, &c.stdout, &c.stderr)
	}
	return c.stdout.String()
}

// fails waits for an end with a code and checks what is on standard error.
func (c *command) fails(code int, wants ...string) {
	c.t.Helper()
	if got := c.code(); got != code || c.stdout.String() != "" {
		c.t.Errorf("weft %q: exit code %d, want %d; stdout %q", c.cmd.Args[1:], got, code, &c.stdout)
	}
	for _, want := range wants {
		if !strings.Contains(c.stderr.String(), want) {
			c.t.Errorf("weft %q: stderr lacks %q: %s", c.cmd.Args[1:], want, &c.stderr)
		}
	}
}

// says waits until standard error matches and returns the submatches.
func (c *command) says(pattern string) []string {
	c.t.Helper()
	want := regexp.MustCompile(pattern)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(patience); ; {
		if m := want.FindStringSubmatch(c.stderr.String()); m != nil {
			return m
		}
		select {
		case <-tick.C:
		case <-c.done:
			if m := want.FindStringSubmatch(c.stderr.String()); m != nil {
				return m
			}
			c.t.Fatalf("weft %q ended without saying %s: %s%s", c.cmd.Args[1:], pattern, &c.stdout, &c.stderr)
		case <-end:
			c.t.Fatalf("weft %q does not say %s: %s", c.cmd.Args[1:], pattern, &c.stderr)
		}
	}
}

// waitsFor follows a job until it waits for exactly these parties.
func (d *demoProcess) waitsFor(t *testing.T, party int, job string, parties ...string) {
	t.Helper()
	want := make([]any, len(parties))
	for i, p := range parties {
		want[i] = p
	}
	revision := "0"
	for end := time.Now().Add(patience); ; {
		a := send(t, "GET", d.urls[party]+"/v1/jobs/"+job+"?wait=10s&revision="+revision, nil)
		if a.body["state"] == "waiting" && reflect.DeepEqual(a.body["waiting"], want) {
			return
		}
		if a.body["state"] != "submitted" && a.body["state"] != "waiting" || time.Now().After(end) {
			t.Fatalf("party %d: the job waits for %v, want %v: %v", party, a.body["waiting"], want, a.body)
		}
		revision = regexp.MustCompile(`^\d+`).FindString(jsonText(t, a.body["revision"]))
	}
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// runs is the line by which the first party's command invites the others.
const runs = `\n  (weft run .* --uuid ([0-9a-f-]{36}) --gateway URL --data DATA)\n`

// Three terminals: the first makes the uuid and shows the others what to run.
func TestRunAtThreeTerminals(t *testing.T) {
	d := startDemo(t)
	csv := filepath.Join(t.TempDir(), "ages.csv")
	if err := os.WriteFile(csv, []byte("age,height\n19,1.75\n20,1.5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		flags []string
		want  string
	}{
		{nil, "inputs   3\nsamples  4\nsum      85, 6.75\n"},
		{[]string{"--json"}, `{"inputs":3,"result":{"samples":4,"sum":[85,6.75]}}` + "\n"},
	} {
		alice := d.weft(t, 0, "", append([]string{"run", "SecureSum", "--parties", "alice,bob,carol", "--data", "@" + csv}, c.flags...)...)
		m := alice.says(runs)
		if !strings.HasPrefix(m[1], "weft run SecureSum --parties alice,bob,carol --uuid ") {
			t.Errorf("the invitation is %q", m[1])
		}
		// The others run what they were sent, with their own gateway and data.
		invited := func(party int, stdin, data string) *command {
			line := strings.NewReplacer("URL", d.urls[party], "DATA", data).Replace(strings.TrimPrefix(m[1], "weft "))
			return d.weft(t, 0, stdin, append(strings.Fields(line), c.flags...)...)
		}
		bob := invited(1, "5,2\n", "-")
		carol := invited(2, "[[41, 1.5]]", "-")
		for i, r := range []*command{alice, bob, carol} {
			if out := r.ok(); out != c.want {
				t.Errorf("party %d with %v: %q, want %q", i, c.flags, out, c.want)
			}
			if i > 0 && strings.Contains(r.stderr.String(), "--uuid") {
				t.Errorf("party %d invites, too: %s", i, &r.stderr)
			}
		}
	}
}

// What the command prints of a refusal: the gateway's words, and nothing of the data.
func TestRunShowsTheGatewaysRefusal(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	d.weft(t, 0, "", "run", "SecureSum", "--parties", "alice,bob,mallory", "--data", private).fails(1, "weft: error: ", "parties[2]", `"mallory"`)
	d.weft(t, 0, "", "run", "SecureProduct", "--parties", "alice,bob", "--data", private).fails(1, "SecureProduct", "GET /v1/microprotocols")
	d.weft(t, 0, "["+private+", 1e300]", "run", "SecureSum", "--parties", "alice,bob", "--data", "-").fails(1, "data[1]: is out of range: |x| < 2.23e23")
	nan := d.weft(t, 0, "[1, NaN]", "run", "SecureSum", "--parties", "alice,bob", "--data", "-")
	nan.fails(1, "standard input is no JSON: line 1, column 5")
	late := d.weft(t, 0, private, "run", "SecureSum", "--parties", "alice,bob", "--data", "-", "--deadline", "1s")
	late.fails(1, "weft: error: SecureSum: bob did not join within 1s", "weft: hint: every party submits the same computation before the deadline, with --uuid ")
	if all := late.stderr.String(); strings.Contains(all, private) {
		t.Errorf("the data stand on standard error: %s", all)
	}
}

// Ctrl-C where nobody can be asked leaves the job to the gateway, where others find it.
func TestAnInterruptedRunGoesOn(t *testing.T) {
	d := startDemo(t)
	alice := d.weft(t, 0, "", "run", "SecureSum", "--parties", "alice,bob,carol", "--data", "19")
	id := alice.says(runs)[2]
	alice.says("waiting for bob and carol|waiting for bob, carol")
	if err := alice.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	alice.fails(130, "weft: interrupted", "goes on without this terminal", "weft job show ")
	show := regexp.MustCompile(`weft job show (\S+) --gateway (\S+)`).FindStringSubmatch(alice.stderr.String())
	if show == nil || show[2] != d.urls[0] {
		t.Fatalf("how to find the job again: %q in %s", show, &alice.stderr)
	}

	text := d.weft(t, 1, "", "job", "show", show[1], "--gateway", show[2]).ok()
	for _, want := range []string{`(?m)^computation +` + id + `$`, `(?m)^state +waiting$`, `(?m)^waiting for +bob, carol$`, `(?m)^parties +alice, bob, carol$`} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("job show lacks %s:\n%s", want, text)
		}
	}
	list := d.weft(t, 0, "", "job", "ls").ok()
	lines := strings.Split(strings.TrimSpace(list), "\n")
	if len(lines) != 3 || !regexp.MustCompile(`^ID +MICROPROTOCOL +STATE +DETAIL +AGE$`).MatchString(lines[0]) ||
		!regexp.MustCompile(`^`+show[1]+` +SecureSum +waiting +waiting for bob and carol until \d\d:\d\d UTC +\d+s$`).MatchString(lines[1]) ||
		!regexp.MustCompile(`^\S{36} +SecureSum +done +\d+s$`).MatchString(lines[2]) {
		t.Errorf("job ls says:\n%s", list)
	}

	for party, data := range []string{"", "5", "61"} {
		if party > 0 {
			d.submit(party, id, data)
		}
	}
	if code, got := d.result(0, show[1]); code != 200 || got["sum"] != 85.0 {
		t.Errorf("the job that went on: %d %v", code, got)
	}
	text = d.weft(t, 0, "", "job", "show", show[1]).ok()
	if !regexp.MustCompile(`(?m)^state +done$`).MatchString(text) || !strings.HasSuffix(text, "\n\ninputs   3\nsamples  3\nsum      85\n") {
		t.Errorf("job show says:\n%s", text)
	}
	var shown struct {
		ID, UUID, State string
		Result          struct{ Sum float64 }
	}
	if err := json.Unmarshal([]byte(d.weft(t, 0, "", "job", "show", show[1], "--json").ok()), &shown); err != nil ||
		shown.ID != show[1] || shown.UUID != id || shown.State != "done" || shown.Result.Sum != 85 {
		t.Errorf("job show --json: %v: %+v", err, shown)
	}
	d.weft(t, 1, "", "job", "show", show[1]).fails(1, "no such job") // it is alice's
	d.weft(t, 0, "", "job", "cancel", show[1]).ok()                  // too late, and said so
}

// One party gives its job up. The others go on waiting, for that party too; nobody is named who did nothing wrong.
func TestCancelMakesTheOthersWait(t *testing.T) {
	t.Parallel()
	d, again, late := startDemo(t), uuid.NewString(), uuid.NewString()
	run := func(party int, id, data string, more ...string) *command {
		return d.weft(t, party, "", append([]string{"run", "SecureSum", "--parties", "alice,bob,carol", "--uuid", id, "--data", data}, more...)...)
	}
	// Twice at once: under one uuid alice comes back, under the other she does not.
	bob, abandoned := run(1, again, "5"), run(1, late, "5", "--deadline", "6s")
	alice, gone := run(0, again, "1000"), run(0, late, "19")
	for _, c := range []*command{alice, gone} {
		c.says("waiting for carol")
	}
	job := func(party int, id string) string {
		for _, j := range send(t, "GET", d.urls[party]+"/v1/jobs", nil).body["jobs"].([]any) {
			if j := j.(map[string]any); j["uuid"] == id {
				return j["id"].(string)
			}
		}
		t.Fatalf("party %d has no job of %s", party, id)
		return ""
	}
	bobs := job(1, again)
	d.waitsFor(t, 1, bobs, "carol")
	for i, id := range []string{job(0, again), job(0, late)} {
		out := d.weft(t, 0, "", "job", "cancel", id).ok()
		if !regexp.MustCompile(`^job ` + id + ` is (being )?cancelled\n$`).MatchString(out) {
			t.Errorf("job cancel says %q", out)
		}
		[]*command{alice, gone}[i].fails(1, "weft: error: SecureSum: cancelled by the caller")
		out = d.weft(t, 0, "", "job", "cancel", id).ok() // a second time it changes nothing
		if out != "job "+id+" is cancelled\n" {
			t.Errorf("job cancel again says %q", out)
		}
	}

	d.waitsFor(t, 1, bobs, "alice", "carol")
	abandoned.fails(1, "weft: error: SecureSum: alice, carol did not join within 6s")

	alice, carol := run(0, again, "19"), run(2, again, "61")
	for i, c := range []*command{alice, bob, carol} {
		if out := c.ok(); out != "inputs   3\nsamples  3\nsum      85\n" {
			t.Errorf("party %d: %q", i, out)
		}
	}
	if list := d.weft(t, 0, "", "job", "ls").ok(); strings.Count(list, " cancelled ") < 2 || strings.Count(list, " done ") != 2 {
		t.Errorf("alice's jobs are\n%s", list)
	}
}

func TestMicroprotocolsAreDescribed(t *testing.T) {
	out, err := exec.Command(binary, "microprotocols", "SecureSum").Output()
	if err != nil {
		t.Fatal(err)
	}
	var entries []string
	for _, line := range strings.Split(string(out), "\n") {
		if name, text, ok := strings.Cut(line, " "); ok && name != "" {
			entries = append(entries, name)
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s has no text", name)
			}
		}
	}
	for _, want := range []string{"takes", "gives", "reveals", "hops", "bytes"} {
		if !slices.Contains(entries, want) {
			t.Errorf("%s is missing:\n%s", want, out)
		}
	}
	for _, want := range []string{"(?m)^hops +4 message steps", "(?m)^bytes +32 bytes to each receiver", "with two parties", "list of numbers"} {
		if !regexp.MustCompile(want).Match(bytes.Join(bytes.Fields(out), []byte(" "))) && !regexp.MustCompile(want).Match(out) {
			t.Errorf("%s is missing:\n%s", want, out)
		}
	}
	// What the command says is what a gateway says.
	d := startDemo(t)
	var own map[string]any
	all, err := exec.Command(binary, "microprotocols", "--json").Output()
	if err == nil {
		err = json.Unmarshal(all, &own)
	}
	if err != nil {
		t.Fatal(err)
	}
	if theirs := send(t, "GET", d.urls[0]+"/v1/microprotocols", nil).body; !reflect.DeepEqual(own, theirs) {
		t.Errorf("the command says\n%v\nand the gateway\n%v", own, theirs)
	}
}

func TestVersionIsForReports(t *testing.T) {
	out, err := exec.Command(binary, "version").Output()
	if err != nil || !regexp.MustCompile(`^weft +\S+\n(commit +[0-9a-f]{40}.*\n)?go +1\.\d+\S* \w+/\w+\nnats-server +2\.\d+\.\d+\n$`).Match(out) {
		t.Errorf("%v: %s", err, out)
	}
}
