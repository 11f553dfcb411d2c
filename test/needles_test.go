package test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	endian "encoding/binary" // "binary" is the program under test
	"encoding/hex"
	"encoding/json"
	"fmt"

	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// number is a decimal as the sum encodes it: an integer number of 1e-20.
type number struct{ q *big.Int }

const sumDigits = 20

func parseNumber(t testing.TB, text string) number {
	t.Helper()
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		t.Fatalf("%q is no number", text)
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(sumDigits), nil)))
	if !r.IsInt() {
		t.Fatalf("%q has more than %d decimals", text, sumDigits)
	}
	return number{r.Num()}
}

func (n number) plus(m number) number { return number{new(big.Int).Add(n.q, m.q)} }

// String is the shortest decimal without an exponent.
func (n number) String() string {
	sign, digits := "", n.q.String()
	if digits[0] == '-' {
		sign, digits = "-", digits[1:]
	}
	if pad := sumDigits + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	at := len(digits) - sumDigits
	return sign + strings.TrimRight(strings.TrimRight(digits[:at]+"."+digits[at:], "0"), ".")
}

// json is n as a result has it: integers exactly, all else as the nearest double.
func (n number) json() string {
	text := n.String()
	if strings.Contains(text, ".") {
		f, _ := strconv.ParseFloat(text, 64)
		return jsonNumber(f)
	}
	return text
}

// element is q as 192 bits in two's complement, lowest byte first: the element of a vector.
func (n number) element() []byte {
	x := new(big.Int).Mod(n.q, new(big.Int).Lsh(big.NewInt(1), 192))
	return reversed(x.FillBytes(make([]byte, 24)))
}

func reversed(b []byte) []byte {
	c := bytes.Clone(b)
	slices.Reverse(c)
	return c
}

// plain are the ways to write n that carry (nearly) all of its digits, before anything is made of the bytes. Whoever
// writes an integer in msgpack, CBOR or protobuf's fixed form writes the same bytes as here behind a byte of its own.
func (n number) plain() map[string][]byte {
	all := map[string][]byte{}
	text := n.String()
	f, _ := strconv.ParseFloat(text, 64)
	for form, s := range map[string]string{
		"decimal":         text,
		"digits":          strings.Trim(strings.Replace(text, ".", "", 1), "-"),
		"float as JSON":   jsonNumber(f),
		"float, exponent": strconv.FormatFloat(f, 'e', -1, 64),
		"float, general":  strconv.FormatFloat(f, 'g', -1, 64),
		"q in decimal":    n.q.String(),
	} {
		all[form] = []byte(s)
	}
	both := func(form string, b []byte) {
		all[form+" BE"], all[form+" LE"] = b, reversed(b)
	}
	word := func(form string, x uint64) { both(form, endian.BigEndian.AppendUint64(nil, x)) }
	word("float64", math.Float64bits(f))
	if digits, err := strconv.ParseInt(strings.Replace(text, ".", "", 1), 10, 64); err == nil {
		word("int64 of the digits", uint64(digits))
	}
	if whole := int64(f); math.Abs(f) > 1<<40 && math.Abs(f) < 1<<63 { // shorter ones occur by chance
		if i, err := strconv.ParseInt(strings.Split(text, ".")[0], 10, 64); err == nil {
			whole = i
		}
		word("int64", uint64(whole))
	}
	both("q of 192 bits", reversed(n.element()))
	both("q, minimal", new(big.Int).Abs(n.q).Bytes())
	for limb := range 3 {
		if x := endian.LittleEndian.Uint64(n.element()[8*limb:]); max(int64(x), -int64(x)) > 1<<40 { // shorter ones occur by chance
			word(fmt.Sprintf("limb %d of q", limb), x)
		}
	}
	return all
}

func jsonNumber(x any) string {
	b, err := json.Marshal(x)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// wrapped are the ways in which bytes are put into texts.
func wrapped(form string, b []byte) map[string][]byte {
	all := map[string][]byte{form: b}
	add := func(how, s string) { all[form+", "+how] = []byte(s) }
	add("hex", hex.EncodeToString(b))
	add("upper-case hex", strings.ToUpper(hex.EncodeToString(b)))
	for at := range 3 { // how many bytes of a group of three stand before
		for how, e := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			s := e.EncodeToString(append(make([]byte, at), b...))
			add(fmt.Sprintf("%s after %d bytes", how, at), s[(8*at+5)/6:8*(at+len(b))/6])
		}
	}
	list := fmt.Sprint(b) // [1 2 3]
	add("list", strings.Trim(list, "[]"))
	add("list in JSON", strings.ReplaceAll(strings.Trim(list, "[]"), " ", ","))
	for how, s := range map[string]string{"quoted": strconv.Quote(string(b)), "quoted in ASCII": strconv.QuoteToASCII(string(b))} {
		add(how, s[1:len(s)-1])
	}
	return all
}

