package main

import (
	"bytes"
	"encoding/json"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

func TestJobList(t *testing.T) {
	w := newWorld(t)
	w.start("job", "ls")
	w.ends(exitDone)
	w.wantOut("ID                                    MICROPROTOCOL  STATE    DETAIL                                     AGE\n" +
		testJob + "  SecureSum      waiting  waiting for bob and carol until 12:10 UTC  2m\n" +
		"b8a3a5ac-1ad0-4d6c-9d1e-0d7d3f0f5b3c  SecureSum      done                                                2h\n")
	w.wantErr("there are more")

	w = newWorld(t)
	w.start("job", "list", "--json")
	w.ends(exitDone)
	if out := w.stdout.String(); !strings.HasPrefix(out, `{"jobs":[{`) || strings.Count(out, "\n") != 1 {
		t.Errorf("standard output: %s", out)
	}
}

func TestJobShow(t *testing.T) {
	w := newWorld(t)
	w.start("job", "show", testJob)
	w.ends(exitDone)
	w.wantOut(`job            ` + testJob + `
computation    ` + testUUID + `
microprotocol  SecureSum
parties        alice, bob, carol
state          waiting
detail         waiting for bob and carol until 12:10 UTC
waiting for    bob, carol
attempt        1 of 5
created        2026-11-21 12:03:00 UTC
deadline       2026-11-21 12:10:00 UTC
`)
	w = newWorld(t)
	w.gateway.done(`{"samples":3,"sum":[1,2.50]}`)
	w.start("job", "show", testJob)
	w.ends(exitDone)
	if out := w.stdout.String(); !strings.HasSuffix(out, "\n\ninputs   3\nsamples  3\nsum      1, 2.50\n") {
		t.Errorf("standard output: %s", out)
	}

	w = newWorld(t)
	w.gateway.failed("failed", "not-joined", "carol did not join")
	w.start("job", "show", testJob)
	w.ends(exitDone) // showing has worked
	if out := w.stdout.String(); !strings.HasSuffix(out, "\nerror          carol did not join\n") {
		t.Errorf("standard output: %s", out)
	}

	w = newWorld(t)
	w.start("job", "show", testUUID)
	w.ends(exitFailed)
	w.wantErr("weft: error: there is no such job here\n")
}

func TestJobCancel(t *testing.T) {
	w := newWorld(t)
	w.start("job", "cancel", testJob)
	w.ends(exitDone)
	w.wantOut("job " + testJob + " is being cancelled\n")
	w = newWorld(t)
	w.gateway.done(`{"sum":1}`)
	w.start("job", "cancel", testJob)
	w.ends(exitDone)
	w.wantOut("job " + testJob + " has ended already (done); nothing to cancel\n")
}

func TestJobsForPrograms(t *testing.T) {
	for _, verb := range []string{"show", "cancel"} {
		w := newWorld(t)
		w.start("job", verb, testJob, "--output", "csv")
		w.ends(exitDone)
		rows := strings.Split(w.stdout.String(), "\n")
		if len(rows) != 3 || rows[0] != strings.Join(jobColumns, ",") || !strings.HasPrefix(rows[1], testJob+","+testUUID+",SecureSum,") {
			t.Errorf("job %s --output csv: %q", verb, rows)
		}
		w = newWorld(t)
		w.start("job", verb, testJob, "--output", "json")
		w.ends(exitDone)
		if out := w.stdout.String(); !strings.HasPrefix(out, `{"`) || !strings.Contains(out, testJob) || strings.Count(out, "\n") != 1 {
			t.Errorf("job %s --output json: %s", verb, out)
		}
		w = newWorld(t)
		w.start("job", verb, testJob, "--output", "xml")
		w.ends(exitUsage)
	}
}

func TestProgressRewritesOneLine(t *testing.T) {
	var b bytes.Buffer
	p := &progress{w: &b, width: func() int { return 20 }}
	p.show("waiting for bob")
	p.show("waiting for bob") // no change, no output
	p.show("x\x1b[2J")
	p.say("a line")
	p.show("a text longer than the terminal")
	p.clear()
	p.clear()
	want := "\rweft: waiting for …" +
		"\rweft: x\ufffd[2J        " +
		"\r           \ra line\n\rweft: x\ufffd[2J" +
		"\rweft: a text longe…" +
		"\r                   \r"
	if got := b.String(); got != want {
		t.Errorf("%q\nwant %q", got, want)
	}

	b.Reset()
	p = &progress{w: &b}
	p.show("waiting")
	p.show("waiting")
	p.say("a line")
	p.show("done")
	p.clear()
	if got := b.String(); got != "weft: waiting\na line\nweft: done\n" {
		t.Errorf("without a terminal: %q", got)
	}
}

func TestResultForAPerson(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`{"inputs":2,"result":{"sum":9007199254740993,"mean":0.10,"ok":true,"none":null,"s":"a\u001b[1m\tb"}}`,
			"inputs  2\nsum     9007199254740993\nmean    0.10\nok      true\nnone    -\ns       a\ufffd[1m b\n"},
		{`{"inputs":2,"result":{"by":{"x":{"mean":1},"y":{"mean":2}},"m":[[1,2],[3,4]],"e":[]}}`,
			"inputs     2\nby.x.mean  1\nby.y.mean  2\nm[0]       1, 2\nm[1]       3, 4\ne          (none)\n"},
		{`{"inputs":2,"result":5}`, "inputs  2\nresult  5\n"},
		{`{"inputs":2,"result":{"groups":[{"group":"a","conf_int":[1,2],"table":[{"time":3,"n":4}]},{"group":"b","n":5,"notes":{"x":"y"}}],"samples":9}}`,
			"inputs   2\nsamples  9\n\ngroups\n  group  conf_int  n\n  a      1, 2      \n  b                5\n\ngroups[0].table\n  time  n\n  3     4\ngroups[1].notes.x  y\n"},
	} {
		var b bytes.Buffer
		if err := printResult(&b, json.RawMessage(c.in)); err != nil || b.String() != c.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", c.in, err, b.String(), c.want)
		}
	}
	for _, in := range []string{"", "{", strings.Repeat("[", 100) + strings.Repeat("]", 100)} {
		if err := printResult(&bytes.Buffer{}, json.RawMessage(in)); err == nil {
			t.Errorf("%q is printed", in)
		}
	}
	// A long list has a line per element.
	var b bytes.Buffer
	if err := printResult(&b, json.RawMessage(`{"result":{"sum":[`+strings.Repeat("1234567890,", 12)+`0]}}`)); err != nil || !strings.Contains(b.String(), "sum[12]  0\n") {
		t.Errorf("%v: %s", err, b.String())
	}
}

