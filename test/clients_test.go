package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/simon"
)

// clientTask is what clients/README.md describes: steps at one gateway.
type clientTask struct {
	Base  string       `json:"base"`
	Steps []clientStep `json:"steps"`
}

type clientStep struct {
	Do     string         `json:"do"`
	On     string         `json:"on,omitempty"`
	Name   string         `json:"name,omitempty"`
	As     string         `json:"as,omitempty"`
	Args   []any          `json:"args,omitempty"`
	Kwargs map[string]any `json:"kwargs,omitempty"`
	Want   any            `json:"want,omitempty"`

	expect string // a part of the outcome
}

type ref struct {
	Ref string `json:"ref"`
}

// clientOutcome is one line of a client's answer.
type clientOutcome string

// language runs tasks by one client of each at the same time, and returns their outcomes.
type language struct {
	name string
	run  func(t *testing.T, tasks []clientTask) [][]clientOutcome
}

func languages() []language {
	return []language{
		{"Python", func(t *testing.T, tasks []clientTask) [][]clientOutcome {
			return processes(t, tasks, python(t), "clients/driver.py")
		}},
		{"Node", func(t *testing.T, tasks []clientTask) [][]clientOutcome {
			return processes(t, tasks, interpreter(t, "node", "nodejs", "--version"), "clients/driver.mjs", "run")
		}},
		{"R", func(t *testing.T, tasks []clientTask) [][]clientOutcome {
			r := interpreter(t, "Rscript", "r-base-core r-cran-httr r-cran-jsonlite", "-e", "library(httr); library(jsonlite)")
			return processes(t, tasks, r, "clients/driver.R")
		}},
		{"Chromium", chromium},
	}
}

// interpreter finds a program and checks that it works.
func interpreter(t *testing.T, name, packages string, check ...string) string {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, check...).CombinedOutput(); err != nil {
		t.Fatalf("no working %s (%v: %s): `make deps` installs it, or `apt-get install --no-install-recommends %s`", name, err, out, packages)
	}
	return name
}

// processes gives each task to a process of its own.
func processes(t *testing.T, tasks []clientTask, program string, args ...string) [][]clientOutcome {
	t.Helper()
	all := make([][]clientOutcome, len(tasks))
	var wg sync.WaitGroup
	for i, task := range tasks {
		wg.Go(func() {
			in, err := json.Marshal(task)
			if err != nil {
				t.Error(err)
				return
			}
			c := exec.CommandContext(t.Context(), program, args...)
			var problems strings.Builder
			c.Stdin, c.Stderr = strings.NewReader(string(in)), &problems
			out, err := c.Output()
			if err != nil {
				t.Errorf("client %d: %v: %s", i, err, problems.String())
			}
			for line := range strings.Lines(string(out)) {
				all[i] = append(all[i], clientOutcome(strings.TrimSpace(line)))
			}
		})
	}
	wg.Wait()
	return all
}

// chromiumPage runs all tasks at the same time.
const chromiumPage = `<!doctype html><meta charset="utf-8"><title>weft</title><script type="module">
let done;
try {
  const { run } = await import("/driver.mjs");
  const tasks = await (await fetch("/tasks")).json();
  done = { outcomes: await Promise.all(tasks.map((task) => run(task))) };
} catch (e) {
  done = { failed: String(e) };
}
await fetch("/done", { method: "POST", body: JSON.stringify(done) });
</script>`

