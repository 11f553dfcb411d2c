package main

import (
	"fmt"
	"strings"

	"github.com/weftmpc/weft/simon"
)

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
