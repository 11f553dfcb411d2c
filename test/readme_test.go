package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// section is a part of a Markdown document under one heading.
type section struct {
	title  string
	text   string
	blocks []string // of code, indented or fenced, without their indentation
	spans  []string // of code inside the text
}

var codeSpan = regexp.MustCompile("`([^`\n]+)`")

// readMarkdown takes a document apart as far as these documents need it.
func readMarkdown(t testing.TB, path string) map[string]*section {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*section{}
	now := &section{}
	var block []string
	end := func() {
		if len(block) > 0 {
			now.blocks = append(now.blocks, strings.TrimRight(strings.Join(block, "\n"), "\n"))
		}
		block = nil
	}
	fenced := false
	for _, line := range strings.Split(string(b), "\n") {
		title, heading := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		code, indented := strings.CutPrefix(line, "    ")
		switch {
		case strings.HasPrefix(line, "```"):
			end()
			fenced = !fenced
		case fenced:
			block = append(block, line)
		case strings.HasPrefix(line, "#") && heading:
			end()
			now = &section{title: title}
			all[title] = now
		case indented, line == "" && block != nil:
			block = append(block, code)
		default:
			end()
			now.text += line + "\n"
			for _, m := range codeSpan.FindAllStringSubmatch(line, -1) {
				now.spans = append(now.spans, m[1])
			}
		}
	}
	end()
	return all
}

// isCommand finds the lines that a reader would type; `weft demo: …` is what it answers.
var isCommand = regexp.MustCompile(`^(go|make|weft|nats|curl|pip|python3?) [a-z-]+( |$)`)

// commands are the lines of a section that a reader would type, those in its text included, and the other blocks.
func (s *section) commands() (commands, outputs []string) {
	for _, b := range s.blocks {
		if !isCommand.MatchString(b) && !strings.HasPrefix(b, "go run ./") {
			outputs = append(outputs, b)
			continue
		}
		commands = append(commands, strings.Split(b, "\n")...)
	}
	for _, c := range s.spans {
		if isCommand.MatchString(c) && strings.Contains(c, " ") {
			commands = append(commands, c)
		}
	}
	return commands, outputs
}

// defaultPorts makes sure that the demo's own ports are free. A port of theirs can also be in use for a minute as the near
// end of some finished connection; nobody listens there then, and it is worth waiting for.
func defaultPorts(t *testing.T) {
	t.Helper()
	for port := 55501; port <= 55503; port++ {
		address := fmt.Sprintf("127.0.0.1:%d", port)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for end := time.After(90 * time.Second); ; {
			l, err := net.Listen("tcp", address)
			if err == nil {
				l.Close()
				break
			}
			if c, dialled := net.Dial("tcp", address); dialled == nil {
				c.Close()
				t.Fatalf("something listens on port %d, which README.md's commands use: stop it (another `weft demo`?) and test again", port)
			}
			select {
			case <-tick.C:
			case <-end:
				t.Fatalf("port %d, which README.md's commands use, does not become free: %v", port, err)
			}
		}
	}
}