// chromium runs the tasks in a page of a server of its own, for which every gateway is another origin: the browser asks
// first whether it may.
func chromium(t *testing.T, tasks []clientTask) [][]clientOutcome {
	t.Helper()
	program := interpreter(t, "chromium", "chromium", "--version")
	var mu sync.Mutex
	preflights := 0
	tasks = slices.Clone(tasks)
	for i := range tasks {
		target, err := url.Parse(tasks[i].Base)
		if err != nil {
			t.Fatal(err)
		}
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			if r.In.Method == http.MethodOptions && r.In.Header.Get("Access-Control-Request-Method") != "" {
				mu.Lock()
				defer mu.Unlock()
				preflights++
			}
		}}
		s := httptest.NewServer(proxy)
		t.Cleanup(s.Close)
		tasks[i].Base = s.URL
	}
	type answer struct {
		Outcomes [][]json.RawMessage
		Failed   string
	}
	done := make(chan answer, 1)
	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, chromiumPage) })
	pages.HandleFunc("GET /driver.mjs", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		http.ServeFile(w, r, "clients/driver.mjs")
	})
	pages.HandleFunc("GET /tasks", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(tasks) })
	pages.HandleFunc("POST /done", func(_ http.ResponseWriter, r *http.Request) {
		var a answer
		if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
			a.Failed = err.Error()
		}
		done <- a
	})
	server := httptest.NewServer(pages)
	t.Cleanup(server.Close)

	home, err := os.MkdirTemp("", "weft-") // a short path: Chromium makes sockets in it
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(home)
	said := &lockedBuffer{}
	c := exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions",
		"--disable-background-networking", "--disable-breakpad", "--user-data-dir="+filepath.Join(home, "profile"), server.URL)
	c.Env, c.Stdout, c.Stderr = append(os.Environ(), "HOME="+home, "TMPDIR="+home), said, said
	c.WaitDelay = 10 * time.Second // for what Chromium started and left
	ownGroup(c)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = c.Wait() // for the first process, and for whatever else holds its output
		close(exited)
	}()
	defer func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(10*time.Second, func() { _ = signalGroup(c.Process, syscall.SIGKILL) })
		defer kill.Stop()
		<-exited
	}()
	select {
	case a := <-done:
		if a.Failed != "" {
			t.Fatalf("the page failed: %s", a.Failed)
		}
		all := make([][]clientOutcome, len(a.Outcomes))
		for i := range a.Outcomes {
			for _, o := range a.Outcomes[i] {
				all[i] = append(all[i], clientOutcome(o))
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if preflights == 0 {
			t.Error("the browser did not ask whether it may: the page was of the same origin")
		}
		return all
	case <-exited:
		t.Fatalf("Chromium ended and said:\n%s", said)
	case <-time.After(2 * patience):
		t.Fatalf("the page does not end; Chromium said:\n%s", said)
	}
	return nil
}

// expect compares the outcomes of steps with what each of them expects.
func expect(t *testing.T, steps []clientStep, outcomes []clientOutcome) {
	t.Helper()
	if len(outcomes) != len(steps) {
		t.Errorf("%d outcomes of %d steps", len(outcomes), len(steps))
		return
	}
	for i, s := range steps {
		want := s.expect
		if want == "" {
			want = `"representation"`
		}
		for part := range strings.SplitSeq(want, "…") {
			if text := strings.ReplaceAll(strings.ReplaceAll(string(outcomes[i]), `": `, `":`), ", ", ","); !strings.Contains(text, part) {
				t.Errorf("step %d, %s %s.%s(%v %v): %s, want %s", i, s.Do, s.On, s.Name, s.Args, s.Kwargs, outcomes[i], want)
			}
		}
	}
}

const aNone, anError = `{"none":true}`, `"error"`

// TestTutorialInEachLanguage is what the tutorial of Federated Secure Computing does, with its one uuid, twice.
func TestTutorialInEachLanguage(t *testing.T) {
	d := startDemo(t)
	for _, l := range languages() {
		t.Run(l.name, func(t *testing.T) {
			var tasks []clientTask
			for i, secret := range []int{19, 5, 61} {
				var steps []clientStep
				for range 2 {
					steps = append(steps,
						clientStep{Do: "create", Kwargs: map[string]any{"protocol": "Simon"}, As: "simon"},
						clientStep{Do: "call", On: "simon", Name: "compute", Kwargs: map[string]any{"microprotocol": "SecureSum", "data": secret,
							"network": map[string]any{"nodes": d.urls, "uuid": tutorialUUID, "myself": i}}, As: "result"},
						clientStep{Do: "download", On: "result", expect: `{"value":{"inputs":3,"result":{"samples":3,"sum":85}}}`})
				}
				tasks = append(tasks, clientTask{d.urls[i], steps})
			}
			for i, outcomes := range l.run(t, tasks) {
				expect(t, tasks[i].Steps, outcomes)
			}
		})
	}
}

// TestStudiesInEachLanguage: every microprotocol by compute, and as a task whose data come one after the other. Python does
// the same in TestStudies.
func TestStudiesInEachLanguage(t *testing.T) {
	d := startDemo(t)
	for _, l := range languages()[1:] {
		t.Run(l.name, func(t *testing.T) {
			tasks := make([]clientTask, 3)
			shown := map[int]study{} // by the step that downloads
			covered := map[string]bool{}
			for i := range tasks {
				tasks[i].Base = d.urls[i]
				tasks[i].Steps = []clientStep{{Do: "create", Kwargs: map[string]any{"protocol": "Simon"}, As: "simon"}}
			}
			for _, s := range studies {
				covered[s.Name] = true
				compute, task := uuid.NewString(), uuid.NewString()
				for i := range s.parties() {
					steps, downloads := s.steps(d.urls[:s.parties()], i, compute, task)
					for _, at := range downloads {
						if i == 0 {
							shown[len(tasks[i].Steps)+at] = s
						}
					}
					tasks[i].Steps = append(tasks[i].Steps, steps...)
				}
			}
			for _, m := range simon.Catalogue() {
				if !covered[m.Name] {
					t.Errorf("no study computes %s", m.Name)
				}
			}
			all := l.run(t, tasks)
			if t.Failed() {
				return
			}
			for i, outcomes := range all {
				expect(t, tasks[i].Steps, outcomes)
			}
			for at, s := range shown {
				var v struct{ Value json.RawMessage }
				if at >= len(all[0]) || json.Unmarshal([]byte(all[0][at]), &v) != nil {
					t.Errorf("%s: no result", s.Name)
					continue
				}
				s.check(t, string(v.Value))
			}
		})
	}
}

// steps are a study at one party, and which of them download its result. As tasks have as many steps as data, all parties
// download in steps of their own.
func (s study) steps(nodes []string, party int, compute, task string) (steps []clientStep, downloads []int) {
	var data any
	d := json.NewDecoder(strings.NewReader(s.Data[party]))
	d.UseNumber()
	if err := d.Decode(&data); err != nil {
		panic(err)
	}
	list, isList := data.([]any)
	if !isList {
		list = []any{data}
	}
	named := func(more map[string]any) map[string]any {
		more["microprotocol"] = s.Name
		if s.Parameters != nil {
			more["parameters"] = s.Parameters
		}
		return more
	}
	steps = append(steps,
		clientStep{Do: "call", On: "simon", Name: "compute", As: "result",
			Kwargs: named(map[string]any{"data": data, "network": map[string]any{"nodes": nodes, "uuid": compute, "myself": party}})},
		clientStep{Do: "download", On: "result", expect: fmt.Sprintf(`{"value":{"inputs":%d,`, s.parties())},
		clientStep{Do: "call", On: "simon", Name: "create_task", As: "task",
			Kwargs: named(map[string]any{"task_id": task, "network": map[string]any{"nodes": nodes, "myself": party}})},
		clientStep{Do: "call", On: "task", Name: "progress", expect: aNone},
		clientStep{Do: "call", On: "task", Name: "result", expect: aNone})
	for _, element := range list {
		steps = append(steps, clientStep{Do: "call", On: "task", Name: "input", Args: []any{[]any{element}}, expect: aNone})
	}
	steps = append(steps,
		clientStep{Do: "call", On: "task", Name: "start", expect: aNone},
		clientStep{Do: "until", On: "task", Name: "result", As: "result"},
		clientStep{Do: "download", On: "result", expect: fmt.Sprintf(`{"value":{"inputs":%d,`, s.parties())},
		clientStep{Do: "release", On: "task", expect: aNone})
	return steps, []int{1, len(steps) - 2}
}

// syncSteps are what one client does with sync objects, and what each call returns.
func syncSteps() []clientStep {
	id := uuid.NewString()
	call := func(on, name, want string, args ...any) []clientStep {
		s := []clientStep{{Do: "call", On: on, Name: name, Args: args, As: "it", expect: want}}
		if strings.HasPrefix(want, `{"value"`) {
			s[0].expect = ""
			s = append(s, clientStep{Do: "download", On: "it", expect: want})
		}
		return s
	}
	return slices.Concat(
		[]clientStep{
			{Do: "list", expect: `"microservice":"Barrier"…"microservice":"Broadcast"…"microservice":"KeyValueStorage"…"protocol":"Simon"`},
			{Do: "create", Kwargs: map[string]any{"plugin": "Sync", "microservice": "Barrier"}, As: "barriers"},
			{Do: "create", Kwargs: map[string]any{"microservice": "Broadcast"}, As: "broadcast"},
			{Do: "create", Kwargs: map[string]any{"plugin": "Util"}, As: "storages"},
			{Do: "call", On: "barriers", Name: "create", Kwargs: map[string]any{"uuid": id}, As: "barrier"},
			{Do: "call", On: "storages", Name: "create", As: "storage"},
		},
		call("barrier", "arrived", `{"value":0}`), call("barrier", "arrive", aNone, "a"), call("barrier", "arrive", aNone, "a"), call("barrier", "arrive", aNone, 7),
		call("barrier", "arrived", `{"value":2}`), call("barrier", "depart", aNone, "a"), call("barrier", "departed", `{"value":1}`), call("barrier", "reset", aNone),
		call("barrier", "arrived", `{"value":0}`), call("barrier", "departed", `{"value":1}`), call("barrier", "arrive", aNone, "b"), call("barrier", "departed", `{"value":0}`),
		call("barriers", "delete", aNone, id), call("barriers", "delete", anError+"…404", id), call("barrier", "arrived", anError+"…404"),
		call("broadcast", "create", aNone, id), call("broadcast", "receive", aNone, id), call("broadcast", "send", aNone, id, "hello"),
		call("broadcast", "receive", `{"value":"hello"}`, id), call("broadcast", "send", aNone, id, false), call("broadcast", "receive", `{"value":false}`, id),
		call("broadcast", "delete", aNone, id), call("broadcast", "delete", anError+"…404", id),
		call("storage", "exists", `{"value":false}`, "k"), call("storage", "store", aNone, "k", []any{[]any{1, 2}, []any{3, 4}}), call("storage", "retrieve", `{"value":[[1,2],[3,4]]}`, "k"),
		call("storage", "store", aNone, "k", 0), call("storage", "retrieve", `{"value":0}`, "k"), call("storage", "exists", `{"value":true}`, "k"),
		call("storage", "retrieve", aNone, "nothing"), call("storage", "delete", aNone, "k"), call("storage", "delete", anError+"…404", "k"),
		[]clientStep{
			// An argument by name may be a representation, which may be released afterwards.
			{Do: "upload", Args: []any{[]any{5, 6}}, As: "up"},
			{Do: "call", On: "storage", Name: "store", Kwargs: map[string]any{"key": "up", "value": ref{"up"}}, expect: aNone},
			{Do: "release", On: "up", expect: aNone},
			{Do: "download", On: "up", expect: anError + "…404"},
			{Do: "call", On: "storage", Name: "retrieve", Kwargs: map[string]any{"key": "up"}, As: "it"},
			{Do: "download", On: "it", expect: `{"value":[5,6]}`},
			{Do: "call", On: "storages", Name: "delete", expect: aNone},
		})
}

// errorSteps are what goes wrong, and what the client says of it.
func errorSteps(nodes []string) []clientStep {
	network := map[string]any{"nodes": nodes, "uuid": uuid.NewString(), "myself": 0}
	compute := func(change map[string]any, expect string) clientStep {
		kwargs := map[string]any{"microprotocol": "SecureSum", "data": []any{1, 2}, "network": network}
		maps.Copy(kwargs, change)
		return clientStep{Do: "call", On: "simon", Name: "compute", Kwargs: kwargs, expect: anError + "…" + expect}
	}
	return []clientStep{
		{Do: "create", Kwargs: map[string]any{"protocol": "SIMON"}, As: "simon"},
		{Do: "create", Kwargs: map[string]any{"protocol": "Nothing"}, expect: anError + "…404…meets these requirements"},
		{Do: "attribute", On: "simon", Name: "_secret", expect: anError + "…403…underscore"},
		{Do: "attribute", On: "simon", Name: "nothing", expect: anError + "…404…no attribute"},
		{Do: "upload", Args: []any{[]any{1, 2}}, As: "up"},
		{Do: "attribute", On: "up", Name: "append", expect: anError + "…404…no attribute"},
		{Do: "call", On: "up", Args: []any{1}, expect: anError + "…400…no function"},
		compute(map[string]any{"microprotocol": "SecureProduct"}, "501…is not available"),
		compute(map[string]any{"data": map[string]any{"a": "x"}}, "400…data"),
		compute(map[string]any{"network": map[string]any{"nodes": []any{nodes[0], "http://127.0.0.1:1"}, "uuid": network["uuid"], "myself": 0}}, "400…network.nodes[1]"),
		compute(map[string]any{"network": map[string]any{"nodes": nodes, "uuid": network["uuid"], "myself": 1}}, "400…network.myself"),
		compute(map[string]any{"more": 1}, "400…unknown argument"),
		{Do: "call", On: "simon", Name: "create_task", Kwargs: map[string]any{"microprotocol": "SecureSum", "network": network, "task_id": "x"}, expect: anError + "…400…task_id: it must be a UUID"},
		{Do: "call", On: "simon", Name: "get_task", Args: []any{uuid.NewString()}, expect: aNone},
		{Do: "call", On: "simon", Name: "create_task", Kwargs: map[string]any{"microprotocol": "SecureSum", "network": network}, As: "task"},
		{Do: "download", On: "task", expect: anError + "…400…no value"},
		{Do: "call", On: "task", Name: "start", expect: aNone}, // with no data, and alone
		{Do: "call", On: "task", Name: "input", Args: []any{[]any{1, 2}}, expect: anError + "…409…no more data"},
		{Do: "until", On: "task", Name: "result", expect: anError + "…504…bob,carol did not join"},
	}
}

// TestSyncObjectsAndErrorsInEachLanguage also has a client of each language meet the others at one gateway.
func TestSyncObjectsAndErrorsInEachLanguage(t *testing.T) {
	d := startDemo(t, "--deadline", "1s")
	all := languages()
	for _, l := range all {
		t.Run(l.name, func(t *testing.T) {
			tasks := []clientTask{{d.urls[1], syncSteps()}, {d.urls[0], errorSteps(d.urls)}}
			for i, outcomes := range l.run(t, tasks) {
				expect(t, tasks[i].Steps, outcomes)
			}
		})
	}
	t.Run("together", func(t *testing.T) {
		id := uuid.NewString()
		var wg sync.WaitGroup
		for i, l := range all {
			steps := []clientStep{
				{Do: "create", Kwargs: map[string]any{"microservice": "Barrier"}, As: "barriers"},
				{Do: "create", Kwargs: map[string]any{"microservice": "Broadcast"}, As: "broadcast"},
				{Do: "call", On: "barriers", Name: "create", Args: []any{id}, As: "barrier"},
				{Do: "call", On: "barrier", Name: "arrive", Args: []any{l.name}, expect: aNone},
				{Do: "until", On: "barrier", Name: "arrived", Want: len(all)},
			}
			if i == 0 {
				steps = append(steps, clientStep{Do: "call", On: "broadcast", Name: "send", Args: []any{id, "we are all here"}, expect: aNone})
			}
			steps = append(steps,
				clientStep{Do: "until", On: "broadcast", Name: "receive", Args: []any{id}, As: "it"},
				clientStep{Do: "download", On: "it", expect: `{"value":"we are all here"}`},
				clientStep{Do: "call", On: "barrier", Name: "depart", Args: []any{l.name}, expect: aNone},
				clientStep{Do: "until", On: "barrier", Name: "departed", Want: len(all)})
			wg.Go(func() {
				for _, outcomes := range l.run(t, []clientTask{{d.urls[2], steps}}) {
					expect(t, steps, outcomes)
				}
			})
		}
		wg.Wait()
	})
}

// TestBarrierOfTheReadme runs the example of gateway/README.md by three clients of one gateway.
func TestBarrierOfTheReadme(t *testing.T) {
	text, err := os.ReadFile("../gateway/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, found := strings.Cut(string(text), "```python\nbarrier = ")
	example, _, closed := strings.Cut(example, "```")
	if !found || !closed || !strings.Contains(example, `party="ann"`) {
		t.Fatalf("the example is not there: %q", example)
	}
	py, d := python(t), startDemo(t)
	var wg sync.WaitGroup
	for _, party := range []string{"ann", "dora", "eve"} {
		wg.Go(func() {
			script := fmt.Sprintf("import federatedsecure.client\napi = federatedsecure.client.Api(%q)\nbarrier = %s\nprint(api.download(barrier.arrived()))\n",
				d.urls[0], strings.ReplaceAll(example, `party="ann"`, fmt.Sprintf("party=%q", party)))
			if out, err := exec.CommandContext(t.Context(), py, "-c", script).CombinedOutput(); err != nil || string(out) != "3\n" {
				t.Errorf("%s: %v: %s", party, err, out)
			}
		})
	}
	wg.Wait()
}
