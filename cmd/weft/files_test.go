package main

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func fileWith(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFolderKeepsToItself(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "data")
	fileWith(t, filepath.Join(dir, "ages.csv"), "1\n")
	fileWith(t, filepath.Join(dir, "2026", "x y.csv"), "2\n")
	outside := fileWith(t, filepath.Join(top, "secret.csv"), "3\n")
	links := map[string]string{"out.csv": outside, "up.csv": filepath.Join("..", "secret.csv"), "up": "..", "in.csv": "ages.csv", "loop.csv": "loop.csv"}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			if runtime.GOOS == "windows" { // where making them is a privilege
				continue
			}
			t.Fatal(err)
		}
	}
	f, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"ages.csv": "1\n", "2026/x y.csv": "2\n", "in.csv": "1\n"} {
		if links[name] != "" && runtime.GOOS == "windows" {
			continue
		}
		r, err := f.Open(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if b, err := io.ReadAll(r); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
		r.Close()
	}
	for _, name := range []string{
		"../secret.csv", "2026/../../secret.csv", outside, "out.csv", "up.csv", "up/secret.csv", "loop.csv", "2026", ".", "", "/", "ages.csv/x", "none/../ages.csv",
		"ages.csv\x00", strings.Repeat("a", 1000),
	} {
		r, err := f.Open(name)
		if !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", name, err)
		}
		if err == nil {
			r.Close()
		}
	}
	if _, err := f.Open("none.csv"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestFolderHoldsNoSecrets(t *testing.T) {
	dir := t.TempDir()
	key := fileWith(t, filepath.Join(dir, "identity.key"), "")
	for _, private := range []string{key, dir} {
		if _, err := openFolder(dir, private); err == nil || !strings.Contains(err.Error(), "nobody may compute with") {
			t.Errorf("a folder with %s: %v", private, err)
		}
	}
	data := filepath.Join(dir, "data")
	for _, bad := range []string{data, key} {
		if _, err := openFolder(bad, key); err == nil {
			t.Errorf("%s is taken for a folder", bad)
		}
	}
	fileWith(t, filepath.Join(data, "x.csv"), "")
	if _, err := openFolder(data, key, filepath.Join(dir, "state")); err != nil {
		t.Error(err)
	}
}

// Where keys and state will be only after the first start, the folder must not be theirs either.
func TestFolderWillHoldNoSecrets(t *testing.T) {
	top := t.TempDir()
	data := filepath.Join(top, "data")
	fileWith(t, filepath.Join(data, "x.csv"), "")
	inside, outside := []string{filepath.Join(data, "state"), filepath.Join(data, "a", "b", "identity.key"), top}, []string{
		"", filepath.Join(top, "state"), filepath.Join(top, "data2", "state"), filepath.Join(top, "a", "data"),
	}
	if runtime.GOOS != "windows" { // where making links is a privilege
		for name, to := range map[string]string{"to-data": data, "to-nothing": filepath.Join(data, "later"), "relative": filepath.Join("data", "later"), "out": filepath.Join(top, "later")} {
			if err := os.Symlink(to, filepath.Join(top, name)); err != nil {
				t.Fatal(err)
			}
		}
		inside = append(inside, filepath.Join(top, "to-data", "state"), filepath.Join(top, "to-nothing"), filepath.Join(top, "relative", "state"))
		outside = append(outside, filepath.Join(top, "out"), filepath.Join(top, "out", "state"))
	}
	for _, private := range inside {
		if _, err := openFolder(data, private); err == nil || !strings.Contains(err.Error(), "nobody may compute with") {
			t.Errorf("a folder for %s: %v", private, err)
		}
	}
	t.Chdir(data) // an empty path is not the folder that the process runs in
	if _, err := openFolder(data, outside...); err != nil {
		t.Error(err)
	}
}

func TestRunNamesAFileOfTheNodes(t *testing.T) {
	dir := t.TempDir()
	inside := fileWith(t, filepath.Join(dir, "data", "2026", "ages.csv"), "19\n")
	outside := fileWith(t, filepath.Join(dir, "ages.csv"), "20\n")
	folder, err := filepath.EvalSymlinks(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		args    []string
		refused string // the reason why the gateway cannot use the file
		want    string
	}{
		{"inside", []string{"--data", "@" + inside}, "", `"file":"2026/ages.csv"`},
		{"outside", []string{"--data", "@" + outside}, "", `"data":[20]`},
		{"by name", []string{"--file", "x.csv"}, "", `"file":"x.csv"`},
		{"not allowed", []string{"--data", "@" + inside}, "unreadable-file", `"data":[19]`},
		{"another machine's", []string{"--data", "@" + inside}, "unknown-file", `"data":[19]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.gateway.files, w.gateway.refused = folder, c.refused
			w.sum(append(c.args, "--detach")...)
			w.ends(exitDone)
			if got := w.gateway.submitted(t); !strings.Contains(got, c.want) || strings.Contains(got, `"data"`) && strings.Contains(got, `"file"`) {
				t.Errorf("posted %s, want %s", got, c.want)
			}
			if said := strings.Contains(w.stderr.String(), "weft: the node has read "+inside+" itself\n"); said != (c.name == "inside") {
				t.Errorf("standard error: %s", w.stderr)
			}
		})
	}

	w := newWorld(t) // what is wrong with a file's content is no reason to send it
	w.gateway.files, w.gateway.refused = folder, "invalid-file"
	w.sum("--data", "@"+inside)
	w.ends(exitFailed)
	if len(w.gateway.posted) > 0 || w.gateway.asked(http.MethodPost+" /v1/jobs") != 1 {
		t.Error("the data were sent")
	}
}

// A gateway on another machine may have another file under the same name.
func TestRunTrustsOnlyThisMachine(t *testing.T) {
	path := fileWith(t, filepath.Join(t.TempDir(), "ages.csv"), "19\n")
	c := &client{base: "http://192.0.2.1:55501", http: &http.Client{Transport: failing{t}}}
	if name := c.nodeFile(t.Context(), "@"+path); name != "" {
		t.Errorf("it is sent as %s", name)
	}
}

type failing struct{ t *testing.T }

func (f failing) RoundTrip(r *http.Request) (*http.Response, error) {
	f.t.Errorf("%s %s", r.Method, r.URL)
	return nil, errors.New("nothing is sent")
}