// A reader types what README.md says, from the first screen to the computation of their own, and sees what it shows.
func TestReadme(t *testing.T) {
	all := readMarkdown(t, "../README.md")
	first, own := all["weft"], all["Compute something yourself"]
	if first == nil || own == nil {
		t.Fatal("README.md has other sections than this test knows")
	}
	commands, outputs := first.commands()
	if len(commands) == 0 || commands[0] != "go run ./cmd/weft demo" || len(outputs) != 1 {
		t.Fatalf("the first screen has the commands %q and the outputs %q", commands, outputs)
	}
	py := python(t)
	defaultPorts(t)
	cmd := exec.Command("go", strings.Fields(commands[0])[1:]...)
	cmd.Dir = ".."
	ownGroup(cmd)
	d := watchDemo(t, cmd)
	sameForm(t, outputs[0], d.stdout.String())
	d.printedPython(t, py)

	for _, c := range commands[1:] {
		switch c {
		case "make test", "make deps": // the one runs this test, the other installs, so only what they would do is looked at
			target := strings.TrimPrefix(c, "make ")
			run := exec.Command("make", "--dry-run", target)
			run.Dir = ".."
			want := map[string]string{"test": "go test -parallel 4 ./test ./node ./...", "deps": "apt-get install"}[target]
			if out, err := run.CombinedOutput(); err != nil || !strings.Contains(string(out), want) {
				t.Errorf("%s: %v: %s", c, err, out)
			}
		default:
			t.Errorf("this test does not know the command %q of the first screen", c)
		}
	}
	mod, err := os.ReadFile("../go.mod")
	if m := regexp.MustCompile(`You need Go (\d+\.\d+)\.`).FindStringSubmatch(first.text); err != nil || m == nil || !strings.Contains(string(mod), "\ngo "+m[1]) {
		t.Errorf("the Go release that README.md names (%q) is not go.mod's: %v", m, err)
	}

	commands, outputs = own.commands()
	if len(outputs) != 0 {
		t.Errorf("this test does not know the outputs %q", outputs)
	}
	var runs []*command
	for _, c := range commands {
		words := strings.Fields(c)
		switch {
		case strings.HasPrefix(c, "weft run "):
			runs = append(runs, bare(t, words[1:]...))
		case c == "go build -o weft ./cmd/weft":
			words[3] = filepath.Join(t.TempDir(), "weft")
			build := exec.Command(words[0], words[1:]...)
			build.Dir = ".."
			if out, err := build.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s", c, err, out)
			} else if out, err := exec.Command(words[3], "version").Output(); err != nil || !strings.HasPrefix(string(out), "weft ") {
				t.Errorf("what %s made says %v: %s", c, err, out)
			}
		case c == "weft job ls":
			if out := bare(t, words[1:]...).ok(); !strings.Contains(out, " SecureSum ") {
				t.Errorf("%s: %s", c, out)
			}
		case c == "weft job watch", c == "weft job result": // of the demo's own sum
			lines := strings.Split(bare(t, "job", "ls", "--output", "csv").ok(), "\n")
			if len(lines) < 2 {
				t.Fatalf("no jobs: %q", lines)
			}
			id, _, _ := strings.Cut(lines[1], ",")
			if out := bare(t, append(words[1:], id)...).ok(); !strings.Contains(out, "SecureSum: done\n") && !strings.Contains(out, "sum      85\n") {
				t.Errorf("%s: %s", c, out)
			}
		case c == "weft microprotocols":
			if out := bare(t, words[1:]...).ok(); !strings.Contains(out, "\nSecureSum ") {
				t.Errorf("%s: %s", c, out)
			}
		default:
			t.Errorf("this test does not know the command %q", c)
		}
	}
	if len(runs) != 3 {
		t.Errorf("README.md runs %d parties", len(runs))
	}
	for i, r := range runs {
		if out := r.ok(); out != "inputs   3\nsamples  3\nsum      85\n" {
			t.Errorf("party %d: %q", i, out)
		}
	}
	readmeStudy(t, all["A study"])
	d.signal(syscall.SIGINT)
	for _, url := range d.urls {
		if c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")); err == nil {
			c.Close()
			t.Errorf("after Ctrl-C something listens at %s", url)
		}
	}
}

// readmeStudy runs the commands of README.md's study as they stand there, once more with the other microprotocol that it
// names, and finds the table that it shows.
func readmeStudy(t *testing.T, s *section) {
	t.Helper()
	if s == nil {
		t.Fatal("README.md has no study")
	}
	commands, outputs := s.commands()
	commands = slices.DeleteFunc(commands, func(c string) bool { return !strings.HasPrefix(c, "weft run ") })
	if len(commands) != 3 || len(outputs) != 1 {
		t.Fatalf("README.md's study has the commands %q and shows %q", commands, outputs)
	}
	picture := filepath.Join(t.TempDir(), "survival.svg")
	for change, want := range map[string]string{"KaplanMeier": outputs[0], "LogRank": "p_value      0.0043"} {
		var runs []*command
		for _, c := range commands {
			c = strings.Replace(c, "KaplanMeier", change, 1)
			c = strings.ReplaceAll(c, "@deploy/", "@../deploy/")
			if change == "KaplanMeier" {
				c = strings.Replace(c, "survival.svg", picture, 1)
			} else {
				c = strings.Replace(c, " --plot survival.svg", "", 1)
			}
			runs = append(runs, bare(t, strings.Fields(c)[1:]...))
		}
		for i, r := range runs {
			if out := r.ok(); !strings.Contains(out, want) {
				t.Errorf("party %d: %s\nwant %s", i, out, want)
			}
		}
	}
	if b, err := os.ReadFile(picture); err != nil || !strings.Contains(string(b), "At risk") {
		t.Errorf("the picture: %v, %d bytes", err, len(b))
	}
}

