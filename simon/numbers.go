package simon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/weftmpc/weft/simon/encode"
)

// numberReader reads JSON that consists of lists and plain values from a stream, without building it in memory: a body of
// 64 MiB costs its buffer. What else may stand in JSON, or in what Python takes for JSON, it knows by the first byte, and
// that is all it needs to refuse it.
type numberReader struct {
	r      io.Reader
	buf    []byte
	at     int // next byte in buf
	err    error
	number []byte // text of the last number
	text   string // the last text
	truth  bool   // the last true or false
}

// item is what a numberReader finds next.
type item uint8

const (
	itemNumber item = iota + 1
	itemOpen
	itemClose
	itemComma
	itemEnd
	itemText
	itemNull
	itemBoolean
	itemObject
	itemNaN
	itemInfinity
	itemOther
)

// maxTextJSON bounds the JSON of one text in bytes, escapes included.
const maxTextJSON = 4 << 10

// reason says why an item that is no number cannot stand where a number is wanted.
func (i item) reason() string {
	switch i {
	case itemText:
		return "is text, not a number: remove the quotes"
	case itemNull:
		return "is null, not a number: leave missing values out"
	case itemBoolean:
		return "is true or false, not a number: give 1 or 0"
	case itemObject:
		return "is an object, not a number"
	case itemNaN:
		return "is NaN: leave missing values out"
	case itemInfinity:
		return "is infinite: give a finite number or leave the value out"
	case itemEnd:
		return "is missing: the text ends here"
	case itemOpen:
		return "is a list, not a number"
	default:
		return "is not valid JSON"
	}
}

// Sizes of a numberReader's buffer, in bytes. Most inputs are a few numbers, and room for many would be most of what an
// upload of them costs; it grows when a read has filled half of it.
const (
	firstBuffer = 512
	mostBuffer  = 64 << 10
)

func newNumberReader(r io.Reader) *numberReader {
	return &numberReader{r: r, buf: make([]byte, 0, firstBuffer)}
}

// peek returns the next byte, which it does not consume; ok is false at the end and after an error.
func (n *numberReader) peek() (c byte, ok bool) {
	for n.at == len(n.buf) {
		if n.err != nil {
			return 0, false
		}
		if room := cap(n.buf); len(n.buf) >= room/2 && room < mostBuffer {
			n.buf = make([]byte, 0, min(8*room, mostBuffer))
		}
		var k int
		k, n.err = n.r.Read(n.buf[:cap(n.buf)])
		n.buf, n.at = n.buf[:k], 0
	}
	return n.buf[n.at], true
}

// next reads one item. Its error is one of the stream; what is no JSON is an item.
func (n *numberReader) next() (item, error) {
	for {
		c, ok := n.peek()
		if !ok {
			if n.err == io.EOF {
				return itemEnd, nil
			}
			return 0, fmt.Errorf("reading data: %w", n.err)
		}
		switch c {
		case ' ', '\t', '\r', '\n':
			n.at++
			continue
		case '[':
			n.at++
			return itemOpen, nil
		case ']':
			n.at++
			return itemClose, nil
		case ',':
			n.at++
			return itemComma, nil
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			return n.readNumber()
		case '"':
			return n.readText()
		case 'n':
			return n.readWord("null", itemNull)
		case 't':
			return n.readWord("true", itemBoolean)
		case 'f':
			return n.readWord("false", itemBoolean)
		case '{':
			return itemObject, nil
		case 'N':
			return itemNaN, nil
		case 'I':
			return itemInfinity, nil
		default:
			return itemOther, nil
		}
	}
}

// readNumber collects the characters that numbers consist of; the encoding checks their order. What is too long for a number
// is cut: the encoding refuses it by its length.
func (n *numberReader) readNumber() (item, error) {
	n.number = n.number[:0]
	for {
		c, ok := n.peek()
		if !ok {
			break
		}
		if c == 'I' && len(n.number) == 1 && n.number[0] == '-' {
			return itemInfinity, nil
		}
		if (c < '0' || c > '9') && c != '.' && c != 'e' && c != 'E' && c != '+' && c != '-' {
			break
		}
		n.at++
		if len(n.number) <= encode.MaxText {
			n.number = append(n.number, c)
		}
	}
	return itemNumber, nil
}

// readWord reads null, true or false.
func (n *numberReader) readWord(word string, it item) (item, error) {
	for i := range len(word) {
		c, ok := n.peek()
		if !ok || c != word[i] {
			return itemOther, nil
		}
		n.at++
	}
	n.truth = word == "true"
	return it, nil
}

// readText reads a JSON text. One that is cut off, too long or no Unicode is no item of JSON.
func (n *numberReader) readText() (item, error) {
	raw := []byte{'"'}
	n.at++
	for escaped := false; ; n.at++ {
		c, ok := n.peek()
		if !ok || len(raw) > maxTextJSON {
			return itemOther, nil
		}
		raw = append(raw, c)
		if c == '"' && !escaped {
			n.at++
			break
		}
		escaped = c == '\\' && !escaped
	}
	if !utf8.Valid(raw) || json.Unmarshal(raw, &n.text) != nil || halved(raw) {
		return itemOther, nil
	}
	return itemText, nil
}

// halved says whether a valid JSON text has half a surrogate pair, which is no character. The decoder puts U+FFFD in its place.
func halved(raw []byte) bool {
	for {
		at := bytes.IndexByte(raw, '\\')
		if at < 0 {
			return false
		}
		raw = raw[at+1:]
		unit, rest := escaped(raw)
		if !utf16.IsSurrogate(unit) {
			raw = raw[1:] // a quote or backslash, too
			continue
		}
		if len(rest) == 0 || rest[0] != '\\' {
			return true
		}
		second, after := escaped(rest[1:])
		if utf16.DecodeRune(unit, second) == utf8.RuneError {
			return true
		}
		raw = after
	}
}

// escaped reads uXXXX after a backslash. Other escapes are 0.
func escaped(b []byte) (unit rune, rest []byte) {
	if len(b) < 5 || b[0] != 'u' {
		return 0, nil
	}
	u, err := strconv.ParseUint(string(b[1:5]), 16, 16)
	if err != nil {
		return 0, nil
	}
	return rune(u), b[5:]
}
