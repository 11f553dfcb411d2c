package simontest

import (
	"bytes"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weftmpc/weft/simon/prg"
)

// update is the -update flag of every test binary that imports this package.
var update = flag.Bool("update", false, "rewrite golden files")

// Golden compares got with testdata/name.golden and rewrites the file when the tests run with -update.
func Golden(t testing.TB, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update to write it)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; run the test with -update if the change is meant\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

// Transcript writes a record as text: a line per message, then a line per seat. Long bodies are given by length and hash.
func (r *Record) Transcript() []byte {
	var b strings.Builder
	for _, m := range r.Messages {
		fmt.Fprintf(&b, "%-8s %s %d/%s  %d > %d  %s\n", m.Kind, "."+m.Path, m.Label.Round, m.Label.Vector, m.From, m.To, brief(m.Body))
	}
	for seat, result := range r.Results {
		if err := r.Errs[seat]; err != nil {
			fmt.Fprintf(&b, "seat %d  error: %v\n", seat, err)
			continue
		}
		fmt.Fprintf(&b, "seat %d  %s\n", seat, brief(result))
	}
	return []byte(b.String())
}

func brief(b []byte) string {
	switch {
	case b == nil:
		return "nothing"
	case len(b) <= 64:
		return fmt.Sprintf("%x", b)
	default:
		return fmt.Sprintf("%d bytes, sha256 %x", len(b), sha256.Sum256(b))
	}
}

// Shift reprograms a mask: it returns s with its first size bytes replaced by change(them). With the mask of two honest
// parties shifted by the difference of two inputs, both must send the same bytes for either input.
func Shift(s prg.Stream, size int, change func(mask []byte) []byte) prg.Stream {
	first := make([]byte, size)
	s.Fill(first)
	return &shifted{bytes.NewReader(change(first)), s}
}

type shifted struct {
	first *bytes.Reader
	rest  prg.Stream
}

func (s *shifted) Fill(dst []byte) {
	n, _ := s.first.Read(dst)
	if n < len(dst) {
		s.rest.Fill(dst[n:])
	}
}
