package test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// factorOf is the call of a matrix product at a party, among so many.
func (d *demoProcess) factorOf(t *testing.T, party, parties int, data, id string) reply {
	t.Helper()
	return d.compute(t, party, fmt.Sprintf(`{"microprotocol": "SecureMatrixMultiplication", "data": %s, "network": {"nodes": ["%s"], "uuid": "%s", "myself": %d}}`,
		data, strings.Join(d.urls[:parties], `", "`), id, party))
}

// product has two parties multiply, and returns what each downloads.
func (d *demoProcess) product(t *testing.T, left, right, id string) [2]reply {
	t.Helper()
	var representations [2]string
	for party, data := range []string{left, right} {
		a := d.factorOf(t, party, 2, data, id)
		if a.status != 200 {
			t.Fatalf("party %d: %d %s", party, a.status, a.message)
		}
		representations[party] = a.body["uuid"].(string)
	}
	var got [2]reply
	for party, r := range representations {
		got[party] = d.download(t, party, r)
	}
	return got
}

// Matrices that do not fit together: both parties hear of both shapes. Under the same uuid others go on.
func TestShapesThatDoNotFit(t *testing.T) {
	d, id := strictDemo(t), uuid.NewString()
	for party, a := range d.product(t, "[[["+private+", 2, 3]]]", "[[[1], ["+private+"]]]", id) {
		refused(t, fmt.Sprint("party ", party), a, 409, "under this uuid", "left is ", "[1,3]", "right is ", "[2,1]")
	}
	for range 2 {
		for party, a := range d.product(t, "[[[1, 2, 3]]]", "[[[1], [0.5], [-2]]]", id) {
			want := map[string]any{"inputs": 2.0, "result": map[string]any{"product": []any{[]any{-4.0}}}}
			if a.status != 200 || !reflect.DeepEqual(a.body["object"], want) {
				t.Errorf("party %d: %d %v", party, a.status, a.body)
			}
		}
	}
	// What else the two ask for differently is told as ever.
	for party, parameters := range []string{`{"decimals": 3}`, `{"decimals": 4}`} {
		code, job := call(t, "POST", d.urls[party]+"/v1/jobs", fmt.Sprintf(`{"microprotocol":"SecureMatrixMultiplication","data":[[1]],"parties":["alice","bob"],"uuid":%q,"parameters":%s}`, id, parameters))
		if code != 202 {
			t.Fatalf("party %d: %d %v", party, code, job)
		}
		defer func() {
			refused(t, fmt.Sprint("party ", party), send(t, "GET", d.urls[party]+"/v1/jobs/"+job["id"].(string)+"/result", nil), 409, "decimals is ")
		}()
	}
}

// A product is for two.
func TestAProductOfThree(t *testing.T) {
	d, id := strictDemo(t), uuid.NewString()
	for party := range d.urls {
		refused(t, fmt.Sprint("party ", party), d.factorOf(t, party, 3, "[["+private+"]]", id), 400, "exactly 2 parties", "3 are named")
	}
}

// A node with the profile strict takes no part in a product that gives a matrix away, and says why; nor with a dealer that its
// policy does not list.
func TestStrictProducts(t *testing.T) {
	r := newRack(t, rackOptions{})
	for data, want := range map[string]struct {
		status int
		says   string
	}{
		"[[1,2,3],[4,5,6],[7,8,9]]": {400, "makes a result of 3 rows from sums of 3 terms"},
		"[[1,2,3,4,5,6,7,8,9,10]]":  {403, "does not let the coordinator"},
	} {
		code, job := call(t, "POST", r.urls["alice"]+"/v1/jobs", fmt.Sprintf(`{"microprotocol":"SecureMatrixMultiplication","data":%s,"parties":["alice","bob"],"uuid":%q}`, data, uuid.NewString()))
		if code != 202 {
			t.Fatalf("%d %v", code, job)
		}
		a := send(t, "GET", r.urls["alice"]+"/v1/jobs/"+job["id"].(string)+"/result", nil)
		if a.status != want.status || !strings.Contains(a.message, want.says) {
			t.Errorf("%s: %d %s, want %d %s", data, a.status, a.message, want.status, want.says)
		}
	}
}
