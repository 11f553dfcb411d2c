package test

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// sum is what a download gives for a sum of so many parties.
func sum(parties int, samples, sum any) map[string]any {
	return map[string]any{"inputs": float64(parties), "result": map[string]any{"samples": samples, "sum": sum}}
}

// agree waits for the result at each party and compares it.
func (d *demoProcess) agree(t *testing.T, representations []string, want map[string]any) {
	t.Helper()
	for party, r := range representations {
		if a := d.download(t, party, r); a.status != 200 || !reflect.DeepEqual(a.body["object"], want) {
			t.Errorf("party %d: %d %v", party, a.status, a.body)
		}
	}
}

// A party that is refused has left no trace: the others wait for it and get the sum when it has corrected its data.
func TestTheOthersWaitForACorrection(t *testing.T) {
	d, id := strictDemo(t), uuid.NewString()
	results := []string{"", d.give(t, 1, "5", id), d.give(t, 2, "61", id)}
	before := d.jobs(t)
	for _, c := range badData {
		refused(t, c.name, d.compute(t, 0, d.kwargs(0, c.data, id)), 400, c.wants...)
	}
	for party := 1; party < 3; party++ {
		a := send(t, "GET", d.urls[party]+"/representation/"+results[party], nil, "Prefer: respond-async")
		if a.status != 202 {
			t.Errorf("party %d does not wait: %d %v", party, a.status, a.body)
		}
	}
	if jobs := send(t, "GET", d.urls[0]+"/v1/jobs", nil).body["jobs"].([]any); len(jobs) != 1 { // the demo's own
		t.Errorf("alice has jobs: %v; before %s", jobs, before)
	}
	results[0] = d.give(t, 0, "[19]", id)
	d.agree(t, results, sum(3, 3.0, 85.0))
}

// Vectors of different lengths cannot be added: everybody hears who gave how many columns, and nobody any number.
func TestVectorsOfDifferentLengths(t *testing.T) {
	d, id := strictDemo(t), uuid.NewString()
	results := []string{d.give(t, 0, `[[1, 2, `+private+`]]`, id), d.give(t, 1, `[[3, `+private+`]]`, id), d.give(t, 2, `[[5, 6]]`, id)}
	for party, want := range []string{
		"columns is 3 here and 2 at (bob|carol)\\b", // the first that the coordinator knows of
		"^alice asked for something else.* columns is 2 here and 3 at alice\\b",
		"^alice asked for something else.* columns is 2 here and 3 at alice\\b",
	} {
		a := d.download(t, party, results[party])
		refused(t, fmt.Sprintf("party %d", party), a, 409, "under this uuid")
		if !regexp.MustCompile(want).MatchString(a.message) {
			t.Errorf("party %d: %s\nwant %s", party, a.message, want)
		}
	}
	// The uuid is not spoilt.
	results = []string{d.give(t, 0, `[[1, 2]]`, id), d.give(t, 1, `[[3, 4]]`, id), d.give(t, 2, `[[5, 6], [0.5, -6]]`, id)}
	d.agree(t, results, sum(3, 4.0, []any{9.5, 6.0}))
}

// A permuted list of nodes is a disagreement too: both orders are shown.
func TestAPermutedListOfNodes(t *testing.T) {
	d, id := strictDemo(t), uuid.NewString()
	permuted := fmt.Sprintf(`{"microprotocol": "SecureSum", "data": %s, "network": {"nodes": ["%s", "%s", "%s"], "uuid": "%s", "myself": 0}}`,
		private, d.urls[1], d.urls[0], d.urls[2], id)
	results := []string{d.give(t, 0, private, id), "", d.give(t, 2, private, id)}
	a := d.compute(t, 1, permuted)
	if a.status != 200 {
		t.Fatalf("bob: %d %s", a.status, a.message)
	}
	results[1] = a.body["uuid"].(string)
	for party, r := range results {
		a := d.download(t, party, r)
		refused(t, fmt.Sprintf("party %d", party), a, 409, "alice, bob, carol", "bob, alice, carol")
	}
}

