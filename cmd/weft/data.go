package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// dataLimit is how many bytes of data are read; what a gateway accepts is its own affair and usually less.
const dataLimit = 512 << 20

const (
	hintFill   = "every line must hold a number in each column: fill it in or remove the line"
	hintCommas = "separate columns by commas and write decimals with a point, like 1.5"
)

var byteOrderMark = []byte("\xef\xbb\xbf")

// readData turns the value of --data into one JSON value: a number, JSON text, @FILE or - for standard input. No message
// repeats the data.
func readData(flag string, stdin io.Reader) (json.RawMessage, error) {
	name, isFile := strings.CutPrefix(flag, "@")
	switch {
	case flag == "":
		return nil, withHint(usageError("--data is empty"), "give a number, JSON text, @FILE, or - for standard input")
	case flag == "-":
		b, err := readLimited(stdin)
		if err != nil {
			return nil, fmt.Errorf("reading standard input: %w", err)
		}
		return parseData("standard input", "", b)
	case isFile:
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("opening the data: %w", err)
		}
		defer f.Close()
		b, err := readLimited(f)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		return parseData(name, strings.ToLower(filepath.Ext(name)), b)
	}
	if number, ok := jsonNumber(strings.TrimSpace(flag)); ok {
		return json.RawMessage(number), nil
	}
	value, err := parseJSON("--data", []byte(flag))
	if err == nil {
		return value, nil
	}
	hint := "write --data @FILE for a file, --data - for standard input"
	if _, e := os.Stat(flag); e == nil {
		hint = "there is a file of that name: write --data @" + flag
	}
	return nil, withHint(usageError("--data is neither a number nor JSON text (%w)", err), "%s", hint)
}

func readLimited(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, dataLimit+1))
	if err == nil && len(b) > dataLimit {
		err = fmt.Errorf("more than %d MiB", dataLimit>>20)
	}
	return b, err
}

// parseData reads JSON or CSV: by the extension where it says so, else by the look of the text.
func parseData(name, extension string, b []byte) (json.RawMessage, error) {
	b = bytes.TrimPrefix(b, byteOrderMark)
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe")), bytes.HasPrefix(b, []byte("\xfe\xff")):
		return nil, withHint(fmt.Errorf("%s is UTF-16 text", name), "save it as UTF-8")
	case !utf8.Valid(b):
		return nil, withHint(fmt.Errorf("%s is not UTF-8 text", name), "save it as UTF-8")
	case len(bytes.TrimSpace(b)) == 0:
		return nil, fmt.Errorf("%s is empty", name)
	}
	switch extension {
	case ".csv":
		return parseCSV(name, b)
	case ".json":
		return parseJSON(name, b)
	}
	text := bytes.TrimSpace(b)
	if json.Valid(text) || text[0] == '[' || text[0] == '{' {
		return parseJSON(name, b)
	}
	return parseCSV(name, b)
}

// parseJSON checks that b is one JSON value and passes it on as it is, without the space around it.
func parseJSON(name string, b []byte) (json.RawMessage, error) {
	var value json.RawMessage
	err := json.Unmarshal(b, &value)
	if err == nil {
		return value, nil
	}
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return nil, fmt.Errorf("%s is no JSON: %w", name, err)
	}
	// Offset counts the bytes read, the offending one included; at the end of the text there is none.
	at, what := int(syntax.Offset)-1, "something that does not belong there"
	if strings.Contains(syntax.Error(), "unexpected end") {
		at, what = len(b), "the text ends too early"
	}
	before := b[:max(0, min(at, len(b)))]
	line := 1 + bytes.Count(before, []byte("\n"))
	column := 1 + utf8.RuneCount(before[1+bytes.LastIndexByte(before, '\n'):])
	return nil, fmt.Errorf("%s is no JSON: line %d, column %d: %s", name, line, column, what)
}

