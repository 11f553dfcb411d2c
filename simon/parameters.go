package simon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/weftmpc/weft/simon/encode"
)

// Bounds of what clients may set, in bytes and levels of nesting.
const (
	maxParameters = 64 << 10
	maxDepth      = 16
)

// Bounds of the parameters that every microprotocol has, in milliseconds. A computation never runs for longer than a JOIN
// is valid.
const (
	leastRound = 100
	leastLimit = 1000
	mostTime   = 3_600_000
)

// parameter is one thing that a client may set.
type parameter struct {
	name   string
	preset any // where the client says nothing or null
	// check returns the value as it enters the canonical bytes. What it gets is a string, a bool, a json.Number, a []any or a
	// map[string]any; its error says how the value should look.
	check  func(v any) (any, error)
	schema string // members of a JSON schema that say what check accepts
	about  string // for the person who sets it
}

// integer accepts integral numbers from least to most, also in the spellings 2.0 and 1e+05, which R uses.
func integer(least, most int64) func(any) (any, error) {
	return func(v any) (any, error) {
		n, ok := v.(json.Number)
		x, err := strconv.ParseFloat(n.String(), 64)
		if !ok || err != nil || x != math.Trunc(x) || x < float64(least) || x > float64(most) {
			return nil, fmt.Errorf("must be an integer from %d to %d", least, most)
		}
		return int64(x), nil
	}
}

// withTiming adds the parameters that all microprotocols share. The defaults are those of the description.
func withTiming(round, limit time.Duration, own ...parameter) []parameter {
	return append(own,
		whole("limit_ms", limit.Milliseconds(), leastLimit, mostTime, "time limit of the computation in milliseconds"),
		whole("round_ms", round.Milliseconds(), leastRound, mostTime, "time-out of one message step in milliseconds"),
	)
}

// readParameters checks a client's parameters: a JSON object, or nothing, null or an empty list (R's list()), which mean
// {}. The result has a value for every known parameter.
func readParameters(raw json.RawMessage, known []parameter) (values, error) {
	given, err := parseParameters(raw)
	if err != nil {
		return nil, err
	}
	v := values{}
	for _, p := range known {
		x := given[p.name]
		delete(given, p.name)
		if x == nil {
			v[p.name] = p.preset
			continue
		}
		if v[p.name], err = p.check(x); err != nil {
			return nil, &InputError{"parameters." + p.name, err.Error()}
		}
	}
	if len(given) > 0 {
		var names, unknown []string
		for _, p := range known {
			names = append(names, p.name)
		}
		for name := range given {
			unknown = append(unknown, name)
		}
		slices.Sort(names)
		return nil, &InputError{"parameters." + shorten(slices.Min(unknown)), "is unknown; known are " + strings.Join(names, ", ")}
	}
	if v.whole("round_ms") > v.whole("limit_ms") {
		return nil, &InputError{"parameters.limit_ms", "must not be less than round_ms: set both"}
	}
	return v, nil
}

// shorten keeps a client's own name for something from filling the message.
func shorten(name string) string {
	if len(name) > 40 {
		name = name[:40] + "…"
	}
	return strings.ToValidUTF8(name, "?")
}

func parseParameters(raw json.RawMessage) (map[string]any, error) {
	if len(raw) > maxParameters {
		return nil, &InputError{"parameters", fmt.Sprintf("have %d bytes: at most %d are allowed", len(raw), maxParameters)}
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return map[string]any{}, nil
	}
	v, err := parseJSON(raw)
	if err != nil {
		return nil, &InputError{"parameters", err.Error()}
	}
	switch v := v.(type) {
	case nil:
		return map[string]any{}, nil
	case map[string]any:
		return v, nil
	case []any:
		if len(v) == 0 {
			return map[string]any{}, nil
		}
	}
	return nil, &InputError{"parameters", `must be an object such as {"round_ms": 20000}`}
}

// parseJSON reads one JSON value, strictly: valid UTF-8, no name twice in an object, nothing after the value.
func parseJSON(raw []byte) (any, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("are no valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	v, err := parseValue(d, maxDepth)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("have more text after the value")
	}
	return v, nil
}

func parseValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("are no valid JSON: %w", err)
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return t, nil
	}
	if depth == 0 {
		return nil, fmt.Errorf("are nested more than %d deep", maxDepth)
	}
	object, list := map[string]any{}, []any{}
	for d.More() {
		name := ""
		if delim == '{' {
			t, err := d.Token()
			if err != nil {
				return nil, fmt.Errorf("are no valid JSON: %w", err)
			}
			name = t.(string) // the decoder accepts nothing else here
			if _, ok := object[name]; ok {
				return nil, fmt.Errorf("name %q twice", shorten(name))
			}
		}
		v, err := parseValue(d, depth-1)
		if err != nil {
			return nil, err
		}
		if delim == '{' {
			object[name] = v
		} else {
			list = append(list, v)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("are no valid JSON: %w", err)
	}
	if delim == '{' {
		return object, nil
	}
	return list, nil
}

// canonical writes a value as canonical JSON (RFC 8785): no space, names in the order of their UTF-16 code units, numbers
// as JavaScript spells doubles. Numbers that must stay exact travel as strings.
func canonical(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case string:
		return appendString(dst, v), nil
	case int64:
		return encode.AppendFloat(dst, float64(v)), nil
	case json.Number:
		x, err := v.Float64()
		if err != nil {
			return nil, errors.New("a number is out of range")
		}
		return encode.AppendFloat(dst, x), nil
	case []any:
		return appendList(dst, v)
	case map[string]any:
		return appendObject(dst, v)
	case values:
		return appendObject(dst, v)
	}
	return nil, fmt.Errorf("simon: no JSON for %T", v)
}

func appendList(dst []byte, v []any) ([]byte, error) {
	dst = append(dst, '[')
	var err error
	for i, x := range v {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = canonical(dst, x); err != nil {
			return nil, err
		}
	}
	return append(dst, ']'), nil
}

func appendObject(dst []byte, v map[string]any) ([]byte, error) {
	names := make([]string, 0, len(v))
	for name := range v {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
	})
	dst = append(dst, '{')
	var err error
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, name), ':')
		if dst, err = canonical(dst, v[name]); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// appendString quotes s as RFC 8785, section 3.2.2.2 says: only what must be escaped is.
func appendString(dst []byte, s string) []byte {
	short := map[rune]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`}
	dst = append(dst, '"')
	for _, r := range s {
		switch e, ok := short[r]; {
		case ok:
			dst = append(dst, e...)
		case r < 0x20:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

// Timing reads the time-out of one message step and the time limit of the whole computation from the canonical parameters
// of any microprotocol.
func Timing(canonical []byte) (round, limit time.Duration, err error) {
	var p struct {
		Round *int64 `json:"round_ms"`
		Limit *int64 `json:"limit_ms"`
	}
	if err := json.Unmarshal(canonical, &p); err != nil {
		return 0, 0, fmt.Errorf("reading the times in canonical parameters: %w", err)
	}
	if p.Round == nil || p.Limit == nil || *p.Round < leastRound || *p.Limit < leastLimit || *p.Round > *p.Limit || *p.Limit > mostTime {
		return 0, 0, errors.New("canonical parameters without valid round_ms and limit_ms")
	}
	return time.Duration(*p.Round) * time.Millisecond, time.Duration(*p.Limit) * time.Millisecond, nil
}
