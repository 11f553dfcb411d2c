package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const cancelPath = "POST /v1/jobs/" + testJob + "/cancel"

func TestRunPrintsTheResult(t *testing.T) {
	w := newWorld(t)
	w.sum("--data", "19")
	w.stderr.shows("waiting for bob and carol until 12:10 UTC\n")
	w.gateway.move(map[string]any{"detail": "waiting for carol until 12:10 UTC", "waiting": []string{"carol"}})
	w.stderr.shows("waiting for carol until")
	w.gateway.move(map[string]any{"state": "running", "detail": "computing", "waiting": []string{"carol"}, "attempt": 2})
	w.stderr.shows("weft: SecureSum: computing; waiting for carol (attempt 2 of 5)\n")
	w.gateway.done(`{"samples":3,"sum":85.0}`)
	w.ends(exitDone)
	w.wantOut("inputs   3\nsamples  3\nsum      85.0\n")
	w.lackErr("\r", "error")
	var s submission
	if err := json.Unmarshal([]byte(w.gateway.submitted(t)), &s); err != nil {
		t.Fatal(err)
	}
	if checkUUID("", s.UUID) != nil || string(s.Data) != "19" || strings.Join(s.Parties, " ") != "alice bob carol" {
		t.Errorf("posted %+v", s)
	}
	line := "weft run SecureSum --parties alice,bob,carol --uuid " + s.UUID + " --gateway URL --data DATA\n"
	if strings.Count(w.stderr.String(), line) != 1 {
		t.Errorf("the others' command line is not there once:\n%s", w.stderr)
	}
}

func TestRunSendsWhatIsGiven(t *testing.T) {
	w := newWorld(t)
	w.sum("--data", "[9007199254740993, 0.10]", "--uuid", testUUID, "--parameters", `{"round_ms":5000}`, "--deadline", "90s", "--json")
	w.gateway.done(`{"samples": 3, "sum": [90071992547409930, 0.30]}`)
	w.ends(exitDone)
	w.wantOut(`{"inputs":3,"result":{"samples":3,"sum":[90071992547409930,0.30]}}` + "\n")
	w.lackErr("every other party")
	want := `{"microprotocol":"SecureSum","data":[9007199254740993,0.10],"parameters":{"round_ms":5000},"parties":["alice","bob","carol"],"uuid":"` +
		testUUID + `","deadline":"1m30s"}`
	if got := w.gateway.submitted(t); got != want {
		t.Errorf("posted %s\nwant   %s", got, want)
	}
}

func TestRunFetchesLargeResults(t *testing.T) {
	w := newWorld(t)
	w.gateway.result = `{"samples":3,"sum":1}` + "\n"
	w.sum("--data", "1", "--json")
	w.gateway.move(map[string]any{"state": "done", "detail": "done"})
	w.ends(exitDone)
	w.wantOut(`{"inputs":3,"result":{"samples":3,"sum":1}}` + "\n")
}

func TestRunFails(t *testing.T) {
	w := newWorld(t)
	w.sum("--data", "1", "--uuid", testUUID)
	w.gateway.failed("failed", "not-joined", "carol did not join")
	w.ends(exitFailed)
	w.wantOut("")
	w.wantErr("weft: error: SecureSum: carol did not join\n", "weft: hint: every party submits", "--uuid "+testUUID+"\n")

	w = newWorld(t)
	w.sum("--data", "1")
	w.gateway.failed("cancelled", "cancelled", "the job was cancelled")
	w.ends(exitFailed) // by somebody else
	w.wantErr("weft: error: SecureSum: the job was cancelled\n")
}

func TestRunDetached(t *testing.T) {
	w := newWorld(t)
	w.sum("--data", "1", "--detach")
	w.ends(exitDone)
	w.wantOut(testJob + "\n")
	w.wantErr("weft job show " + testJob + " --gateway " + w.gateway.URL)
	w = newWorld(t)
	w.sum("--data", "1", "--detach", "--json")
	w.ends(exitDone)
	if out := w.stdout.String(); !strings.HasPrefix(out, `{"attempt":1`) || strings.Count(out, "\n") != 1 {
		t.Errorf("standard output: %s", out)
	}
}

func TestRunReadsStandardInput(t *testing.T) {
	w := newWorld(t)
	w.sum("--data", "-", "--detach")
	w.types("age\n19\n")
	w.types("61\n")
	_ = w.keyboard.Close()
	w.ends(exitDone)
	if got := w.gateway.submitted(t); !strings.Contains(got, `"data":[19,61]`) {
		t.Errorf("posted %s", got)
	}
}

func TestRunOutlivesAGatewayRestart(t *testing.T) {
	for name, broken := range map[string]int{"503": 3, "hangs up": -3} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.gateway.broken = broken
			w.sum("--data", "1", "--json")
			w.stderr.shows("the gateway does not answer; asking again")
			w.gateway.done(`{"sum":1}`)
			w.ends(exitDone)
			w.wantOut(`{"inputs":3,"result":{"sum":1}}` + "\n")
			close(w.pauses)
			n, want := 0, firstPause
			for got := range w.pauses {
				if got != want {
					t.Errorf("pause of %v, want %v", got, want)
				}
				n, want = n+1, 2*want
			}
			if n < 2 { // net/http repeats a question itself where a connection that was used before hangs up
				t.Errorf("%d pauses", n)
			}
		})
	}
}

func TestRunGivesUp(t *testing.T) {
	w := newWorld(t)
	w.gateway.broken = 1000
	w.sum("--data", "1")
	w.ends(exitFailed)
	w.wantErr("weft: error: this gateway is shutting down\n", "weft: hint: the job goes on if the gateway does: weft job show "+testJob)
	if n := w.gateway.asked("GET /v1/jobs/" + testJob); n != maxFailures {
		t.Errorf("asked %d times, want %d", n, maxFailures)
	}
}