// A party that names fewer parties has a disagreement, not a computation of its own.
func TestAShorterListOfNodes(t *testing.T) {
	d, id := strictDemo(t), uuid.NewString()
	alice := d.submit(0, id, private)
	code, job := call(t, "POST", d.urls[1]+"/v1/jobs", fmt.Sprintf(`{"microprotocol":"SecureSum","data":%s,"parties":["alice","bob"],"uuid":%q}`, private, id))
	if code != 202 {
		t.Fatalf("bob: %d %v", code, job)
	}
	short, long := `\((alice, bob|bob, alice)\)`, `\((\w+, ){2}\w+\)`
	for party, want := range []string{long + " here and " + short + " at bob", short + " here and " + long + " at alice"} {
		a := send(t, "GET", d.urls[party]+"/v1/jobs/"+[]string{alice, job["id"].(string)}[party]+"/result", nil)
		refused(t, fmt.Sprintf("party %d", party), a, 409, "under this uuid", "list of parties is ", "carol")
		if !regexp.MustCompile(want).MatchString(a.message) {
			t.Errorf("party %d: %s\nwant %s", party, a.message, want)
		}
	}
}

// Those who came hear at the deadline who did not, by either API.
func TestAPartyThatNeverComes(t *testing.T) {
	t.Parallel()
	d, id := strictDemo(t, "--deadline", "1s"), uuid.NewString()
	began := time.Now()
	alice, carol := d.give(t, 0, private, id), d.submit(2, id, private)
	a := d.download(t, 0, alice)
	refused(t, "alice", a, 504, "bob did not join within 1s")
	if strings.Contains(a.message, "carol") || strings.Contains(a.message, "alice") {
		t.Errorf("alice hears of others: %s", a.message)
	}
	a = send(t, "GET", d.urls[2]+"/v1/jobs/"+carol+"/result", nil)
	refused(t, "carol", a, 504, "bob did not join within 1s")
	if a.reason != "not-joined" {
		t.Errorf("the reason is %q", a.reason)
	}
	if took := time.Since(began); took < time.Second || took > 30*time.Second {
		t.Errorf("that took %s", took)
	}
}

// Who asks again under a uuid that waits means the newer request.
func TestANewerRequestReplacesTheOpenOne(t *testing.T) {
	d, id := strictDemo(t), uuid.NewString()
	older, bob := d.give(t, 0, "1000", id), d.give(t, 1, "5", id)
	newer := d.give(t, 0, "19", id)
	if older == newer {
		t.Fatal("both requests have one representation")
	}
	a := d.download(t, 0, older)
	refused(t, "the older request", a, 409, "replaced by a newer request", "new uuid")
	d.agree(t, []string{newer, bob, d.give(t, 2, "61", id)}, sum(3, 3.0, 85.0))
	if a := d.download(t, 0, older); a.status != 409 {
		t.Errorf("later the older request says %d %v", a.status, a.body)
	}
}

// Two parties learn each other's number, which the demo is for learning about.
func TestTwoParties(t *testing.T) {
	d, id := strictDemo(t, "--parties", "2"), uuid.NewString()
	d.agree(t, []string{d.give(t, 0, "19.25", id), d.give(t, 1, "-20", id)}, sum(2, 2.0, -0.75))

	d, id = strictDemo(t), uuid.NewString() // two of three
	var jobs [2]string
	for party := range jobs {
		code, job := call(t, "POST", d.urls[party]+"/v1/jobs", fmt.Sprintf(`{"microprotocol":"SecureSum","data":%d,"parties":["bob","alice"],"uuid":%q}`, party+1, id))
		if code != 202 {
			t.Fatalf("party %d: %d %v", party, code, job)
		}
		jobs[party] = job["id"].(string)
	}
	for party, id := range jobs {
		if code, got := d.result(party, id); code != 200 || got["sum"] != 3.0 || got["samples"] != 2.0 {
			t.Errorf("party %d: %d %v", party, code, got)
		}
	}
}

// A microprotocol for two is for nobody else: all three hear that at once.
func TestThreePartiesForTwo(t *testing.T) {
	d, id := strictDemo(t), uuid.NewString()
	for party := range 3 {
		a := d.compute(t, party, strings.Replace(d.kwargs(party, `[[1]]`, id), "SecureSum", "SecureMatrixMultiplication", 1))
		refused(t, fmt.Sprintf("party %d", party), a, 400, "network.nodes", "SecureMatrixMultiplication is for exactly 2 parties; 3 are named")
	}
}

// As many parties as the demo has names for: one sum through all their gateways.
func TestSixteenParties(t *testing.T) {
	t.Parallel()
	d, id := strictDemo(t, "--parties", "16"), uuid.NewString()
	if len(d.urls) != 16 {
		t.Fatalf("there are %d gateways", len(d.urls))
	}
	results := make([]string, len(d.urls))
	for party := range d.urls {
		results[party] = d.give(t, party, fmt.Sprintf("[%d.5, %d]", party, 1<<party), id)
	}
	d.agree(t, results, sum(16, 32.0, 15*16/2+16*0.5+1<<16-1))
}
