package representation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Bounds of a JSON text, beyond which nobody's data is meant.
const (
	maxDepth = 64     // nested lists and objects
	maxKeys  = 50_000 // keys of an object and those around it, which are remembered to find doubled ones
	fewKeys  = 16     // keys of one object up to which a linear search beats a map
)

// SyntaxError says where a JSON text is wrong, and never what it holds there: the text may be private.
type SyntaxError struct {
	Offset int // of the offending byte, from 0
	Reason string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("the body is no valid JSON: %s (at byte %d)", e.Reason, e.Offset)
}

// Check reports whether b is one JSON value and nothing else (RFC 8259, I-JSON's rules of RFC 7493 on top): valid Unicode,
// no object with the same key twice, no NaN, no Infinity. Numbers of any size and precision pass.
func Check(b []byte) error {
	s := scanner{b: b}
	s.space()
	if s.i == len(b) {
		return s.fail("it is empty")
	}
	if err := s.value(0); err != nil {
		return err
	}
	s.space()
	if s.i != len(b) {
		return s.fail("something follows the value")
	}
	return nil
}

// Member is one entry of a JSON object.
type Member struct {
	Key   string
	Value json.RawMessage
}

// Members splits an object and stops after most members: ask for one more than are allowed to know that there are too
// many. It returns ok = false if raw is another JSON value. raw has passed Check.
func Members(raw json.RawMessage, most int) (members []Member, ok bool) {
	ok = eachMember(raw, func(key []byte, value json.RawMessage) bool {
		members = append(members, Member{string(key), value})
		return len(members) < most
	})
	return members, ok
}

// Find is the value that an object has under key. It returns ok = false if there is none, or if raw is no object. raw has
// passed Check.
func Find(raw json.RawMessage, key string) (value json.RawMessage, ok bool) {
	eachMember(raw, func(k []byte, v json.RawMessage) bool {
		if string(k) == key {
			value, ok = v, true
		}
		return !ok
	})
	return value, ok
}

// IsObject says whether raw, which has passed Check, is an object.
func IsObject(raw json.RawMessage) bool {
	s := scanner{b: raw}
	s.space()
	return s.peek() == '{'
}

// eachMember calls f with the members of an object until f says false. It returns false if raw is no object.
func eachMember(raw json.RawMessage, f func(key []byte, value json.RawMessage) bool) bool {
	s := scanner{b: raw}
	s.space()
	if s.peek() != '{' {
		return false
	}
	s.i++
	for s.space(); s.peek() != '}'; s.space() {
		if s.peek() == ',' {
			s.i++
			s.space()
		}
		key, err := s.text()
		if err != nil {
			return false
		}
		s.space()
		s.i++ // the colon
		s.space()
		start := s.i
		s.skip()
		if !f(key, raw[start:s.i]) {
			return true
		}
	}
	return true
}

// Elements splits a list and stops after most elements, as Members does: a list of a byte each would become many times its
// size. It returns ok = false if raw is another JSON value. raw has passed Check.
func Elements(raw json.RawMessage, most int) (elements []json.RawMessage, ok bool) {
	s := scanner{b: raw}
	s.space()
	if s.peek() != '[' {
		return nil, false
	}
	s.i++
	for s.space(); s.peek() != ']' && len(elements) < most; s.space() {
		if s.peek() == ',' {
			s.i++
			s.space()
		}
		start := s.i
		if s.skip(); s.i == start {
			return nil, false // not a text that has passed Check
		}
		elements = append(elements, raw[start:s.i])
	}
	return elements, true
}

// Text is the text that raw holds; ok = false if raw is no JSON string.
func Text(raw json.RawMessage) (text string, ok bool) {
	s := scanner{b: raw}
	s.space()
	if s.peek() != '"' {
		return "", false
	}
	t, err := s.text()
	return string(t), err == nil
}

