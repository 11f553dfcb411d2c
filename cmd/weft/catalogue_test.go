package main

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/weftmpc/weft/simon"
)

var rewrite = flag.Bool("update", false, "rewrite the part of simon/README.md that is made from the descriptions")

// TestCatalogueDocument: what simon/README.md says of the microprotocols is what their descriptions say.
func TestCatalogueDocument(t *testing.T) {
	const (
		path   = "../../simon/README.md"
		marker = "<!-- The rest is made from the descriptions: go test ./cmd/weft -run TestCatalogueDocument -update -->\n"
	)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), marker)
	if !ok {
		t.Fatalf("%s has no line %s", path, marker)
	}
	want := "\n" + catalogueMarkdown(simon.Catalogue())
	if *rewrite {
		if err := os.WriteFile(path, []byte(head+marker+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if rest != want {
		t.Errorf("%s is not what the descriptions say: run the test with -update and read the change", path)
	}
}
