// Package table reads a file of data, CSV or JSON, as the JSON text that microprotocols take. Nothing but the current line
// is held in memory, so that a file may be larger than the machine.
//
// Start at New. A CSV file has cells separated by commas (RFC 4180). A first line without numbers names the columns and is
// skipped. One column becomes a list, several become a list of rows. What stands in a column's first cell below the names
// decides: where it is a number, all cells of the column must be numbers, and keep their digits; otherwise all of them are
// text. A blank cell is an error: what a missing value stands for is for the file's owner to say. JSON passes as it is, and
// only its reader knows whether it is JSON.
//
// The alternative to a column's kind by its first cell, the kind of each cell by itself, would turn a mistyped number into
// a category that nobody looks for.
package table

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	block     = 64 << 10 // bytes that are read at a time
	maxRecord = 1 << 20  // bytes of a line, or of several that one quoted cell makes one
	enough    = 32 << 10 // bytes of JSON made ahead of who reads them
)

var byteOrderMark = []byte("\xef\xbb\xbf")

// Error is a file that cannot be used. Its text never contains the data.
type Error struct {
	Line, Column int    // from 1; 0: none in particular
	Reason       string // after "the file" or a place: is empty, the cell is blank
	Hint         string // what to do; may be empty
}

func (e *Error) Error() string {
	switch {
	case e.Line == 0:
		return "the file " + e.Reason
	case e.Column == 0:
		return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// In is the error with the name that the reader knows the file by.
func (e *Error) In(name string) string {
	if e.Line == 0 {
		return name + " " + e.Reason
	}
	return name + ", " + e.Error()
}

const (
	hintFill   = "every line must hold a value in each column: fill it in or remove the line"
	hintCommas = "separate columns by commas and write decimals with a point, like 1.5"
	hintUTF8   = "save it as UTF-8"
)

// Reader is an io.Reader of JSON text. It is not for use by several goroutines.
type Reader struct {
	in      *bufio.Reader
	text    *text
	records *csv.Reader // nil: the file is JSON
	out     []byte      // JSON to pass on
	at      int         // next byte of out
	err     error       // why nothing more comes after out; io.EOF at the end

	line    int    // on which the next record should begin
	head    int    // records that are no data: 0 or 1
	begun   bool   // the first record has been read
	rows    int    // records of data
	words   []bool // which columns are text, once rows > 0
	columns int    // 0: not known yet
	broken  bool   // a record of data has several lines
}

// New looks at the beginning of a file. Whether it is CSV or JSON is told by the extension of its name, .csv or .json in
// small or capital letters, and where that says neither by the text: JSON begins with [ or {, or is a single short value.
func New(extension string, r io.Reader) (*Reader, error) {
	t := &text{r: r, buf: make([]byte, block)}
	t.limit = -1
	b := bufio.NewReaderSize(t, block)
	head, err := b.Peek(block)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, t.cause(err)
	}
	if bytes.HasPrefix(head, byteOrderMark) {
		head = head[len(byteOrderMark):]
		_, _ = b.Discard(len(byteOrderMark)) // they are in the buffer
	}
	begin := bytes.TrimSpace(head)
	if len(begin) == 0 && err != nil {
		return nil, &Error{Reason: "is empty"}
	}
	out := &Reader{in: b, text: t, line: 1}
	switch strings.ToLower(extension) {
	case ".json":
		return out, nil
	case ".csv":
	default:
		whole := err != nil
		if bytes.HasPrefix(begin, []byte("[")) || bytes.HasPrefix(begin, []byte("{")) || whole && json.Valid(begin) {
			return out, nil
		}
	}
	out.records = csv.NewReader(b)
	out.records.FieldsPerRecord = -1 // checked here, with a better message
	out.records.ReuseRecord = true
	out.out = append(out.out, '[')
	t.limit = maxRecord + block
	return out, nil
}

// CSV says whether the file is CSV, so that its JSON is ours.
func (r *Reader) CSV() bool { return r.records != nil }

// Err is why the text has ended too early; nil as long as it has not.
func (r *Reader) Err() error {
	if r.err == nil || errors.Is(r.err, io.EOF) {
		return nil
	}
	return r.err
}

// Line is the line of the file on which element i of the JSON list stands; 0: not known, because the file is JSON, the
// element has not been read, or cells hold line breaks.
func (r *Reader) Line(i int) int {
	if r.records == nil || r.broken || i < 0 || i >= r.rows {
		return 0
	}
	return r.head + 1 + i
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if r.records == nil {
		if r.err != nil {
			return 0, r.err
		}
		n, err := r.in.Read(p)
		if err != nil {
			r.err = r.text.cause(err)
		}
		return n, r.err
	}
	for r.at == len(r.out) {
		if r.err != nil {
			return 0, r.err
		}
		r.out, r.at = r.out[:0], 0
		r.fill()
	}
	n := copy(p, r.out[r.at:])
	r.at += n
	return n, nil
}

// fill makes some JSON, or notes why there is none.
func (r *Reader) fill() {
	for len(r.out) < enough && r.err == nil {
		r.err = r.record()
	}
	if errors.Is(r.err, io.EOF) {
		r.out = append(r.out, ']')
	}
}

// record turns one record into JSON.
func (r *Reader) record() error {
	r.text.limit = r.records.InputOffset() + maxRecord + block
	record, err := r.records.Read()
	switch {
	case errors.Is(err, io.EOF) && !r.begun:
		return &Error{Reason: "is empty"}
	case errors.Is(err, io.EOF) && r.rows == 0:
		return &Error{Reason: "has a header and nothing below it"}
	case errors.Is(err, io.EOF):
		return io.EOF
	case err != nil:
		return r.csvError(err)
	}
	at, _ := r.records.FieldPos(0)
	if at != r.line {
		return &Error{Line: r.line, Reason: "the line is blank", Hint: hintFill}
	}
	last := len(record) - 1
	ends, _ := r.records.FieldPos(last)
	ends += strings.Count(record[last], "\n")
	r.line = ends + 1
	if r.columns == 0 {
		r.columns = len(record)
	}
	if len(record) != r.columns {
		e := &Error{Line: at, Reason: fmt.Sprintf("%s here, %d above", counted(len(record), "column"), r.columns)}
		if strings.Contains(strings.Join(record, ""), ";") {
			e.Hint = hintCommas
		}
		return e
	}
	if !r.begun {
		r.begun = true
		if header(record) {
			r.head = ends
			return nil
		}
	}
	r.broken = r.broken || ends != at
	return r.row(at, record)
}

// row writes one record of data.
func (r *Reader) row(line int, record []string) error {
	if r.rows == 0 {
		r.words = make([]bool, len(record))
		for i, cell := range record {
			_, number := Number(strings.TrimSpace(cell))
			r.words[i] = !number
		}
	} else {
		r.out = append(r.out, ',')
	}
	if r.columns > 1 {
		r.out = append(r.out, '[')
	}
	for i, cell := range record {
		if i > 0 {
			r.out = append(r.out, ',')
		}
		cell = strings.TrimSpace(cell)
		if cell == "" {
			return &Error{Line: line, Column: i + 1, Reason: "the cell is blank", Hint: hintFill}
		}
		if r.words[i] {
			if r.rows == 0 && r.misread(cell) {
				return &Error{Line: line, Column: i + 1, Reason: "not a number", Hint: hintCommas}
			}
			r.out = appendText(r.out, cell)
			continue
		}
		var ok bool
		if r.out, ok = AppendNumber(r.out, cell); !ok {
			e := &Error{Line: line, Column: i + 1, Reason: "not a number"}
			if strings.ContainsAny(cell, ",;") {
				e.Hint = hintCommas
			}
			return e
		}
	}
	if r.columns > 1 {
		r.out = append(r.out, ']')
	}
	r.rows++
	return nil
}

// misread finds numbers in a column's first cell that another way to write tables, or a decimal comma, has made text.
func (r *Reader) misread(cell string) bool {
	if r.columns == 1 && strings.ContainsAny(cell, ";\t") {
		return true
	}
	return strings.ContainsAny(cell, ",;\t") && strings.Trim(cell, "0123456789+-.,;\t ") == ""
}

// csvError names the place of what is no CSV.
func (r *Reader) csvError(err error) error {
	var e *csv.ParseError
	switch {
	case r.text.err != nil && !errors.Is(r.text.err, io.EOF):
		if errors.Is(r.text.err, errLong) {
			return &Error{Line: r.line, Reason: fmt.Sprintf("the line has more than %d bytes", maxRecord),
				Hint: "is it CSV, and is a quotation mark missing?"}
		}
		return r.text.err
	case errors.As(err, &e):
		return &Error{Line: e.Line, Column: e.Column, Reason: e.Err.Error()}
	}
	return err
}

// header says whether a first record names columns: it has no number, and it is not blank.
func header(record []string) bool {
	blank := true
	for _, cell := range record {
		cell = strings.TrimSpace(cell)
		if looksNumeric(cell) {
			return false
		}
		blank = blank && cell == ""
	}
	return !blank
}

// looksNumeric finds numbers, and first lines like 1;2 or 12 kg, which are data rather than names.
func looksNumeric(cell string) bool {
	cell = strings.TrimLeft(cell, "+-.")
	return cell != "" && cell[0] >= '0' && cell[0] <= '9'
}

// counted is 1 column, 2 columns.
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// appendText writes valid UTF-8 as a JSON string.
func appendText(out []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil {
				panic("table: " + err.Error()) // of a string
			}
			return append(out, quoted...)
		}
	}
	return append(append(append(out, '"'), s...), '"')
}