// bare runs the command without any environment of the tests' own: the default gateway is the first of the demo.
func bare(t *testing.T, args ...string) *command {
	t.Helper()
	return (&demoProcess{urls: []string{""}}).weft(t, 0, "", args...)
}

// sameForm compares an output in a document with a real one, line by line: durations differ.
func sameForm(t *testing.T, shown, real string) {
	t.Helper()
	duration := regexp.MustCompile(`\b\d+(\.\d+)?(µs|ms|s)\b`)
	got := strings.Split(real, "\n")
	for i, want := range strings.Split(shown, "\n") {
		if i >= len(got) || duration.ReplaceAllString(want, "TIME") != duration.ReplaceAllString(got[i], "TIME") {
			t.Errorf("the document shows\n%s\nand the command says\n%s", want, strings.Join(got[min(i, len(got)):], "\n"))
			return
		}
	}
}

// printedPython saves the program that the demo prints, and runs it as the demo says, once for each party.
func (d *demoProcess) printedPython(t *testing.T, python string) {
	t.Helper()
	m := regexp.MustCompile(`(?s)pip install (\S+), save this as (\S+), and run\npython3 (\S+) 0, python3 (\S+) 1 … in (\d+) terminals.*?\n\n(import .*)\n\nCtrl-C`).
		FindStringSubmatch(d.stdout.String())
	if m == nil || m[2] != m[3] || m[2] != m[4] || m[5] != fmt.Sprint(len(d.urls)) {
		t.Fatalf("the demo shows no program: %q", m)
	}
	installed, err := os.ReadFile("requirements.txt")
	if err != nil || !strings.HasPrefix(string(installed), m[1]+"==") {
		t.Errorf("the demo wants the package %s, the tests %q: %v", m[1], installed, err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, m[2]), []byte(m[6]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range d.urls {
		wg.Go(func() {
			cmd := exec.Command(python, m[2], fmt.Sprint(i))
			cmd.Dir = dir
			out, err := cmd.CombinedOutput()
			if err != nil || string(out) != "{'inputs': 3, 'result': {'samples': 3, 'sum': 85}}\n" {
				t.Errorf("%s %d: %v: %s", m[2], i, err, out)
			}
		})
	}
	wg.Wait()
}

// What deploy/README.md says of the NATS command line: the same requests with the context that the demo writes for it.
func TestLookingAtTheFabric(t *testing.T) {
	s := readMarkdown(t, "../deploy/README.md")["Looking at the fabric with the NATS command line"]
	if s == nil {
		t.Fatal("deploy/README.md has other sections than this test knows")
	}
	commands, outputs := s.commands()
	if len(commands) != 4 || len(outputs) != 0 || !strings.HasPrefix(commands[0], "weft demo --nats 127.0.0.1:") {
		t.Fatalf("the commands are %q, the outputs %q", commands, outputs)
	}
	config := t.TempDir()
	words := strings.Fields(commands[0])
	if l, err := net.Listen("tcp", words[3]); err != nil {
		t.Logf("%s is in use here (%v): another port is taken", words[3], err)
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		words[3] = l.Addr().String()
		l.Close()
	} else {
		l.Close()
	}
	d := startDemoEnv(t, []string{"XDG_CONFIG_HOME=" + config}, append(words[2:], "--port", "0")...)
	file := filepath.Join(config, "nats", "context", "weft-demo.json")
	asked := map[string]bool{}
	for _, c := range commands[1:] {
		m := regexp.MustCompile(`^nats --context (\S+) micro (ls|info|stats)(?: (\S+))?$`).FindStringSubmatch(c)
		if m == nil || m[1]+".json" != filepath.Base(file) || m[2] != "ls" && m[3] != "weft-coordinator" {
			t.Errorf("this test does not know the command %q", c)
			continue
		}
		asked[m[2]] = true
	}
	if len(asked) != 3 {
		t.Errorf("the commands are %q", commands)
	}
	for _, c := range commands[1:3] {
		if !strings.Contains(d.stdout.String(), "\n  "+c+"\n") {
			t.Errorf("the demo itself does not show %q", c)
		}
	}
	lookAround(t, file, words[3])
	d.signal(syscall.SIGINT)
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the context is still there after the end: %v", err)
	}
}

// lookAround connects as the NATS CLI does with a context, asks what `nats micro` asks, and tries to speak.
func lookAround(t *testing.T, file, address string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var context struct{ Description, URL, NKey string }
	if err := json.Unmarshal(b, &context); err != nil || context.URL != "nats://"+address || context.Description == "" {
		t.Fatalf("the context is %s: %v", b, err)
	}
	for _, secret := range []string{file, context.NKey} {
		if i, err := os.Stat(secret); err != nil || runtime.GOOS != "windows" && i.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", secret, i, err)
		}
	}
	key, err := nats.NkeyOptionFromSeed(context.NKey)
	if err != nil {
		t.Fatal(err)
	}
	refusals := make(chan error, 16)
	nc, err := nats.Connect(context.URL, key, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refusals <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ask := func(subject string, into any) {
		t.Helper()
		answer, err := nc.Request(subject, nil, 10*time.Second)
		if err != nil {
			t.Fatalf("%s: %v", subject, err)
		}
		if err := json.Unmarshal(answer.Data, into); err != nil {
			t.Fatalf("%s: %v: %s", subject, err, answer.Data)
		}
	}
	var ping micro.Ping
	var info, listed micro.Info
	var stats micro.Stats
	ask("$SRV.PING", &ping)
	ask("$SRV.INFO", &listed)
	ask("$SRV.INFO.weft-coordinator", &info)
	ask("$SRV.STATS.weft-coordinator", &stats)
	if ping.Name != "weft-coordinator" || ping.Type != micro.PingResponseType || listed.Name != ping.Name || info.ID != ping.ID || info.Description == "" {
		t.Errorf("ping says %+v, info %+v", ping, info)
	}
	joins := 0
	for _, e := range stats.Endpoints {
		if e.Subject == "weft.coordinator.join.*" {
			joins = e.NumRequests
		}
	}
	if len(info.Endpoints) == 0 || len(stats.Endpoints) != len(info.Endpoints) || joins < 3 {
		t.Errorf("info says %+v, stats %+v", info.Endpoints, stats.Endpoints)
	}

	if len(refusals) > 0 {
		t.Errorf("looking was refused: %v", <-refusals)
	}
	for _, subject := range []string{"weft.coordinator.join.alice", "weft.start.alice", "weft.c.x.alice.bob"} {
		if err := nc.Publish(subject, nil); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-refusals:
			if !strings.Contains(strings.ToLower(err.Error()), "permissions violation for publish to \""+subject) {
				t.Errorf("speaking on %s: %v", subject, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("the user who may look can speak on %s", subject)
		}
	}
}

// The table of what lies in a state folder is complete, and its secrets are readable by their owner only.
func TestStateFolderIsAsDescribed(t *testing.T) {
	s := readMarkdown(t, "../deploy/README.md")["State"]
	if s == nil || !slices.Contains(s.spans, "weft demo --state DIR") {
		t.Fatal("deploy/README.md has other sections or commands than this test knows")
	}
	state := t.TempDir()
	d := startDemo(t, "--state", state)
	folders := []string{"alice", "bob", "carol"}
	described := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| (.*?) \| (.*?) \|(.*)\|$`).FindAllStringSubmatch(s.text, -1) {
		first := ""
		for _, m := range codeSpan.FindAllStringSubmatch(row[1], -1) {
			path := strings.TrimPrefix(m[1], "DIR/")
			if extension, short := strings.CutPrefix(path, "."); short {
				path = strings.TrimSuffix(first, filepath.Ext(first)) + "." + extension
			}
			first = path
			for _, name := range folders {
				described[strings.Replace(path, "<party>", name, 1)] = true
			}
		}
		if first == "" && !strings.Contains(row[1], "---") && row[1] != "path" {
			t.Errorf("this test does not know the row %q", row[0])
		}
	}
	for path := range described {
		if _, err := os.Stat(filepath.Join(state, path)); err != nil {
			t.Errorf("deploy/README.md describes %s: %v", path, err)
		}
	}
	err := filepath.WalkDir(state, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == state {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(state, path)
		if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %s", name, info.Mode())
		}
		switch {
		case described[filepath.ToSlash(name)] && e.IsDir():
			return fs.SkipDir
		case described[filepath.ToSlash(name)], e.IsDir():
			return nil
		}
		t.Errorf("deploy/README.md does not describe %s", name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	d.signal(syscall.SIGTERM)
}