// Inside is what stands between the brackets of a list, its elements unsplit; empty for an empty list. It returns ok = false
// if raw is another JSON value. raw has passed Check.
func Inside(raw json.RawMessage) (inside json.RawMessage, ok bool) {
	t := bytes.TrimSpace(raw)
	if len(t) < 2 || t[0] != '[' {
		return nil, false
	}
	return bytes.TrimSpace(t[1 : len(t)-1]), true
}

// IsNull says whether raw is absent or JSON's null.
func IsNull(raw json.RawMessage) bool {
	t := bytes.TrimSpace(raw)
	return len(t) == 0 || string(t) == "null"
}

// IsEmpty says whether raw is absent, null, {} or []: the R client writes its NULL and list() in these ways.
func IsEmpty(raw json.RawMessage) bool {
	if IsNull(raw) {
		return true
	}
	t := bytes.TrimSpace(raw)
	return (t[0] == '{' || t[0] == '[') && len(bytes.TrimSpace(t[1:])) == 1
}

type scanner struct {
	b    []byte
	i    int
	keys [][]byte // of all open objects, innermost last, but for those of large ones
	open int      // how many keys all open objects have
}

func (s *scanner) fail(reason string) error { return &SyntaxError{s.i, reason} }

func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// skip passes one value of a text that has passed Check.
func (s *scanner) skip() {
	depth := 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			for s.i++; s.i < len(s.b) && s.b[s.i] != '"'; s.i++ {
				if s.b[s.i] == '\\' {
					s.i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']', ',':
			if depth == 0 {
				s.trim()
				return
			}
			if s.b[s.i] != ',' {
				depth--
			}
		}
		s.i++
	}
}

// trim goes back over the white space that follows a value.
func (s *scanner) trim() {
	for s.i > 0 && (s.b[s.i-1] == ' ' || s.b[s.i-1] == '\t' || s.b[s.i-1] == '\n' || s.b[s.i-1] == '\r') {
		s.i--
	}
}

func (s *scanner) value(depth int) error {
	switch c := s.peek(); {
	case depth == maxDepth && (c == '{' || c == '['):
		return s.fail(fmt.Sprintf("more than %d lists and objects inside each other", maxDepth))
	case c == '{':
		return s.object(depth)
	case c == '[':
		return s.list(depth)
	case c == '"':
		_, err := s.text()
		return err
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(s.b[s.i:], []byte(word)) {
			s.i += len(word)
			return nil
		}
	}
	for _, word := range [...]string{"NaN", "Infinity"} {
		if bytes.HasPrefix(s.b[s.i:], []byte(word)) {
			return s.fail(word + " is no number in JSON; leave such values out")
		}
	}
	if s.i == len(s.b) {
		return s.fail("it ends too early")
	}
	return s.fail("a value was expected")
}

func (s *scanner) object(depth int) error {
	first, open := len(s.keys), s.open
	defer func() { s.keys, s.open = s.keys[:first], open }()
	var many map[string]struct{}
	s.i++
	s.space()
	if s.peek() == '}' {
		s.i++
		return nil
	}
	for {
		if s.peek() != '"' {
			return s.fail("a key in quotes was expected")
		}
		at := s.i
		key, err := s.text()
		if err != nil {
			return err
		}
		if s.doubled(key, first, &many) {
			s.i = at
			return s.fail("an object has the same key twice")
		}
		if s.open++; s.open > maxKeys {
			s.i = at
			return s.fail(fmt.Sprintf("more than %d keys in one object and those around it", maxKeys))
		}
		s.space()
		if s.peek() != ':' {
			return s.fail("a colon was expected")
		}
		s.i++
		s.space()
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if more, err := s.more('}'); !more {
			return err
		}
	}
}

// more says whether a comma comes, and another member or element after it; end closes the object or list.
func (s *scanner) more(end byte) (bool, error) {
	s.space()
	switch s.peek() {
	case ',':
		s.i++
		s.space()
		return true, nil
	case end:
		s.i++
		return false, nil
	}
	return false, s.fail(fmt.Sprintf("a comma or %c was expected", end))
}

