package test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Jobs that wait for a party which does not come slow no others down: sums of those who are present take as long as they
// did before, and afterwards.
func TestAbsentPartiesSlowNobody(t *testing.T) {
	const waiting, sums, worst = 24, 40, 3.0
	d := startDemo(t, "--parties", "4")
	sum := func() time.Duration {
		id, began := uuid.NewString(), time.Now()
		var all sync.WaitGroup
		for party, secret := range []string{"19", "5", "61"} {
			all.Go(func() {
				job := d.submit(party, id, secret)
				if code, got := d.result(party, job); code != 200 || got["sum"] != 85.0 {
					t.Errorf("party %d: %d %v", party, code, got)
				}
			})
		}
		all.Wait()
		return time.Since(began)
	}
	median := func() time.Duration {
		times := make([]time.Duration, sums)
		for i := range times {
			times[i] = sum()
		}
		slices.Sort(times)
		return times[sums/2]
	}
	median() // connections are made
	before := median()

	type job struct {
		party int
		id    string
	}
	var jobs []job
	for range waiting {
		id := uuid.NewString()
		for party := range 3 {
			body := fmt.Sprintf(`{"microprotocol":"SecureSum","data":1,"parties":["alice","bob","carol","dave"],"uuid":%q,"deadline":"1h"}`, id)
			code, made := call(t, "POST", d.urls[party]+"/v1/jobs", body)
			if code != 202 {
				t.Fatalf("%d %v", code, made)
			}
			jobs = append(jobs, job{party, made["id"].(string)})
		}
	}
	wait := func() {
		t.Helper()
		for _, j := range jobs {
			await(t, "a job waits for dave", func() bool {
				_, now := call(t, "GET", d.urls[j.party]+"/v1/jobs/"+j.id, "")
				return now["state"] == "waiting" && strings.Contains(fmt.Sprint(now["waiting"]), "dave")
			})
		}
	}
	wait()
	with := median()
	wait()
	for _, j := range jobs {
		if code, got := call(t, "POST", d.urls[j.party]+"/v1/jobs/"+j.id+"/cancel", ""); code != 202 && code != 200 {
			t.Errorf("%d %v", code, got)
		}
	}
	for _, j := range jobs {
		await(t, "a job is cancelled", func() bool {
			_, now := call(t, "GET", d.urls[j.party]+"/v1/jobs/"+j.id, "")
			return now["state"] == "cancelled"
		})
	}
	after := median()
	t.Logf("a sum took %v before, %v beside %d jobs at each party that wait for another, %v afterwards", before, with, waiting, after)
	if float64(with) > worst*float64(max(before, after)) {
		t.Errorf("a sum takes %v beside %d jobs that wait, %v and %v without", with, waiting, before, after)
	}
}