func TestRunWithAWrongServer(t *testing.T) {
	elsewhere := newDouble(t)
	for _, c := range []struct {
		name  string
		serve http.HandlerFunc
		want  string
	}{
		{"problem", func(w http.ResponseWriter, _ *http.Request) {
			problem(w, 400, "invalid-input", "data[2]: not a number")
		}, "weft: error: data[2]: not a number\n"},
		{"page", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, "is no gateway of weft"},
		{"other JSON", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }, "is no gateway of weft"},
		{"not found", http.NotFound, "is no gateway of weft, or one of another version: the gateway answered 404 Not Found"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/v1/jobs", http.StatusTemporaryRedirect)
		}, "which is not done with data"},
		{"colours", func(w http.ResponseWriter, _ *http.Request) { problem(w, 400, "x", "\x1b[31mred\u202e") }, "error: \ufffd[31mred\ufffd\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := httptest.NewServer(c.serve)
			defer s.Close()
			w := newWorld(t)
			w.sum("--data", "1", "--gateway", s.URL)
			w.ends(exitFailed)
			w.wantErr(c.want)
			w.wantOut("")
			w.lackErr("--uuid")
		})
	}
	if len(elsewhere.posted) > 0 {
		t.Error("the data went to another host")
	}
}

func TestInterruptLeavesTheJob(t *testing.T) {
	w := newWorld(t)
	w.sum("--data", "1")
	w.stderr.shows("until 12:10 UTC")
	w.interrupt()
	w.ends(exitInterrupted)
	w.wantErr("weft: interrupted\n", "weft job show "+testJob+" --gateway "+w.gateway.URL+"\n")
	if w.gateway.asked(cancelPath) > 0 {
		t.Error("the job was cancelled without a question")
	}
	w.wantOut("")
}

func TestInterruptAsks(t *testing.T) {
	const question = "cancel the job? [y/N] "
	begin := func(t *testing.T) *world {
		w := newWorld(t).atTerminal()
		w.sum("--data", "1", "--json")
		w.stderr.shows("until 12:10 UTC")
		w.interrupt()
		w.stderr.shows(question)
		return w
	}
	t.Run("yes", func(t *testing.T) {
		w := begin(t)
		w.types("y\n")
		w.stderr.shows("weft: the job is being cancelled\n")
		w.gateway.failed("cancelled", "cancelled", "the job was cancelled")
		w.ends(exitInterrupted)
		w.wantErr("weft: job " + testJob + " is cancelled\n")
		w.lackErr("error")
	})
	t.Run("no", func(t *testing.T) {
		w := begin(t)
		w.types("\n")
		w.gateway.move(map[string]any{"detail": "computing"})
		w.stderr.shows("SecureSum: computing")
		w.gateway.done(`{"sum":1}`)
		w.ends(exitDone)
		w.wantOut(`{"inputs":3,"result":{"sum":1}}` + "\n")
		if w.gateway.asked(cancelPath) > 0 {
			t.Error("the job was cancelled after no")
		}
	})
	t.Run("no, and asked again", func(t *testing.T) {
		w := begin(t)
		w.types("n\n")
		w.gateway.move(map[string]any{"detail": "computing"})
		w.stderr.shows("SecureSum: computing")
		w.interrupt()
		w.stderr.showsTimes(question, 2)
		w.types("y\n")
		w.stderr.shows("weft: the job is being cancelled\n")
		w.interrupt()
		w.ends(exitInterrupted)
	})
	t.Run("second interrupt", func(t *testing.T) {
		w := begin(t)
		w.interrupt()
		w.ends(exitInterrupted)
		w.wantErr("goes on without this terminal")
		if w.gateway.asked(cancelPath) > 0 {
			t.Error("the job was cancelled without an answer")
		}
	})
	t.Run("the job ends first", func(t *testing.T) {
		w := begin(t)
		w.gateway.done(`{"sum":1}`)
		w.ends(exitDone)
		w.wantOut(`{"inputs":3,"result":{"sum":1}}` + "\n")
	})
	t.Run("too late", func(t *testing.T) {
		w := begin(t)
		w.gateway.mu.Lock()
		w.gateway.cancelled = func(rw http.ResponseWriter) { problem(rw, 409, "committed", "the job is computed") }
		w.gateway.mu.Unlock()
		w.types("yes\n")
		w.stderr.shows("weft: the job is not cancelled: the job is computed\n")
		w.gateway.done(`{"sum":1}`)
		w.ends(exitDone)
	})
	t.Run("done in spite of it", func(t *testing.T) {
		w := begin(t)
		w.types("y\n")
		w.stderr.shows("weft: the job is being cancelled\n")
		w.gateway.done(`{"sum":1}`)
		w.ends(exitDone)
	})
	t.Run("leaves after yes", func(t *testing.T) {
		w := begin(t)
		w.types("y\n")
		w.stderr.shows("weft: the job is being cancelled\n")
		w.interrupt()
		w.ends(exitInterrupted)
	})
}

func TestInterruptWhileReading(t *testing.T) {
	w := newWorld(t)
	w.sum("--data", "-")
	w.types("1\n") // it is reading now
	w.interrupt()
	w.ends(exitInterrupted)
	w.wantErr("weft: error: interrupted\n")
	if len(w.gateway.requests) > 0 {
		t.Errorf("requests: %q", w.gateway.requests)
	}
}

func TestInterruptEndsOtherCommands(t *testing.T) {
	asked := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	defer s.Close()
	w := newWorld(t)
	w.start("job", "ls", "--gateway", s.URL)
	<-asked
	w.interrupt()
	w.ends(exitInterrupted)
}
