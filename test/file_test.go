package test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// Three parties of a demo compute with files that their nodes read: two by the command, one by HTTP.
func TestFilesOfADemo(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"alice/ages.csv": "age,height\n19,1.80\n061,\"1.75\"\n", "bob.csv": "1,2\n", "carol.json": " [[2, 3.5]]\n", "names.csv": "name,age\nEve,7\n", "blank.csv": "1,2\n3,\n",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte(text), 0o600))
	}
	d := startDemo(t, "--files", dir)
	id := uuid.NewString()
	run := []string{"run", "SecureSum", "--parties", "alice,bob,carol", "--uuid", id, "--json"}
	alice := d.weft(t, 0, "", append(run, "--data", "@"+filepath.Join(dir, "alice", "ages.csv"))...)
	alice.says("weft: the node has read .*ages.csv itself\n")
	bob := d.weft(t, 1, "", append(run, "--file", "bob.csv")...)
	code, job := call(t, "POST", d.urls[2]+"/v1/jobs", fmt.Sprintf(`{"microprotocol":"SecureSum","file":"carol.json","parties":["alice","bob","carol"],"uuid":%q}`, id))
	if code != 202 {
		t.Fatalf("%d %v", code, job)
	}
	const want = `{"inputs":3,"result":{"samples":4,"sum":[83,9.05]}}` + "\n"
	for _, c := range []*command{alice, bob} {
		if got := c.ok(); got != want {
			t.Errorf("%s want %s", got, want)
		}
	}
	if code, got := d.result(2, job["id"].(string)); code != 200 || got["samples"] != 4.0 {
		t.Errorf("carol: %d %v", code, got)
	}

	fails := func(name string, wants ...string) {
		t.Helper()
		d.weft(t, 0, "", "run", "SecureSum", "--parties", "alice,bob,carol", "--file", name).fails(1, wants...)
	}
	fails("blank.csv", "weft: error: file: line 2, column 2: the cell is blank; every line must hold a value")
	fails("names.csv", "weft: error: data[0][0]: ", "(line 2 of the file)")
	fails("none.csv", "weft: error: file: there is no such file")
	fails("../bob.csv", "weft: error: file: it must be a file inside this node's folder")
	if said := d.stderr.String(); strings.Contains(said, ".csv") || strings.Contains(said, "Eve") {
		t.Errorf("the log holds names or data: %s", said)
	}
	startDemo(t).weft(t, 0, "", "run", "SecureSum", "--parties", "alice,bob,carol", "--file", "bob.csv").fails(1, "this node has no folder of files")
}

// manyNumbers writes a CSV file of n numbers, n a multiple of 10,000, and returns their sum.
func manyNumbers(t *testing.T, path string, n int) (sum int) {
	t.Helper()
	const each = 10_000
	var block strings.Builder
	for i := range each {
		fmt.Fprintf(&block, "%04d.25\n", i)
	}
	f, err := os.Create(path)
	must(t, err)
	w := bufio.NewWriterSize(f, 1<<20)
	_, err = w.WriteString("value\n")
	must(t, err)
	for range n / each {
		_, err = w.WriteString(block.String())
		must(t, err)
	}
	must(t, w.Flush())
	must(t, f.Close())
	return n / each * (each*(each-1)/2 + each/4)
}
