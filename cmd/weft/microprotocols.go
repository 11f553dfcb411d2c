package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/weftmpc/weft/simon"
)

func (p *program) microprotocolsCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "microprotocols [NAME]",
		Short: "List what can be computed, what it reveals and what it costs",
		Long: `Lists the microprotocols of this weft; with a NAME, tells what one takes and gives, who learns what beyond the result,
and what it costs. It needs no gateway. A gateway of another version may know others.`,
		Example: "  weft microprotocols SecureSum",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			all := simon.Catalogue()
			if len(args) == 1 {
				m, err := find(all, args[0])
				if err != nil {
					return err
				}
				if !asJSON {
					return describe(p.stdout, m)
				}
				return printJSON(p.stdout, m)
			}
			if !asJSON {
				return summarise(p.stdout, all)
			}
			return printJSON(p.stdout, struct {
				Microprotocols []simon.Microprotocol `json:"microprotocols"`
			}{all})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, schemas included, as the gateway's /v1/microprotocols does")
	return c
}

func find(all []simon.Microprotocol, name string) (simon.Microprotocol, error) {
	var names []string
	for _, m := range all {
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	err := usageError("there is no microprotocol %q", name)
	if near := nearest(name, names); near != "" {
		return simon.Microprotocol{}, withHint(err, "did you mean %s?", near)
	}
	return simon.Microprotocol{}, withHint(err, "`weft microprotocols` lists them")
}

func summarise(w io.Writer, all []simon.Microprotocol) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tPARTIES\tHOPS\tSUMMARY")
	for _, m := range all {
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", m.Name, parties(m), m.Hops, m.Summary)
	}
	return table.Flush()
}

// parties is how many parties can take part.
func parties(m simon.Microprotocol) string {
	if m.MaxParties == 0 {
		return fmt.Sprintf("%d or more", m.MinParties)
	}
	if m.MaxParties == m.MinParties {
		return fmt.Sprint(m.MinParties)
	}
	return fmt.Sprintf("%d to %d", m.MinParties, m.MaxParties)
}

// textWidth is the length of a line of running text.
const textWidth = 88

func describe(w io.Writer, m simon.Microprotocol) error {
	var b strings.Builder
	entry := func(name, text string) {
		if text == "" {
			return
		}
		for i, line := range wrap(text, textWidth) {
			if i > 0 {
				name = ""
			}
			fmt.Fprintf(&b, "%-13s%s\n", name, line)
		}
	}
	entry("name", fmt.Sprintf("%s, version %d", m.Name, m.Version))
	entry("summary", m.Summary)
	entry("takes", schemaText(m.Input))
	for i, line := range schemaMembers(m.Parameters) {
		entry([]string{"parameters", ""}[min(i, 1)], line)
	}
	for i, line := range schemaMembers(m.Result) {
		entry([]string{"gives", ""}[min(i, 1)], line)
	}
	entry("reveals", m.Leakage)
	entry("with helper", m.WithHelper)
	entry("parties", parties(m))
	entry("hops", fmt.Sprintf("%d message steps one after the other", m.Hops))
	entry("bytes", m.Bytes)
	entry("time-outs", fmt.Sprintf("%s for one message step, %s for all", m.Round, m.Limit))
	_, err := io.WriteString(w, b.String())
	return err
}

// schemaText is a schema in words: its description, else itself.
func schemaText(schema json.RawMessage) string {
	n, err := parseValue(schema)
	if err != nil {
		return ""
	}
	for _, m := range n.members {
		if m.key == "description" {
			return m.value.text
		}
	}
	return string(schema)
}

// schemaMembers is a line for each member of an object's schema, in the schema's order; without members, its words.
func schemaMembers(schema json.RawMessage) []string {
	n, err := parseValue(schema)
	if err != nil {
		return nil
	}
	lines := membersOf(n, "")
	if lines == nil {
		return []string{schemaText(schema)}
	}
	return lines
}

// membersOf lists the members of an object, or of the objects in a list, with those inside them.
func membersOf(schema element, path string) []string {
	var lines []string
	for _, m := range schema.members {
		switch m.key {
		case "properties":
			for _, p := range m.value.members {
				lines = append(lines, path+p.key+attributes(p.value))
				lines = append(lines, membersOf(p.value, path+p.key+".")...)
			}
		case "items":
			lines = append(lines, membersOf(m.value, strings.TrimSuffix(path, ".")+"[].")...)
		}
	}
	return lines
}

// attributes are a schema's own words and bounds.
func attributes(schema element) string {
	text := ""
	for _, a := range []struct{ key, before string }{
		{"description", ": "}, {"enum", "; one of "}, {"minimum", ", from "}, {"maximum", " to "}, {"default", "; default "},
	} {
		for _, m := range schema.members {
			if m.key != a.key {
				continue
			}
			if value := m.value.words(); value != "" {
				text += a.before + value
			}
		}
	}
	return text
}

// wrap breaks text at spaces into lines of at most width characters where its words allow that.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// printJSON writes v in one line, characters like < as they are.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
