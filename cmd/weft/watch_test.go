package main

import (
	"strings"
	"testing"
)

func TestWatchPrintsALinePerChange(t *testing.T) {
	w := newWorld(t)
	w.start("job", "watch", testJob)
	w.stdout.shows("waiting for bob and carol until 12:10 UTC")
	w.gateway.move(map[string]any{"waiting": []string{"carol"}, "detail": "waiting for carol until 12:10 UTC", "progress": map[string]int{"done": 0, "planned": 4}})
	w.stdout.shows("waiting for carol")
	w.gateway.move(map[string]any{"state": "running", "detail": "computing; waiting for carol", "progress": map[string]int{"done": 2, "planned": 4}})
	w.stdout.shows("computing")
	w.gateway.done(`{"sum":85}`)
	w.ends(0)
	w.wantOut(`2026-11-21T12:05:00Z SecureSum: waiting for bob and carol until 12:10 UTC
2026-11-21T12:05:00Z 0/4 SecureSum: waiting for carol until 12:10 UTC
2026-11-21T12:05:00Z 2/4 SecureSum: computing; waiting for carol
2026-11-21T12:05:00Z 2/4 SecureSum: done
`)
	if w.stderr.String() != "" {
		t.Errorf("standard error: %s", w.stderr)
	}
}

func TestWatchAtATerminalDrawsABar(t *testing.T) {
	w := newWorld(t).atTerminal()
	w.start("job", "watch", testJob)
	w.stderr.shows("\rweft: SecureSum: waiting for bob and carol until 12:10 UTC")
	w.gateway.move(map[string]any{"state": "running", "waiting": []string{"carol"}, "detail": "computing; waiting for carol", "progress": map[string]int{"done": 2, "planned": 4}})
	w.stderr.shows("\rweft: [#####-----] SecureSum: computing; waiting for carol")
	w.gateway.move(map[string]any{"progress": map[string]int{"done": 3, "planned": 4}}) // the bar alone
	w.stderr.shows("\rweft: [#######---] SecureSum: computing; waiting for carol")
	w.gateway.done(`{"sum":85}`)
	w.ends(0)
	w.wantOut("SecureSum: done\n")
}

func TestWatchComesBack(t *testing.T) {
	w := newWorld(t)
	w.gateway.broken = -1
	w.start("job", "watch", testJob)
	w.stdout.shows("waiting for bob and carol")
	w.gateway.failed("failed", "not-joined", "carol did not join within 5m0s")
	w.ends(1)
	w.wantErr("weft: error: SecureSum: carol did not join within 5m0s\n", "weft: hint: every party submits the same computation")
	if n := strings.Count(w.stdout.String(), "waiting for bob and carol"); n != 1 {
		t.Errorf("the same state is told %d times", n)
	}
	if n := w.gateway.asked("GET /v1/jobs/" + testJob + "/events"); n < 2 {
		t.Errorf("asked %d times", n)
	}

	busy := newWorld(t)
	busy.gateway.broken = 2
	busy.gateway.done(`{"sum":85}`)
	busy.start("job", "watch", testJob, "--output", "csv")
	busy.ends(0)
	busy.wantOut(strings.Join(jobColumns, ",") + "\n" + testJob + "," + testUUID + ",SecureSum,done,done,,,0,0,1,5,2026-11-21T12:03:00Z,,,2026-11-21T12:10:00Z,alice bob carol\n")

	gone := newWorld(t)
	gone.start("job", "watch", "b8a3a5ac-1ad0-4d6c-9d1e-0d7d3f0f5b3c")
	gone.ends(1)
	gone.wantErr("there is no such job here")

	left := newWorld(t)
	left.start("job", "watch", testJob, "--json")
	left.stdout.shows(`"state":"waiting"`)
	left.interrupt()
	left.ends(130)
}

func TestJobResult(t *testing.T) {
	w := newWorld(t)
	w.start("job", "result", testJob)
	w.ends(1)
	w.wantErr("has not ended: SecureSum: waiting for bob and carol", "weft: hint: weft job watch "+testJob+" --gateway ")
	for format, want := range map[string]string{
		"table": "inputs  3\nsum     85\n", "json": `{"inputs":3,"result":{"sum":85}}` + "\n", "csv": "sum\n85\n",
	} {
		w := newWorld(t)
		w.gateway.done(`{"sum": 85}`)
		w.start("job", "result", testJob, "--output", format)
		w.ends(0)
		w.wantOut(want)
	}
	alias := newWorld(t)
	alias.gateway.done(`{"sum": 85}`)
	alias.start("job", "result", testJob, "--json")
	alias.ends(0)
	alias.wantOut(`{"inputs":3,"result":{"sum":85}}` + "\n")
	wrong := newWorld(t)
	wrong.start("job", "result", testJob, "--output", "xml")
	wrong.ends(2)
	wrong.wantErr("use table, json or csv")
}

func TestListOfJobsAsCSV(t *testing.T) {
	w := newWorld(t)
	w.start("job", "ls", "--output", "csv", "--state", "waiting")
	w.ends(0)
	lines := strings.Split(w.stdout.String(), "\n")
	if len(lines) != 4 || lines[0] != strings.Join(jobColumns, ",") || !strings.HasPrefix(lines[1], testJob+","+testUUID+",SecureSum,waiting,waiting for bob and carol until 12:10 UTC,bob carol,") {
		t.Errorf("%s", w.stdout)
	}
}

func TestResultsAsCSV(t *testing.T) {
	for _, tt := range []struct{ result, want string }{
		{`{"sum":85,"samples":3}`, "sum,samples\n85,3\n"},
		{`{"sum":[1,2.50],"mean":[3,null],"n":4}`, "n,sum,mean\n4,1,3\n4,2.50,\n"},
		{`{"a":[1,2],"b":[1,2,3]}`, "a[0],a[1],b[0],b[1],b[2]\n1,2,1,2,3\n"},
		{`{"n":2,"groups":[{"name":"x, y","ci":[1,2]},{"name":"z","more":true}]}`, "n,name,ci[0],ci[1],more\n2,\"x, y\",1,2,\n2,z,,,true\n"},
		{`{"groups":[{"g":"a","curve":[{"t":1},{"t":2}]},{"g":"b","curve":[]}]}`, "g,t\na,1\na,2\nb,\n"},
		{`{"test":{"p":0.5,"df":[1]},"rows":[{"x":1}],"columns":[{"x":2,"y":3}]}`, "test.p,test.df[0],table,x,y\n0.5,1,rows,1,\n0.5,1,columns,2,3\n"},
		{`{"matrix":[[1,0.5],[0.5,1]]}`, "matrix[0],matrix[1]\n1,0.5\n0.5,1\n"},
		{`{"x":1,"list":[{"x":2}]}`, "x,x_\n1,2\n"},
		{`{}`, "\n\n"},
	} {
		out := newScreen(t)
		if err := printCSV(out, []byte(`{"inputs":3,"result":`+tt.result+`}`)); err != nil || out.String() != tt.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", tt.result, err, out, tt.want)
		}
	}
}

// A submission whose answer was lost is sent again under its key, and is one job.
func TestLostAnswerOfASubmission(t *testing.T) {
	w := newWorld(t)
	w.gateway.lost = true
	w.sum("--data", "19", "--detach")
	w.ends(0)
	w.wantOut(testJob + "\n")
	w.gateway.submitted(t)
	if n := w.gateway.asked("POST /v1/jobs"); n != 2 {
		t.Errorf("sent %d times", n)
	}
}