// doubled enters key into the innermost object, whose keys begin at first, and says whether it was there.
func (s *scanner) doubled(key []byte, first int, many *map[string]struct{}) bool {
	if *many != nil {
		if _, there := (*many)[string(key)]; there {
			return true
		}
		(*many)[string(key)] = struct{}{}
		return false
	}
	for _, k := range s.keys[first:] {
		if bytes.Equal(k, key) {
			return true
		}
	}
	s.keys = append(s.keys, key)
	if len(s.keys)-first > fewKeys {
		*many = make(map[string]struct{}, 4*fewKeys)
		for _, k := range s.keys[first:] {
			(*many)[string(k)] = struct{}{}
		}
	}
	return false
}

func (s *scanner) list(depth int) error {
	s.i++
	s.space()
	if s.peek() == ']' {
		s.i++
		return nil
	}
	for {
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if more, err := s.more(']'); !more {
			return err
		}
	}
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.i++
		if bytes.HasPrefix(s.b[s.i:], []byte("Infinity")) {
			return s.fail("-Infinity is no number in JSON; leave such values out")
		}
	}
	if s.peek() == '0' {
		s.i++
	} else if !s.digits() {
		return s.fail("a digit was expected")
	}
	if s.peek() == '.' {
		s.i++
		if !s.digits() {
			return s.fail("a digit was expected after the point")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		if !s.digits() {
			return s.fail("a digit was expected in the exponent")
		}
	}
	return nil
}

// text reads a string and returns what it stands for: a part of the input where it holds no escapes.
func (s *scanner) text() ([]byte, error) {
	s.i++
	start, plain, ascii := s.i, true, true
	for {
		if s.i >= len(s.b) {
			return nil, s.fail("a text does not end")
		}
		switch c := s.b[s.i]; {
		case c == '"':
			t := s.b[start:s.i]
			if !ascii && !utf8.Valid(t) {
				s.i = start
				return nil, s.fail("a text is not valid UTF-8")
			}
			s.i++
			if plain {
				return t, nil
			}
			return unescape(t), nil
		case c < 0x20:
			return nil, s.fail("a control character stands in a text; write it as \\u00XX")
		case c >= utf8.RuneSelf:
			ascii = false
			s.i++
		case c == '\\':
			plain = false
			if err := s.escape(); err != nil {
				return nil, err
			}
		default:
			s.i++
		}
	}
}

// escape passes one escape sequence, a surrogate pair included. Half a pair stands for no character, and two texts that
// differ in it only would become equal later: it is refused.
func (s *scanner) escape() error {
	if s.i+1 >= len(s.b) {
		return s.fail("a text does not end")
	}
	switch s.b[s.i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i += 2
		return nil
	case 'u':
	default:
		return s.fail("unknown escape in a text")
	}
	r, ok := hex4(s.b[s.i+2:])
	switch {
	case !ok:
		return s.fail("four hexadecimal digits were expected after \\u")
	case r < 0xd800 || r > 0xdfff:
		s.i += 6
		return nil
	case r <= 0xdbff && bytes.HasPrefix(s.b[s.i+6:], []byte(`\u`)):
		if low, ok := hex4(s.b[s.i+8:]); ok && low >= 0xdc00 && low <= 0xdfff {
			s.i += 12
			return nil
		}
	}
	return s.fail("half a surrogate pair stands in a text")
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// unescape resolves the escapes of a string's inside that the scanner has passed.
func unescape(t []byte) []byte {
	out := make([]byte, 0, len(t))
	for i := 0; i < len(t); {
		if t[i] != '\\' {
			out = append(out, t[i])
			i++
			continue
		}
		c := t[i+1]
		i += 2
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r, _ := hex4(t[i:])
			i += 4
			if r >= 0xd800 && r <= 0xdbff {
				low, _ := hex4(t[i+2:])
				r = 0x10000 + (r-0xd800)<<10 + (low - 0xdc00)
				i += 6
			}
			out = utf8.AppendRune(out, r)
			continue
		}
		out = append(out, c)
	}
	return out
}