// parseCSV turns numbers separated by commas into JSON: one column becomes a list, several become a list of rows. A first
// line without any number is a header and is skipped. The text of the numbers stays as it is, see jsonNumber.
func parseCSV(name string, b []byte) (json.RawMessage, error) {
	r := csv.NewReader(bytes.NewReader(b))
	r.FieldsPerRecord = -1 // checked here, with a better message
	r.ReuseRecord = true
	var out bytes.Buffer
	out.Grow(len(b) + len(b)/4)
	first, columns, rows := true, 0, 0
	line := 1 // where the next record should begin
	for {
		from := r.InputOffset()
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, csvError(name, err)
		}
		at, _ := r.FieldPos(0)
		if at != line {
			return nil, withHint(fmt.Errorf("%s, line %d: the line is blank", name, line), "%s", hintFill)
		}
		line += bytes.Count(b[from:r.InputOffset()], []byte("\n"))
		if columns == 0 {
			columns = len(record)
		}
		if len(record) != columns {
			err := fmt.Errorf("%s, line %d: %s here, %d above", name, at, counted(len(record), "column"), columns)
			if strings.Contains(strings.Join(record, ""), ";") {
				return nil, withHint(err, "%s", hintCommas)
			}
			return nil, err
		}
		if first && header(record) {
			first = false
			continue
		}
		first = false
		if rows > 0 {
			out.WriteByte(',')
		}
		rows++
		if err := writeRow(&out, name, at, record); err != nil {
			return nil, err
		}
	}
	if rows == 0 {
		return nil, fmt.Errorf("%s has a header and no numbers", name)
	}
	return json.RawMessage("[" + out.String() + "]"), nil
}

func csvError(name string, err error) error {
	var e *csv.ParseError
	if errors.As(err, &e) {
		return fmt.Errorf("%s, line %d, column %d: %w", name, e.Line, e.Column, e.Err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// header says whether a first record names columns: it has no number, and it is not blank.
func header(record []string) bool {
	blank := true
	for _, cell := range record {
		cell = strings.TrimSpace(cell)
		if _, ok := jsonNumber(cell); ok || looksNumeric(cell) {
			return false
		}
		blank = blank && cell == ""
	}
	return !blank
}

// looksNumeric finds first lines like 1;2 or 12 kg, which are mistakes rather than headers.
func looksNumeric(cell string) bool {
	cell = strings.TrimLeft(cell, "+-.")
	return cell != "" && cell[0] >= '0' && cell[0] <= '9'
}

func writeRow(out *bytes.Buffer, name string, line int, record []string) error {
	if len(record) > 1 {
		out.WriteByte('[')
		defer out.WriteByte(']')
	}
	for i, cell := range record {
		cell = strings.TrimSpace(cell)
		number, ok := jsonNumber(cell)
		if !ok {
			return cellError(name, line, i+1, cell)
		}
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(number)
	}
	return nil
}

func cellError(name string, line, column int, cell string) error {
	if cell == "" {
		return withHint(fmt.Errorf("%s, line %d, column %d: the cell is blank", name, line, column), "%s", hintFill)
	}
	err := fmt.Errorf("%s, line %d, column %d: not a number", name, line, column)
	if strings.ContainsAny(cell, ",;") {
		return withHint(err, "%s", hintCommas)
	}
	return err
}

// jsonNumber returns a decimal number as JSON writes it. Text that is a number of JSON stays as it is, digit by digit; what
// other programs write, like +5, 007, .5 or 5., loses or gains the characters that JSON forbids or wants, and no value
// changes.
func jsonNumber(s string) (string, bool) {
	rest, negative := strings.CutPrefix(s, "-")
	if !negative {
		rest = strings.TrimPrefix(rest, "+")
	}
	whole, rest := digits(rest)
	fraction, hasPoint := "", false
	if rest, hasPoint = strings.CutPrefix(rest, "."); hasPoint {
		fraction, rest = digits(rest)
	}
	if whole == "" && fraction == "" {
		return "", false
	}
	if rest != "" {
		if rest[0] != 'e' && rest[0] != 'E' {
			return "", false
		}
		sign := rest[1:]
		if sign != "" && (sign[0] == '+' || sign[0] == '-') {
			sign = sign[1:]
		}
		if power, end := digits(sign); power == "" || end != "" {
			return "", false
		}
	}
	for len(whole) > 1 && whole[0] == '0' {
		whole = whole[1:]
	}
	if whole == "" {
		whole = "0"
	}
	if fraction != "" {
		whole += "." + fraction
	}
	if negative {
		whole = "-" + whole
	}
	return whole + rest, true
}

// digits splits s behind its leading digits.
func digits(s string) (head, tail string) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[:i], s[i:]
}

// counted is 1 column, 2 columns.
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