// needle is one way to write one number.
type needle struct {
	what, form string
	bytes      []byte
}

func (n needle) String() string { return n.what + " as " + n.form }

const prefixSize = 8

// needles finds any of many byte strings in one pass: by their first 8 bytes.
type needles map[[prefixSize]byte][]needle

// add adds all ways to write n.
func (ns needles) add(what string, n number) {
	plain := n.plain()
	for _, form := range slices.Sorted(maps.Keys(plain)) {
		all := wrapped(form, plain[form])
		for _, f := range slices.Sorted(maps.Keys(all)) {
			ns.addBytes(needle{what, f, all[f]})
		}
	}
}

func (ns needles) addBytes(n needle) {
	if len(n.bytes) < prefixSize {
		panic(fmt.Sprintf("%s has %d bytes: it occurs by chance", n, len(n.bytes)))
	}
	p := [prefixSize]byte(n.bytes)
	if !slices.ContainsFunc(ns[p], func(m needle) bool { return bytes.Equal(m.bytes, n.bytes) }) {
		ns[p] = append(ns[p], n)
	}
}

// in gives what occurs in b, each needle once.
func (ns needles) in(b []byte) (found []needle) {
	seen := map[string]bool{}
	for i := 0; i+prefixSize <= len(b); i++ {
		for _, n := range ns[[prefixSize]byte(b[i:])] {
			if bytes.HasPrefix(b[i:], n.bytes) && !seen[n.String()] {
				seen[n.String()] = true
				found = append(found, n)
			}
		}
	}
	return found
}

// What any program would write with the usual libraries must be found, wherever it begins.
func TestObserverNeedlesAreFound(t *testing.T) {
	for _, text := range []string{"483920175630298417", "-48392017.5630298417", "7205118846.31902755", "0.104482930175630298"} {
		n := parseNumber(t, text)
		if n.String() != text {
			t.Fatalf("%q became %q", text, n)
		}
		f, _ := strconv.ParseFloat(text, 64)
		element := n.element()
		limbs := []uint64{endian.LittleEndian.Uint64(element), endian.LittleEndian.Uint64(element[8:]), endian.LittleEndian.Uint64(element[16:])}
		var bigEndian, littleEndian bytes.Buffer
		for _, v := range []any{f, limbs} {
			_ = endian.Write(&bigEndian, endian.BigEndian, v)
			_ = endian.Write(&littleEndian, endian.LittleEndian, v)
		}
		packed := func(v any) []byte {
			b, err := msgpack.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		hay := map[string][]byte{
			"text":         []byte("sum=" + text + ";"),
			"JSON":         []byte(jsonNumber(map[string]any{"sum": []any{1, json.Number(text)}})),
			"float":        []byte(jsonNumber([]float64{1, f})),
			"%v":           fmt.Append(nil, []float64{1, f}),
			"big endian":   bigEndian.Bytes(),
			"littleEndian": littleEndian.Bytes(),
			"msgpack":      packed([]any{"sum", f}),
			"limbs":        packed(limbs),
			"big.Int":      packed(n.q.Bytes()),
			"element":      element,
		}
		printed := map[string][]byte{ // bytes made text already
			"list":  fmt.Append(nil, element),
			"array": []byte(jsonNumber([24]byte(element))),
			"%q":    fmt.Appendf(nil, "%q", element),
			"%+q":   fmt.Appendf(nil, "%+q", element),
			"%X":    fmt.Appendf(nil, "%X", element),
		}
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			hay["int64 in msgpack"] = packed(i)
			hay["int64"] = endian.BigEndian.AppendUint64(nil, uint64(i))
		}
		wanted, others := needles{}, needles{}
		wanted.add("x", n)
		others.add("y", n.plus(parseNumber(t, "111111.11111111111")))
		check := func(how string, b []byte) {
			t.Helper()
			for pad := range 4 {
				padded := append(bytes.Repeat([]byte{0xa5}, pad), b...)
				if len(wanted.in(padded)) == 0 {
					t.Errorf("%s is not found in %s: %q", text, how, padded)
				}
				if found := others.in(padded); len(found) != 0 {
					t.Errorf("another number is found in %s of %s: %v", how, text, found)
				}
			}
		}
		for how, b := range printed {
			check(how, b)
		}
		for how, b := range hay {
			check(how, b)
			check("hex of "+how, hex.AppendEncode(nil, b))
			for at := range 3 {
				shifted := append(bytes.Repeat([]byte{0xff}, at), b...)
				check(fmt.Sprintf("base64 of %s after %d bytes", how, at), base64.StdEncoding.AppendEncode(nil, shifted))
				check(fmt.Sprintf("base64url of %s after %d bytes", how, at), base64.URLEncoding.AppendEncode(nil, shifted))
			}
		}
		noise := make([]byte, 1<<20)
		_, _ = rand.Read(noise)
		if found := wanted.in(noise); len(found) != 0 {
			t.Errorf("found in noise: %v", found)
		}
	}
}
