package psi

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/weftmpc/weft/simon/encode"
)

// Elements of sets are texts, whole numbers, true and false, and lists of these, such as a name and a date of birth. Their
// encoding is one byte of kind and the text: text in normalization form C (Unicode Standard Annex 15), digits without leading
// zeros, true or false. A list has the encodings of its parts, each after its length in four bytes. Equal elements have equal
// encodings and different elements different ones: the text 1, the number 1 and the list of the number 1 are three.

// MaxItem bounds an encoding, in bytes.
const MaxItem = 4096

// The kinds of elements.
const (
	kindText = iota + 1
	kindInteger
	kindBoolean
	kindList
)

// The reasons why a value cannot be an element, besides those of encode.NewInteger. None of them contains the value.
var (
	ErrUTF8 = errors.New("is not valid UTF-8: save the data as UTF-8 and send it again")
	// ErrMarks is for texts of which normalization would break a letter in two: others would be equal to them.
	ErrMarks = errors.New("has more than 30 combining marks on one letter: remove them")
	ErrLong  = fmt.Errorf("is longer than the %d bytes that an element may have", MaxItem)
)

// AppendText appends the encoding of a text.
func AppendText(dst []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return dst, ErrUTF8
	}
	if len(s) > MaxItem { // before it is looked at: composing makes it no shorter than a third
		return dst, ErrLong
	}
	from := len(dst)
	dst = append(append(dst, kindText), norm.NFC.String(s)...)
	const joiner = "\u034f" // put after 30 marks: Unicode Standard Annex 15, section 13
	if strings.Count(string(dst[from:]), joiner) != strings.Count(s, joiner) {
		return dst[:from], ErrMarks
	}
	if len(dst)-from > MaxItem {
		return dst[:from], ErrLong
	}
	return dst, nil
}

// AppendInteger appends the encoding of a whole number, given as JSON writes numbers: 2.0 and 1e3 are 2 and 1000.
func AppendInteger(dst, text []byte) ([]byte, error) {
	c, err := encode.NewInteger(text)
	if errors.Is(err, encode.ErrFraction) {
		return dst, errors.New("is a number with a fraction: give text, whole numbers, true or false")
	}
	if err != nil {
		return dst, err
	}
	return append(append(dst, kindInteger), c.Text...), nil
}

// AppendBoolean appends the encoding of true or false.
func AppendBoolean(dst []byte, b bool) []byte {
	return append(append(dst, kindBoolean), encode.NewBoolean(b).Text...)
}

// AppendList appends the encoding of the list of parts, which are encodings of no lists.
func AppendList(dst []byte, parts ...[]byte) ([]byte, error) {
	from := len(dst)
	dst = append(dst, kindList)
	for _, p := range parts {
		dst = append(binary.BigEndian.AppendUint32(dst, uint32(len(p))), p...)
		if len(dst)-from > MaxItem {
			return dst[:from], ErrLong
		}
	}
	return dst, nil
}

// AppendJSON appends the JSON of an encoded element, as short as can be. Bytes that are no encoding give some text.
func AppendJSON(dst, item []byte) []byte {
	if len(item) == 0 {
		return append(dst, "null"...)
	}
	switch item[0] {
	case kindList:
		dst = append(dst, '[')
		for i, rest := 0, item[1:]; len(rest) >= 4; i++ {
			if i > 0 {
				dst = append(dst, ',')
			}
			n := 4 + min(int(binary.BigEndian.Uint32(rest)), len(rest)-4)
			part := rest[4:n]
			if len(part) > 0 && part[0] == kindList {
				part = nil // lists have no lists
			}
			dst, rest = AppendJSON(dst, part), rest[n:]
		}
		return append(dst, ']')
	case kindText:
		return appendJSONText(dst, string(item[1:]))
	default:
		return append(dst, item[1:]...)
	}
}

// appendJSONText appends a JSON string without the escapes for HTML.
func appendJSONText(dst []byte, s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // no string fails
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}