func FuzzResult(f *testing.F) {
	for _, s := range []string{`{"inputs":2,"result":{"sum":5}}`, `{"result":[[1],{"a":[]}]}`, `[1,"\u001b"]`, `{"a":`, `"x"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var b bytes.Buffer
		_ = printResult(&b, raw)
		if strings.ContainsAny(b.String(), "\x1b\x07\r") {
			t.Fatalf("control characters from %q: %q", raw, b.String())
		}
	})
}

func TestInvitationSurvivesAShell(t *testing.T) {
	s := submission{Microprotocol: "SecureSum", Parties: []string{"alice", "bob"}, UUID: testUUID, Parameters: json.RawMessage(`{"a":"it's"}`)}
	want := `weft run SecureSum --parties alice,bob --uuid ` + testUUID + ` --parameters '{"a":"it'\''s"}' --gateway URL --data DATA`
	if got := invitation(s); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestStandingNamesEverybody(t *testing.T) {
	j := job{Microprotocol: "SecureSum", State: "running", Waiting: []string{"bob"}}
	if got := standing(j); got != "SecureSum: running; waiting for bob" {
		t.Error(got)
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{-time.Second: "0s", 59 * time.Second: "59s", 90 * time.Second: "1m", 3 * time.Hour: "3h", 49 * time.Hour: "2d"} {
		if got := age(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestCommit(t *testing.T) {
	got := commitOf([]debug.BuildSetting{{Key: "vcs.time", Value: "2026-11-21T10:00:00Z"}, {Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}})
	if got != "abc of 2026-11-21T10:00:00Z, with changes" || commitOf(nil) != "" {
		t.Error(got)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"run", "job", "demo", "microprotocols"}
	for typed, want := range map[string]string{"rn": "run", "jobs": "job", "microprotocol": "microprotocols", "frobnicate": "", "DEMO": "demo"} {
		if got := nearest(typed, names); got != want {
			t.Errorf("%s: %q, want %q", typed, got, want)
		}
	}
}
