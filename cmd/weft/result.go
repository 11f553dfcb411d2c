package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// enveloped is a result as --json prints it: {"inputs":n,"result":{…}} in one line.
func enveloped(j job) (json.RawMessage, error) {
	result, err := compact(j.Result)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `{"inputs":%d,"result":%s}`, len(j.Parties), result), nil
}

// compact is raw without space between its tokens.
func compact(raw json.RawMessage) ([]byte, error) {
	var out bytes.Buffer
	if err := json.Compact(&out, raw); err != nil {
		return nil, fmt.Errorf("the gateway's answer is no JSON: %w", err)
	}
	return out.Bytes(), nil
}

// printResult writes a result for a person: a line per value, names on the left; lists of objects with the same members
// become tables below. Numbers stay as they came.
func printResult(w io.Writer, envelope json.RawMessage) error {
	top, err := parseValue(envelope)
	if err != nil {
		return fmt.Errorf("the gateway's result is no JSON: %w", err)
	}
	p := &resultPrinter{table: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	for _, m := range top.members {
		if m.key == "result" && m.value.members != nil {
			for _, inner := range m.value.members {
				p.value(inner.key, inner.value)
			}
			continue
		}
		p.value(m.key, m.value)
	}
	if err := p.table.Flush(); err != nil {
		return err
	}
	for len(p.below) > 0 {
		below := p.below
		p.below = nil
		for _, m := range below {
			if err := p.section(w, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// resultPrinter writes values line by line, and puts lists of objects by.
type resultPrinter struct {
	table *tabwriter.Writer
	below []jsonMember
}

// value writes one value: a scalar or a list of scalars in its line, others in a line per member.
func (p *resultPrinter) value(name string, n element) {
	name = oneLine(name)
	switch {
	case n.members != nil:
		for _, m := range n.members {
			p.value(name+"."+m.key, m.value)
		}
	case n.items != nil && flat(n.items) && len(n.line()) <= 100:
		fmt.Fprintf(p.table, "%s\t%s\n", name, n.line())
	case areObjects(n.items):
		p.below = append(p.below, jsonMember{name, n})
	case n.items != nil:
		for i, item := range n.items {
			p.value(fmt.Sprintf("%s[%d]", name, i), item)
		}
	default:
		fmt.Fprintf(p.table, "%s\t%s\n", name, n.text)
	}
}

// section writes a list of objects: those members that are values as columns, the others below.
func (p *resultPrinter) section(w io.Writer, m jsonMember) error {
	p.table = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if !areObjects(m.value.items) {
		p.value(m.key, m.value)
		return p.table.Flush()
	}
	var columns []string
	for _, item := range m.value.items {
		for _, c := range item.members {
			if key := oneLine(c.key); c.value.inLine() && !slices.Contains(columns, key) {
				columns = append(columns, key)
			}
		}
	}
	fmt.Fprintf(w, "\n%s\n", m.key)
	fmt.Fprintf(p.table, "  %s\n", strings.Join(columns, "\t"))
	for i, item := range m.value.items {
		cells := make([]string, len(columns))
		for _, c := range item.members {
			if k := slices.Index(columns, oneLine(c.key)); k >= 0 && c.value.inLine() {
				cells[k] = c.value.words()
				continue
			}
			p.below = append(p.below, jsonMember{fmt.Sprintf("%s[%d].%s", m.key, i, oneLine(c.key)), c.value})
		}
		fmt.Fprintf(p.table, "  %s\n", strings.Join(cells, "\t"))
	}
	return p.table.Flush()
}

// areObjects says whether items are objects, one at least.
func areObjects(items []element) bool {
	for _, n := range items {
		if n.members == nil {
			return false
		}
	}
	return len(items) > 0
}

// inLine says whether a value is a scalar or a list of scalars.
func (n element) inLine() bool { return n.members == nil && (n.items == nil || flat(n.items)) }

func flat(items []element) bool {
	for _, n := range items {
		if n.members != nil || n.items != nil {
			return false
		}
	}
	return true
}

// element is a JSON value whose members have kept their order.
type element struct {
	text    string    // of a scalar, printable
	null    bool      // the scalar null
	items   []element // of an array, not nil
	members []jsonMember
}

type jsonMember struct {
	key   string
	value element
}

// line is a list of scalars in one line.
func (n element) line() string {
	if len(n.items) == 0 {
		return "(none)"
	}
	texts := make([]string, len(n.items))
	for i, item := range n.items {
		texts[i] = item.text
	}
	return strings.Join(texts, ", ")
}

// words is a scalar, or a list of scalars in one line.
func (n element) words() string {
	if n.items != nil {
		return n.line()
	}
	return n.text
}

// maxDepth bounds how deep foreign JSON may be nested.
const maxDepth = 64

func parseValue(raw json.RawMessage) (element, error) {
	if !json.Valid(raw) {
		return element{}, errors.New("it is cut off or malformed")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return readValue(d, maxDepth)
}

func readValue(d *json.Decoder, depth int) (element, error) {
	if depth == 0 {
		return element{}, errors.New("it is nested too deep")
	}
	token, err := d.Token()
	if err != nil {
		return element{}, err
	}
	switch t := token.(type) {
	case json.Delim:
		return readNested(d, t, depth)
	case nil:
		return element{text: "-", null: true}, nil
	case json.Number:
		return element{text: t.String()}, nil
	case bool:
		return element{text: strconv.FormatBool(t)}, nil
	}
	return element{text: oneLine(fmt.Sprint(token))}, nil
}

func readNested(d *json.Decoder, open json.Delim, depth int) (element, error) {
	n := element{items: []element{}}
	if open == '{' {
		n = element{members: []jsonMember{}}
	}
	for d.More() {
		key := ""
		if open == '{' {
			token, err := d.Token()
			if err != nil {
				return n, err
			}
			key, _ = token.(string)
		}
		value, err := readValue(d, depth-1)
		if err != nil {
			return n, err
		}
		if open == '{' {
			n.members = append(n.members, jsonMember{key, value})
		} else {
			n.items = append(n.items, value)
		}
	}
	_, err := d.Token()
	return n, err
}