// text passes UTF-8 on and refuses all else.
type text struct {
	r     io.Reader
	buf   []byte
	at    int   // next byte to pass on
	whole int   // where the last complete character ends
	end   int   // where the bytes end that have been read
	given int64 // bytes passed on
	limit int64 // of given; negative: none
	err   error // why no more is read
}

var (
	errUTF16 = &Error{Reason: "is UTF-16 text", Hint: hintUTF8}
	errUTF8  = &Error{Reason: "is not UTF-8 text", Hint: hintUTF8}
	errLong  = errors.New("a line is too long")
)

// cause is the error behind one that another reader has passed on.
func (t *text) cause(err error) error {
	if t.err != nil {
		return t.err
	}
	return err
}

// Read implements io.Reader.
func (t *text) Read(p []byte) (int, error) {
	if t.limit >= 0 && t.given >= t.limit {
		t.err = errLong
		return 0, t.err
	}
	for t.at == t.whole {
		if t.err != nil {
			return 0, t.err
		}
		t.more()
	}
	n := copy(p, t.buf[t.at:t.whole])
	t.at += n
	t.given += int64(n)
	return n, nil
}

// more reads a block behind what is left of the last one: the beginning of a character.
func (t *text) more() {
	t.end = copy(t.buf, t.buf[t.whole:t.end])
	n, err := t.r.Read(t.buf[t.end:])
	t.end += n
	t.at, t.whole = 0, t.end
	if !errors.Is(err, io.EOF) {
		t.whole -= partial(t.buf[:t.end])
	}
	switch known := t.buf[:t.whole]; {
	case t.given == 0 && (bytes.HasPrefix(t.buf[:t.end], []byte("\xff\xfe")) || bytes.HasPrefix(t.buf[:t.end], []byte("\xfe\xff"))):
		err = errUTF16
	case !utf8.Valid(known):
		err = errUTF8
	}
	if e := (*Error)(nil); errors.As(err, &e) {
		t.whole = 0 // nothing of this block is passed on
	}
	t.err = err
}

// partial is how many bytes at the end of b begin a character that is not complete.
func partial(b []byte) int {
	for n := 1; n <= min(len(b), utf8.UTFMax-1); n++ {
		if c := b[len(b)-n]; utf8.RuneStart(c) {
			if utf8.FullRune(b[len(b)-n:]) {
				return 0
			}
			return n
		}
	}
	return 0
}
