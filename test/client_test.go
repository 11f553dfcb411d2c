package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// tutorialUUID is the one fixed uuid of the tutorial of Federated Secure Computing.
const tutorialUUID = "387a7282-c380-44c9-aede-08da7e931931"

// sumScript asks as the tutorial does: connect, create, compute, download.
const sumScript = `
import sys, time
import federatedsecure.client
me, secret, uuid, nodes, wait = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4].split(","), float(sys.argv[5])
time.sleep(wait)
api = federatedsecure.client.Api(nodes[me])
microservice = api.create(protocol="Simon")
result = microservice.compute(microprotocol="SecureSum", data=secret, network={"nodes": nodes, "uuid": uuid, "myself": me})
print(api.download(result))
`

// python is an interpreter that has the official client, as make test installs it.
func python(t *testing.T) string {
	t.Helper()
	p := os.Getenv("WEFT_PYTHON")
	if p == "" {
		p = "../.venv/bin/python"
	}
	if err := exec.Command(p, "-c", "import federatedsecure.client").Run(); err != nil {
		t.Fatalf("no Python with the package federatedsecure-client (%v): run `make test`, which installs it, or set WEFT_PYTHON", err)
	}
	p, err := filepath.Abs(p)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// triple runs the official client at three parties and compares what each prints.
func (d *demoProcess) triple(python, id string, waits [3]float64) {
	d.t.Helper()
	var wg sync.WaitGroup
	for i, secret := range []int{19, 5, 61} {
		wg.Go(func() {
			out, err := exec.Command(python, "-c", sumScript, fmt.Sprint(i), fmt.Sprint(secret), id, strings.Join(d.urls, ","), fmt.Sprint(waits[i])).CombinedOutput()
			if err != nil || string(out) != "{'inputs': 3, 'result': {'samples': 3, 'sum': 85}}\n" {
				d.t.Errorf("uuid %s, party %d: %v: %s", id, i, err, out)
			}
		})
	}
	wg.Wait()
}

func TestOfficialClientAgainAndAgainUnderOneUUID(t *testing.T) {
	py, d := python(t), startDemo(t)
	for range 4 {
		d.triple(py, tutorialUUID, [3]float64{})
	}
}

func TestOfficialClientsThatStartTenSecondsApart(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Log("5 seconds apart")
		py, d := python(t), startDemo(t)
		d.triple(py, tutorialUUID, [3]float64{0, 2.5, 5})
		return
	}
	py, d := python(t), startDemo(t)
	d.triple(py, tutorialUUID, [3]float64{10, 0, 5})
}

func TestEightTriplesOfOfficialClientsAtOnce(t *testing.T) {
	py, d := python(t), startDemo(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { d.triple(py, uuid.NewString(), [3]float64{}) })
	}
	wg.Wait()
}

// The client raises what the server says, so that its user can act on it: here the range of numbers. (It refuses NaN by
// itself, before anything is sent.)
func TestOfficialClientShowsTheReason(t *testing.T) {
	py, d := python(t), startDemo(t)
	script := strings.Replace(sumScript, "data=secret", "data=1e300", 1)
	began := time.Now()
	out, err := exec.Command(py, "-c", script, "0", "1", uuid.NewString(), strings.Join(d.urls, ","), "0").CombinedOutput()
	if err == nil || time.Since(began) > 30*time.Second {
		t.Errorf("1e300: %v: %s", err, out)
	}
	for _, want := range []string{"400", "data: is out of range", "2.23e23"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("1e300: %q is missing in %s", want, out)
		}
	}
}
