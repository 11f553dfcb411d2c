package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/weftmpc/weft/simon"
)

// The shapes of results are those that the microprotocols give.
func TestPicturesOfComputedResults(t *testing.T) {
	for name, c := range map[string]struct {
		parameters, data string
		want             []string
	}{
		"KaplanMeier":         {`{"groups":["a","b"]}`, `[[1,1,"a"],[2,0,"a"],[3,1,"b"],[2,1,"a"],[5,true,"b"]]`, []string{"a (2 of 3 with event, median 2)", "At risk"}},
		"Histogram":           {`{"breaks":[0,1,3]}`, `[0.5,2,-1,2.5]`, []string{"density", "Not drawn: 1 below 0."}},
		"StatisticsByGroup":   {`{"groups":["a",2]}`, `[[1,"a"],[2,"a"],[4,2],[3,"a"],[5,2]]`, []string{"a", "n = 3", "2", "n = 2"}},
		"StatisticsFrequency": {`{"categories":["u","v"]}`, `["u","v","v"]`, []string{"u", "v", "2"}},
		"CorrelationMatrix":   {`{"columns":["p","q"]}`, `[[1,2],[2,3],[3,5],[4,4],[5,9]]`, []string{"p", "q", "0.88"}},
		"LinearRegression":    {`{"columns":["dose"]}`, `[[1,2],[2,3],[3,5],[4,4],[5,9]]`, []string{"dose", "coefficient [95 % CI]", "0.51 [0.00, 1.03]", "0.050"}},
		"LogisticRegression":  {`{"columns":["dose"]}`, `[[0,1],[1,2],[0,3],[1,5],[1,4],[0,2],[1,6],[0,5]]`, []string{"dose", "odds ratio [95 % CI]", "1"}},
		"PoissonRegression":   {`{"columns":["dose"]}`, `[[0,1],[1,2],[3,3],[4,5],[5,4],[2,2],[9,6],[4,5]]`, []string{"dose", "rate ratio [95 % CI]", "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := drawn(t, name, string(computed(t, name, c.parameters, c.data)))
			wellFormed(t, s)
			all := strings.Join(s.texts(), "\n")
			for _, want := range c.want {
				if !strings.Contains("\n"+all+"\n", "\n"+want) && !strings.HasSuffix(all, want) {
					t.Errorf("no %q in %q", want, s.texts())
				}
			}
		})
	}
}

// computed is what one party computes of all data: with one party nothing is hidden and nothing is sent.
func computed(t *testing.T, name, parameters, data string) json.RawMessage {
	t.Helper()
	catalogue := append(simon.Catalogue(), simon.CorrelationMatrix(), simon.LinearRegression())
	m := catalogue[slices.IndexFunc(catalogue, func(m simon.Microprotocol) bool { return m.Name == name })]
	prepared, err := m.Prepare(strings.NewReader(data), json.RawMessage(parameters), simon.Guard{})
	if err != nil {
		t.Fatal(err)
	}
	common := simon.Common{Parties: 1, Parameters: prepared.Parameters}
	opened, err := m.Run(t.Context(), alone{}, common, prepared.Input)
	if err != nil {
		t.Fatal(err)
	}
	result, err := m.Finish(common, prepared.Input, opened)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// alone is the session of a party without others. It has no streams: asking for one panics.
type alone struct{ simon.Session }

func (alone) N() int                                { return 1 }
func (alone) Self() int                             { return 0 }
func (alone) Seat(r simon.Role) (seat int, ok bool) { return 0, r == simon.First }
func (alone) Position(int) int                      { return 0 }
func (alone) Recipients() []int                     { return []int{0} }
func (alone) SID() [32]byte                         { return [32]byte{1} }
func (alone) Call(string) simon.Session             { return alone{} }
func (alone) Join(...simon.Session)                 {}
func (alone) Report(simon.Progress)                 {}
func (alone) Rand() io.Reader                       { return rand.NewChaCha8([32]byte{}) }

func (alone) Exchange(_ context.Context, _ []int, _ simon.Label, body []byte) ([][]byte, error) {
	return [][]byte{bytes.Clone(body)}, nil
}

func (alone) Open(_ context.Context, _ simon.Label, body []byte) ([][]byte, error) {
	return [][]byte{bytes.Clone(body)}, nil
}

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
