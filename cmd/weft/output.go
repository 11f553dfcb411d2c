package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// output is how a command writes what it found: for people, or for programs.
type output string

const (
	outputTable output = "table"
	outputJSON  output = "json"
	outputCSV   output = "csv"
)

// String, Set and Type make it a flag.
func (o *output) String() string { return string(*o) }
func (o *output) Type() string   { return "table|json|csv" }

func (o *output) Set(text string) error {
	switch f := output(text); f {
	case outputTable, outputJSON, outputCSV:
		*o = f
		return nil
	}
	return fmt.Errorf("use table, json or csv")
}

// outputFlag adds --output to c, and --json, which is shorter and older.
func outputFlag(c *cobra.Command, into *output, jsonHelp string) {
	*into = outputTable
	c.Flags().Var(into, "output", "table for people, json, or csv: a flat table in which lists become rows")
	asJSON := boolOutput{into}
	f := c.Flags().VarPF(asJSON, "json", "", jsonHelp+" (--output json)")
	f.NoOptDefVal = "true"
}

// boolOutput is --json.
type boolOutput struct{ of *output }

func (b boolOutput) String() string   { return strconv.FormatBool(*b.of == outputJSON) }
func (b boolOutput) Type() string     { return "bool" }
func (b boolOutput) IsBoolFlag() bool { return true }

func (b boolOutput) Set(text string) error {
	on, err := strconv.ParseBool(text)
	if err != nil {
		return fmt.Errorf("it is true or false")
	}
	if on {
		*b.of = outputJSON
	}
	return nil
}

// exitCodes is the part of the help that scripts need.
const exitCodes = `Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.`

// printAs writes the result of a job.
func printAs(w io.Writer, format output, envelope json.RawMessage) error {
	switch format {
	case outputJSON:
		return printRaw(w, envelope)
	case outputCSV:
		return printCSV(w, envelope)
	}
	return printResult(w, envelope)
}

// jobColumns are those of a list of jobs as CSV.
var jobColumns = []string{
	"id", "uuid", "microprotocol", "state", "detail", "waiting", "waiting_since", "done", "planned", "attempt", "attempts", "created", "started", "ended", "deadline", "parties",
}

func (j job) cells() []string {
	return []string{
		oneLine(j.ID), oneLine(j.UUID), oneLine(j.Microprotocol), oneLine(j.State), oneLine(j.Detail), oneLine(strings.Join(j.Waiting, " ")), stamp(j.WaitingSince),
		strconv.Itoa(j.Progress.Done), strconv.Itoa(j.Progress.Planned), strconv.Itoa(j.Attempt), strconv.Itoa(j.Attempts),
		stamp(j.Created), stamp(j.Started), stamp(j.Ended), stamp(j.Deadline), oneLine(strings.Join(j.Parties, " ")),
	}
}

// stamp is a time as programs read it (RFC 3339).
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func jobsCSV(w io.Writer, all []job) error {
	out := csv.NewWriter(w)
	rows := [][]string{jobColumns}
	for _, j := range all {
		rows = append(rows, j.cells())
	}
	return out.WriteAll(rows)
}

// printCSV writes a result as one flat table. A list of objects, or of lists, becomes rows; what stands around it is
// repeated in each. Where there are several such lists side by side the column table names the one that a row is of. Where
// there is none, lists of values of one length become rows. All else is a column, a member of an object behind a point, an
// element of a list behind its place in brackets.
func printCSV(w io.Writer, envelope json.RawMessage) error {
	top, err := parseValue(envelope)
	if err != nil {
		return fmt.Errorf("the gateway's result is no JSON: %w", err)
	}
	for _, m := range top.members {
		if m.key == "result" && m.value.members != nil {
			top = m.value
			break
		}
	}
	f := &flatTable{}
	f.rows(nil, top.members, true)
	out := csv.NewWriter(w)
	if err := out.Write(f.columns); err != nil {
		return err
	}
	for _, row := range f.table {
		cells := make([]string, len(f.columns))
		for _, c := range row {
			cells[slices.Index(f.columns, c.name)] = c.text
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

type cell struct{ name, text string }

// flatTable collects rows, whose columns come one by one.
type flatTable struct {
	columns []string
	table   [][]cell
}

func (f *flatTable) add(row []cell) {
	for _, c := range row {
		if !slices.Contains(f.columns, c.name) {
			f.columns = append(f.columns, c.name)
		}
	}
	f.table = append(f.table, row)
}

// rows adds those of an object; around are the cells of what it stands in.
func (f *flatTable) rows(around []cell, members []jsonMember, top bool) {
	row := slices.Clone(around)
	var lists, values []jsonMember
	for _, m := range level("", members) {
		switch {
		case m.value.items == nil:
			row = append(row, cell{m.key, m.value.cell()})
		case flat(m.value.items) && len(m.value.items) > 0:
			values = append(values, m)
		case len(m.value.items) > 0:
			lists = append(lists, m)
		}
	}
	if top && len(lists) == 0 && sameLength(values) {
		for i := range values[0].value.items {
			one := slices.Clone(row)
			for _, v := range values {
				one = append(one, cell{v.key, v.value.items[i].cell()})
			}
			f.add(one)
		}
		return
	}
	for _, v := range values {
		for i, item := range v.value.items {
			row = append(row, cell{elementName(v.key, i), item.cell()})
		}
	}
	if len(lists) == 0 {
		f.add(row)
		return
	}
	for _, l := range lists {
		head := row
		if len(lists) > 1 {
			head = append(slices.Clone(row), cell{"table", l.key})
		}
		for _, item := range l.value.items {
			inner := item.members
			if inner == nil {
				for i, x := range item.items {
					inner = append(inner, jsonMember{elementName(l.key, i), x})
				}
			}
			if inner == nil && item.items == nil { // a value among lists
				inner = []jsonMember{{l.key, item}}
			}
			f.rows(head, named(inner, head), false)
		}
	}
}

// level is an object's members with those of the objects in it.
func level(prefix string, members []jsonMember) (all []jsonMember) {
	for _, m := range members {
		key := prefix + oneLine(m.key)
		if m.value.members != nil {
			all = append(all, level(key+".", m.value.members)...)
			continue
		}
		all = append(all, jsonMember{key, m.value})
	}
	return all
}

// named are the members with names that the row does not have yet.
func named(members []jsonMember, row []cell) []jsonMember {
	out := slices.Clone(members)
	for i := range out {
		for slices.ContainsFunc(row, func(c cell) bool { return c.name == out[i].key }) {
			out[i].key += "_"
		}
	}
	return out
}

func sameLength(lists []jsonMember) bool {
	for _, l := range lists {
		if len(l.value.items) != len(lists[0].value.items) {
			return false
		}
	}
	return len(lists) > 0
}

func elementName(name string, i int) string { return fmt.Sprintf("%s[%d]", name, i) }

// cell is a scalar as CSV has it: nothing for null.
func (n element) cell() string {
	if n.null {
		return ""
	}
	return n.text
}
