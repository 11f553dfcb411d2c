package fss_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/weftmpc/weft/simon/fss"
)

// vectors.json is made by testdata/dcf.py, which has nothing of this package.
type vector struct {
	SID, Label string
	Level      uint32
	Bits       int
	Alpha      uint64 `json:",string"`
	Beta       []string
	Rand       string
	Key0, Key1 string
	Points     []struct {
		X              uint64 `json:",string"`
		Share0, Share1 []string
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func numbers(t *testing.T, texts []string) []uint64 {
	t.Helper()
	var v []uint64
	for _, s := range texts {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		v = append(v, n)
	}
	return v
}

func TestVectors(t *testing.T) {
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 10 {
		t.Errorf("only %d vectors", len(vectors))
	}
	for i, v := range vectors {
		k := fss.NewKeys([32]byte(unhex(t, v.SID)), unhex(t, v.Label), v.Level)
		beta := numbers(t, v.Beta)
		c := comparison{v.Bits, len(beta)}
		want := [2][]byte{unhex(t, v.Key0), unhex(t, v.Key1)}
		keys := c.room(1)
		if err := c.gen(k, bytes.NewReader(unhex(t, v.Rand)), v.Alpha, beta, keys); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(keys[0], want[0]) || !bytes.Equal(keys[1], want[1]) {
			t.Errorf("vector %d: keys are\n%x\n%x, want\n%x\n%x", i, keys[0], keys[1], want[0], want[1])
		}
		if len(v.Points) < 2 {
			t.Errorf("vector %d has only %d points", i, len(v.Points))
		}
		for _, p := range v.Points {
			for party, share := range [][]string{p.Share0, p.Share1} {
				got, err := c.eval(k, party, want[party], p.X)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got, numbers(t, share)) {
					t.Errorf("vector %d: evaluator %d has %d at %d, want %s", i, party, got, p.X, share)
				}
			}
		}
	}
}

// The vectors are what the script makes, which checks its AES and its results.
func TestScriptMakesTheVectors(t *testing.T) {
	want, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var problems strings.Builder
	script := exec.CommandContext(t.Context(), "python3", "-I", "testdata/dcf.py")
	script.Stderr = &problems
	got, err := script.Output()
	if err != nil {
		t.Fatalf("testdata/dcf.py: %v: %s (`make deps` installs Python)", err, problems.String())
	}
	if !bytes.Equal(bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")), want) {
		t.Error("testdata/dcf.py prints something else than testdata/vectors.json")
	}
}
