package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/weftmpc/weft/gateway/table"
)

// dataLimit is how many bytes of data are read; what a gateway accepts is its own affair and usually less.
const dataLimit = 512 << 20

// readData turns the value of --data into one JSON value: a number, JSON text, @FILE or - for standard input. No message
// repeats the data.
func readData(flag string, stdin io.Reader) (json.RawMessage, error) {
	name, isFile := strings.CutPrefix(flag, "@")
	switch {
	case flag == "":
		return nil, withHint(usageError("--data is empty"), "give a number, JSON text, @FILE, or - for standard input")
	case flag == "-":
		return readTable("standard input", "", stdin)
	case isFile:
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("opening the data: %w", err)
		}
		defer f.Close()
		return readTable(name, filepath.Ext(name), f)
	}
	if number, ok := table.Number(strings.TrimSpace(flag)); ok {
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

// readTable reads CSV or JSON: by the extension where it says so, else by the look of the text.
func readTable(name, extension string, r io.Reader) (json.RawMessage, error) {
	limited := &io.LimitedReader{R: r, N: dataLimit + 1}
	t, err := table.New(extension, limited)
	var b []byte
	if err == nil {
		b, err = io.ReadAll(t)
	}
	var wrong *table.Error
	switch {
	case limited.N == 0:
		return nil, fmt.Errorf("reading %s: more than %d MiB", name, dataLimit>>20)
	case errors.As(err, &wrong):
		err = errors.New(wrong.In(name))
		if wrong.Hint != "" {
			err = withHint(err, "%s", wrong.Hint)
		}
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", name, err)
	case t.CSV():
		return b, nil
	}
	return parseJSON(name, b)
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
