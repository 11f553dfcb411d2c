package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// tutorialUUID is the one that the Federated Secure Computing tutorial uses in all its runs.
const tutorialUUID = "387a7282-c380-44c9-aede-08da7e931931"

// runDemo is the whole life of the command.
func runDemo(ctx context.Context, f demoFlags, stdout, stderr io.Writer) (err error) {
	if err := f.check(); err != nil {
		return err
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return usageError("--log-level %s: use debug, info, warn or error", f.logLevel)
	}
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	began := time.Now()
	d, err := startDemo(context.WithoutCancel(ctx), f, logger)
	defer func() { err = errors.Join(err, d.close()) }()
	if err != nil {
		return err
	}
	values := demoValues(len(d.names))
	sumBegan := time.Now()
	result, err := d.sum(ctx, values)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("the demo's own computation: %w", err)
	}
	if f.once {
		_, err := fmt.Fprintf(stdout, "%s\n", result)
		return err
	}
	took := time.Since(sumBegan)
	if err := d.writeContext(); err != nil {
		return err
	}
	defer d.removeContext()
	d.explain(stdout, values, result, took, time.Since(began))
	<-ctx.Done()
	return nil
}

// demoValues is what the parties give: the tutorial's three numbers, then others.
func demoValues(n int) []int {
	values := []int{19, 5, 61}
	for i := len(values); i < n; i++ {
		values = append(values, 7*i%50+1)
	}
	return values[:n]
}

// sum computes once through the parties' own gateways, as any client would.
func (d *demo) sum(ctx context.Context, values []int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	type answer struct {
		party int
		body  []byte
		err   error
	}
	id := uuid.NewString()
	answers := make(chan answer, len(d.urls))
	for i, url := range d.urls {
		go func() {
			body, err := demoSum(ctx, url, d.names, id, values[i])
			answers <- answer{i, body, err}
		}()
	}
	all := make([][]byte, len(d.urls))
	for range d.urls {
		a := <-answers
		if a.err != nil {
			return nil, fmt.Errorf("%s: %w", d.names[a.party], a.err)
		}
		all[a.party] = a.body
	}
	for i := range all {
		if !bytes.Equal(all[i], all[0]) {
			return nil, fmt.Errorf("%s got %s and %s got %s", d.names[0], all[0], d.names[i], all[i])
		}
	}
	return fmt.Appendf(nil, `{"inputs":%d,"result":%s}`, len(d.names), all[0]), nil
}

// demoSum submits one party's job and waits for its result.
func demoSum(ctx context.Context, gateway string, parties []string, id string, value int) ([]byte, error) {
	request, err := json.Marshal(map[string]any{"microprotocol": "SecureSum", "data": value, "parties": parties, "uuid": id})
	if err != nil {
		return nil, err
	}
	body, err := demoCall(ctx, http.MethodPost, gateway+"/v1/jobs", request)
	if err != nil {
		return nil, err
	}
	var job struct{ ID string }
	if err := json.Unmarshal(body, &job); err != nil {
		return nil, err
	}
	body, err = demoCall(ctx, http.MethodGet, gateway+"/v1/jobs/"+job.ID+"/result", nil)
	return bytes.TrimSpace(body), err
}

func demoCall(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, url, answer.Status, b)
	}
	return b, err
}

// explain says what has happened and what to do next.
func (d *demo) explain(w io.Writer, values []int, result []byte, took, ready time.Duration) {
	var envelope struct {
		Result struct {
			Sum json.Number
		}
	}
	_ = json.Unmarshal(result, &envelope)
	given := make([]string, len(values))
	for i, v := range values {
		given[i] = fmt.Sprintf("%s gave %d", d.names[i], v)
	}
	fmt.Fprintf(w, "weft demo: %s; all of them learned the sum, %s, and nothing else (%s).\n\n",
		strings.Join(given, ", "), envelope.Result.Sum, took.Round(100*time.Microsecond))
	fmt.Fprintf(w, "Gateways, ready after %s:\n", ready.Round(time.Millisecond))
	for i, url := range d.urls {
		fmt.Fprintf(w, "  %-6s %s\n", d.names[i], url)
	}
	if d.opsURL != "" {
		name := strings.TrimSuffix(filepath.Base(d.context), ".json")
		fmt.Fprintf(w, "\nBroker at %s. With the NATS CLI:\n  nats --context %s micro ls\n  nats --context %s micro info weft-coordinator\n",
			d.opsURL, name, name)
	}
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = strconv.Itoa(v)
	}
	fmt.Fprintf(w, "\nThe same from Python: pip install federatedsecure-client, save this as sum.py, and run\npython3 sum.py 0, python3 sum.py 1 … in %d terminals, one for each party.\n\n", len(values))
	fmt.Fprintf(w, `import sys
import federatedsecure.client

nodes = ["%s"]
me = int(sys.argv[1])
api = federatedsecure.client.Api(nodes[me])
simon = api.create(protocol="Simon")
result = simon.compute(microprotocol="SecureSum", data=[%s][me],
                       network={"nodes": nodes, "uuid": "%s", "myself": me})
print(api.download(result))
`, strings.Join(d.urls, "\",\n         \""), strings.Join(list, ", "), tutorialUUID)
	fmt.Fprintf(w, "\nCtrl-C ends the demo.\n")
}

// demoContext is the name of the NATS CLI's context.
const demoContext = "weft-demo"

// writeContext makes the NATS CLI's context where the broker listens.
func (d *demo) writeContext() error {
	if d.opsURL == "" {
		return nil
	}
	dir, err := contextDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of the NATS CLI's contexts: %w", err)
	}
	seed, err := d.ops.Seed()
	if err != nil {
		return err
	}
	key := filepath.Join(d.states[0].dir, "ops.nk")
	if err := os.WriteFile(key, seed, 0o600); err != nil {
		return err
	}
	text, err := json.MarshalIndent(map[string]string{
		"description": "weft demo: the operators' account, for looking", "url": d.opsURL, "nkey": key,
	}, "", "  ")
	if err != nil {
		return err
	}
	d.context = filepath.Join(dir, demoContext+".json")
	f, err := os.OpenFile(d.context, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) && staleContext(d.context) {
		f, err = os.OpenFile(d.context, os.O_WRONLY|os.O_TRUNC, 0o600)
	}
	if errors.Is(err, os.ErrExist) {
		d.context = filepath.Join(dir, fmt.Sprintf("%s-%d.json", demoContext, os.Getpid()))
		f, err = os.OpenFile(d.context, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	}
	if err != nil {
		d.context = ""
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// staleContext reports whether a context's key is gone, as after a demo that was killed.
func staleContext(path string) bool {
	b, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	var c struct{ NKey string }
	if json.Unmarshal(b, &c) != nil || c.NKey == "" {
		return false
	}
	_, err = os.Stat(c.NKey)
	return errors.Is(err, os.ErrNotExist)
}

func (d *demo) removeContext() {
	if d.context != "" {
		_ = os.Remove(d.context)
		_ = os.Remove(filepath.Join(d.states[0].dir, "ops.nk"))
	}
}

// contextDir is where the NATS CLI looks for contexts.
func contextDir() (string, error) {
	base := os.Getenv("XDG_CONFIG_HOME")
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		base = filepath.Join(home, ".config")
	}
	return filepath.Join(base, "nats", "context"), nil
}
