package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestPlotIsRefusedAtOnce(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "folder.svg"), 0o700); err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(dir, "a.svg")
	cases := []struct {
		microprotocol string
		plot          string
		more          []string
		want          []string
	}{
		{"SecureSum", good, nil, []string{"there is no picture of SecureSum; --plot knows CorrelationMatrix, Histogram, KaplanMeier,", "StatisticsByGroup and StatisticsFrequency\n", "hint: leave --plot out"}},
		{"KaplanMeyer", good, nil, []string{"there is no picture of KaplanMeyer", "hint: did you mean KaplanMeier?"}},
		{"KaplanMeier", filepath.Join(dir, "a.gif"), nil, []string{"a.gif: the kind of picture is not known", "hint: let the name end with .svg, .png or .pdf\n"}},
		{"KaplanMeier", filepath.Join(dir, "none", "a.svg"), nil, []string{"a.svg cannot be written: no such file"}},
		{"KaplanMeier", filepath.Join(dir, "folder.svg"), nil, []string{"folder.svg is there and is no file"}},
		{"KaplanMeier", good, []string{"--detach"}, []string{"--plot and --detach are both there", "weft job show ID --plot " + good}},
	}
	if runtime.GOOS != "windows" && os.Geteuid() != 0 {
		locked := filepath.Join(dir, "locked")
		if err := os.Mkdir(locked, 0o500); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, cases[3])
		cases[len(cases)-1].plot, cases[len(cases)-1].want = filepath.Join(locked, "a.svg"), []string{"a.svg cannot be written: permission denied"}
	}
	for _, c := range cases {
		w := newWorld(t)
		w.start(append([]string{"run", c.microprotocol, "--parties", "alice,bob", "--data", "1", "--plot", c.plot}, c.more...)...)
		w.ends(exitUsage)
		w.wantErr(c.want...)
		if len(w.gateway.requests) > 0 {
			t.Errorf("requests: %q", w.gateway.requests)
		}
	}
	left, err := os.ReadDir(dir)
	for _, e := range left {
		if e.Name() != "folder.svg" && e.Name() != "locked" {
			t.Errorf("%s is left, %v", e.Name(), err)
		}
	}
}

func TestRunPlots(t *testing.T) {
	for _, extension := range []string{".svg", ".PNG", ".pdf"} {
		path := filepath.Join(t.TempDir(), "picture"+extension)
		if err := os.WriteFile(path, []byte("an older picture"), 0o600); err != nil {
			t.Fatal(err)
		}
		w := newWorld(t)
		w.gateway.move(map[string]any{"microprotocol": "Histogram"})
		w.start("run", "Histogram", "--parties", "alice,bob,carol", "--data", "1", "--json", "--plot", path)
		w.gateway.done(examples["Histogram"])
		w.ends(exitDone)
		w.wantOut(`{"inputs":3,"result":` + examples["Histogram"] + "}\n")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		start := map[string]string{".svg": "<svg", ".PNG": "\x89PNG", ".pdf": "%PDF"}[extension]
		if !bytes.HasPrefix(b, []byte(start)) {
			t.Errorf("%s begins with %.8q", extension, b)
		}
		if extension == ".svg" && !bytes.Contains(b, []byte("12 samples of 3 parties")) {
			t.Error("the caption does not know the parties")
		}
		if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
			t.Errorf("%d files are left", len(left))
		}
	}
}

// A picture that cannot be drawn takes the result from nobody.
func TestRunWithoutPicture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "picture.svg")
	w := newWorld(t)
	w.gateway.move(map[string]any{"microprotocol": "Histogram"})
	w.start("run", "Histogram", "--parties", "alice,bob,carol", "--data", "1", "--plot", path)
	w.gateway.done(`{"samples":1}`)
	w.ends(exitFailed)
	w.wantOut("inputs   3\nsamples  1\n")
	w.wantErr("weft: error: drawing the result of Histogram: ", "hint: the result itself is there: weft job show "+testJob)
	if _, err := os.Stat(path); err == nil {
		t.Error("there is a file")
	}
}

func TestJobShowPlots(t *testing.T) {
	path := filepath.Join(t.TempDir(), "picture.svg")
	w := newWorld(t)
	w.start("job", "show", testJob, "--plot", path)
	w.ends(exitFailed)
	w.wantErr("weft: error: the job is waiting: there is nothing to draw before it is done\n")

	w = newWorld(t)
	w.gateway.done(`{"sum":1}`)
	w.start("job", "show", testJob, "--plot", path)
	w.ends(exitUsage)
	w.wantErr("there is no picture of SecureSum")

	for _, more := range [][]string{nil, {"--json"}} {
		w = newWorld(t)
		w.gateway.move(map[string]any{"microprotocol": "Histogram", "state": "done", "detail": "done"})
		w.gateway.result = examples["Histogram"] // a large one
		w.start(append([]string{"job", "show", testJob, "--plot", path}, more...)...)
		w.ends(exitDone)
		if b, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(b, []byte("<svg")) {
			t.Errorf("%v: %.8q", err, b)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}
