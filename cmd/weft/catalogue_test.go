package main

import (
	"flag"
	"fmt"
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

// catalogueMarkdown is the catalogue as a document: simon/README.md ends with it.
func catalogueMarkdown(all []simon.Microprotocol) string {
	var b strings.Builder
	b.WriteString("| microprotocol | parties | hops | what it gives |\n|---|---|---|---|\n")
	for _, m := range all {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %d | %s |\n", m.Name, strings.ToLower(m.Name), parties(m), m.Hops, m.Summary)
	}
	for _, m := range all {
		fmt.Fprintf(&b, "\n### %s\n\n%s\n\n", m.Name, m.Summary)
		fmt.Fprintf(&b, "- **Takes** %s.\n", strings.TrimSuffix(schemaText(m.Input), "."))
		list := func(name string, lines []string) {
			fmt.Fprintf(&b, "- **%s**\n", name)
			for _, line := range lines {
				if sharedParameter(line) {
					continue
				}
				key, text, _ := strings.Cut(line, ":")
				if strings.ContainsAny(key, " ;") { // no words of its own
					key, text, _ = strings.Cut(line, ";")
				}
				fmt.Fprintf(&b, "  - `%s`:%s\n", strings.TrimSpace(key), " "+strings.TrimSpace(text))
			}
		}
		list("Parameters", schemaMembers(m.Parameters))
		list("Gives", schemaMembers(m.Result))
		fmt.Fprintf(&b, "- **Reveals** %s\n", m.Leakage)
		if m.WithHelper != "" {
			fmt.Fprintf(&b, "- **With a helper** %s\n", m.WithHelper)
		}
		fmt.Fprintf(&b, "- **Costs** %d message steps one after the other; %s. Version %d; %s parties; %s for one message step, %s for all.\n",
			m.Hops, strings.TrimSuffix(m.Bytes, "."), m.Version, parties(m), m.Round, m.Limit)
	}
	return b.String()
}

// sharedParameter says whether a line is about a parameter that the head of the document explains once.
func sharedParameter(line string) bool {
	for _, name := range []string{"least_contributors", "least_samples", "limit_ms", "round_ms"} {
		if strings.HasPrefix(line, name+":") {
			return true
		}
	}
	return false
}
