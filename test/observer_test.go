//go:build !weft_insecure_unsealed

package test

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/coordinator"
	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/jobs/objects"
	"github.com/weftmpc/weft/node/session"
)

// Who runs the hub sees every message in every account. No input, local sum, sum of two parties or result is among them, in
// whatever encoding: not even that of a protocol which tells its inputs to all parties. TestUnsealed... shows that the
// same search finds them where bodies are not sealed.
func TestObserverFindsNoValues(t *testing.T) {
	c := newConsortium(t, false)
	for protocol, id := range map[string]byte{"SecureSum": 1, "ClearSum": 2} {
		for _, data := range []map[string]rows{scalars, vectors} {
			c.compute(protocol, uuid.UUID{id, byte(len(data["bob"]))}, data)
			if n := len(c.messages(uuid.UUID{id, byte(len(data["bob"]))}, session.KindShare)); n < 6 {
				t.Errorf("%s: the observer saw %d share messages, fewer than the parties send", protocol, n)
			}
		}
	}
	for _, data := range []map[string]rows{scalars, vectors} {
		for _, s := range c.sightings(secrets(t, data)) {
			t.Error(s)
		}
	}
}

// The search of the test above, and of the blocks below, over bodies that are not sealed: in a process of its own, since
// no program has a switch for it.
func TestObserverWouldFindUnsealedValues(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-tags", "weft_insecure_unsealed", "-vet", "off", "-ldflags", "-s -w", "-count", "1", "-v", "-run", "^TestUnsealed", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", binaryVariable+"="+binary)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, name := range []string{"TestUnsealedInputsAreFound", "TestUnsealedMaskedSumsHideInputs", "TestUnsealedBlocksRepeat"} {
		if !strings.Contains(string(out), "--- PASS: "+name+" ") {
			t.Errorf("%s did not run:\n%s", name, out)
		}
	}
}

// The programs that people run are built without the tag of seal_unsealed.go.
func TestObserverFacesASealingBinary(t *testing.T) {
	info, err := buildinfo.ReadFile(binary)
	must(t, err)
	for _, s := range info.Settings {
		if s.Key == "-tags" && strings.Contains(s.Value, "weft_insecure") {
			t.Errorf("weft is built with the tags %s", s.Value)
		}
	}
}

// Two computations on equal inputs have no block of ciphertext in common, nor have two receivers of one body.
func TestObserverFindsNoRepeatedBlocks(t *testing.T) {
	c := newConsortium(t, false)
	var bodies [][]byte
	for i := range byte(2) {
		c.compute("ClearSum", uuid.UUID{1, i}, equal)
		bodies = append(bodies, c.bodies(uuid.UUID{1, i})...)
	}
	if len(bodies) < 2*12 {
		t.Fatalf("the observer saw %d bodies, fewer than the parties send", len(bodies))
	}
	if n := repeatedBlocks(bodies); n > 0 {
		t.Errorf("%d blocks of 16 bytes occur again", n)
	}
}

// Who sends what to whom, and how long it is, does not depend on the data: nothing joins a party's name and its values.
func TestObserverSeesTheSameTrafficForAllData(t *testing.T) {
	c := newConsortium(t, false)
	shape := func(id uuid.UUID, data map[string]rows) map[string]int {
		c.compute("SecureSum", id, data)
		shape := map[string]int{}
		for _, kind := range []byte{session.KindShare, session.KindNotice} {
			for _, s := range c.messages(id, kind) {
				_, to, from, _ := broker.ParseShare(s.Subject)
				shape[fmt.Sprintf("kind %d from %s to %s, %d bytes", kind, from, to, len(s.Data))]++
			}
		}
		joins := map[string]bool{}
		for _, s := range c.observer.Seen(t) {
			join, err := coordinator.DecodeJoin(s.Data)
			if !strings.HasPrefix(s.Subject, broker.JoinSubject("")) || err != nil || joins[string(s.Data)] {
				continue
			}
			joins[string(s.Data)] = true
			common, err := coordinator.DecodeCommon(join.Common)
			must(t, err)
			if common.UUID == id {
				shape[fmt.Sprintf("JOIN, %d bytes", len(s.Data))]++
			}
		}
		return shape
	}
	small := shape(uuid.UUID{1}, map[string]rows{"alice": {{"0"}}, "bob": {{"1"}}, "carol": {{"-1"}}})
	large := shape(uuid.UUID{2}, map[string]rows{"alice": {{"1e23"}}, "bob": {{"-99999999999999999999999"}}, "carol": {{"0"}}})
	several := shape(uuid.UUID{3}, map[string]rows{"alice": {{"1.5"}}, "bob": {{"123456789012345.5"}}, "carol": {{"1e-20"}}})
	for what, other := range map[string]map[string]int{"large values": large, "one large value": several} {
		if !maps.Equal(small, other) {
			t.Errorf("small values:\n%v\n%s:\n%v", small, what, other)
		}
	}
	shares := 0
	for what, n := range small {
		if strings.HasPrefix(what, "kind 1 ") {
			shares += n
		}
	}
	if shares != 6 {
		t.Errorf("%d share messages, want one for each ordered pair: %v", shares, small)
	}
}

// stored runs computations, leaves others waiting, and gives what private brokers have on disk after the nodes' end.
func stored(t *testing.T, plain bool) (files map[string][]byte) {
	c := newConsortium(t, plain)
	waiting := map[byte]jobs.Job{
		1: c.submit("alice", "SecureSum", uuid.UUID{1}, waitingSmall),
		2: c.submit("alice", "SecureSum", uuid.UUID{2}, waitingLarge()), // beyond 64 KiB, in the object store
	}
	c.compute("SecureSum", uuid.UUID{3}, scalars)
	c.compute("SecureSum", uuid.UUID{4}, vectors)
	for _, j := range waiting {
		c.wait("alice", j.ID, func(j jobs.Job) bool { return j.State == jobs.Waiting })
	}
	uploads, err := objects.Open(t.Context(), c.members["alice"].private.Conn, objects.Options{Logger: c.logger})
	must(t, err)
	defer uploads.Close()
	_, err = uploads.Put(t.Context(), objects.Record{ID: uuid.New(), Caller: "test", Kind: objects.Value, Data: []byte(uploaded.json())})
	must(t, err)
	c.stop()
	files = map[string][]byte{}
	for name, m := range c.members {
		dir := m.private.Config.StoreDir
		must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				files[name+strings.TrimPrefix(path, dir)], err = os.ReadFile(path)
			}
			return err
		}))
	}
	return files
}

var (
	waitingSmall = rows{{"555019283746610293"}}
	uploaded     = rows{{"829104756610293847", "-3847.5610293847566"}}
)

// waitingLarge has 3,000 columns; its first is the one that is looked for.
func waitingLarge() rows {
	return rows{append([]string{"661029384755019283"}, slices.Repeat([]string{"1"}, 2999)...)}
}

// onDisk are the secrets of stored.
func onDisk(t *testing.T) needles {
	ns := secrets(t, scalars)
	for p, more := range secrets(t, vectors) {
		ns[p] = append(ns[p], more...)
	}
	ns.add("a waiting input", parseNumber(t, waitingSmall[0][0]))
	ns.add("a large waiting input", parseNumber(t, waitingLarge()[0][0]))
	for _, text := range uploaded[0] {
		ns.add("an uploaded value", parseNumber(t, text))
	}
	return ns
}

// Inputs that wait, uploaded values and results are encrypted on disk.
func TestObserverOfDisksFindsNoValues(t *testing.T) {
	ns, total := onDisk(t), 0
	for path, b := range stored(t, false) {
		total += len(b)
		for _, n := range append(ns.in(b), ns.in([]byte(path))...) {
			t.Errorf("%s: %s", path, n)
		}
	}
	if total < 72_000 {
		t.Errorf("the stores have %d bytes: where do the jobs lie?", total)
	}
}

// The same search without encryption.
func TestObserverOfDisksWouldFindPlainValues(t *testing.T) {
	found := map[string]bool{}
	for path, b := range stored(t, true) {
		name, _, _ := strings.Cut(path, string(filepath.Separator))
		for _, n := range onDisk(t).in(b) {
			found[name+": "+n.String()] = true
		}
	}
	for _, want := range []string{
		"alice: a waiting input as q of 192 bits LE", "alice: a large waiting input as q of 192 bits LE", "alice: an uploaded value as decimal",
		"alice: the sum 0 of alice and bob and carol as float as JSON", "bob: the sum 3 of alice and bob and carol as decimal",
	} {
		if !found[want] {
			t.Errorf("not found: %s", want)
		}
	}
}

// Nothing that anybody logs, at whatever level, has a value in it; nor has the reason why a job failed.
func TestObserverOfLogsFindsNoValues(t *testing.T) {
	c := newConsortium(t, false)
	c.compute("SecureSum", uuid.UUID{1}, scalars)
	c.compute("SecureSum", uuid.UUID{2}, vectors)
	ns := onDisk(t)

	// A disagreement, which is explained to both, and a job that is taken back.
	disputed := map[string]jobs.Job{
		"alice": c.submit("alice", "SecureSum", uuid.UUID{3}, scalars["alice"]),
		"bob":   c.submit("bob", "SecureSum", uuid.UUID{3}, vectors["bob"]),
	}
	for name, j := range disputed {
		j = c.wait(name, j.ID, jobs.Job.Terminal)
		if j.State != jobs.Failed || j.Problem == nil {
			t.Fatalf("%s: %s", name, j.State)
		}
		fmt.Fprintln(c.log, j.Problem.Reason, j.Problem.Message)
	}
	withdrawn := c.submit("carol", "SecureSum", uuid.UUID{4}, scalars["carol"])
	c.wait("carol", withdrawn.ID, func(j jobs.Job) bool { return j.State == jobs.Waiting })
	_, err := c.members["carol"].store.RequestCancel(t.Context(), withdrawn.ID)
	must(t, err)
	c.wait("carol", withdrawn.ID, jobs.Job.Terminal)
	c.stop()

	lines := c.log.String()
	for _, n := range ns.in([]byte(lines)) {
		t.Error(n)
	}
	for _, want := range []string{"level=DEBUG", "node=alice", "broker=hub", "broker=private", uuid.UUID{1}.String()} {
		if !strings.Contains(lines, want) {
			t.Errorf("the log does not have %s:\n%s", want, lines)
		}
	}
	// It would be found.
	for form, value := range map[string]any{
		"text": scalars["bob"].json(), "bytes": parseNumber(t, scalars["bob"].json()).element(), "array": [24]byte(parseNumber(t, scalars["bob"].json()).element()),
	} {
		before := len(c.log.String())
		c.logger.Debug("a mistake", "value", value)
		for _, line := range strings.Split(strings.TrimSpace(c.log.String()[before:]), "\n") {
			if len(ns.in([]byte(line))) == 0 {
				t.Errorf("%s is not found in %s", form, line)
			}
		}
	}
}
