package representation

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestCheckRefuses(t *testing.T) {
	for _, tt := range []struct{ body, want string }{
		{``, "empty"},
		{" \n", "empty"},
		{`{`, "key in quotes"},
		{`{"a":1,}`, "key in quotes"},
		{`{a:1}`, "key in quotes"},
		{`{"a" 1}`, "colon"},
		{`{"a":1 "b":2}`, "comma"},
		{`[1,]`, "value was expected"},
		{`[1 2]`, "comma"},
		{`{"a":`, "ends too early"},
		{`{} {}`, "follows"},
		{`{}x`, "follows"},
		{"{}\x00", "follows"},
		{`{"a":NaN}`, "NaN is no number"},
		{`[Infinity]`, "Infinity is no number"},
		{`[-Infinity]`, "-Infinity is no number"},
		{`{"a":1,"a":2}`, "same key twice"},
		{`{"a":1,"\u0061":2}`, "same key twice"},
		{`{"x":{"a":1,"b":[{"c":1,"c":2}]}}`, "same key twice"},
		{`{"é":1,"\u00e9":2}`, "same key twice"},
		{`{"😀":1,"\ud83d\ude00":2}`, "same key twice"},
		{`01`, "follows"},
		{`+1`, "value was expected"},
		{`.5`, "value was expected"},
		{`1.`, "after the point"},
		{`1e`, "exponent"},
		{`-`, "digit"},
		{`nul`, "value was expected"},
		{`'a'`, "value was expected"},
		{`"a`, "does not end"},
		{`"a\`, "does not end"},
		{`"\x"`, "unknown escape"},
		{`"\u12g4"`, "hexadecimal"},
		{"\"a\nb\"", "control character"},
		{"\"\xff\"", "UTF-8"},
		{`"\ud800"`, "surrogate"},
		{`"\udc00"`, "surrogate"},
		{`"\ud800\u0061"`, "surrogate"},
		{`"\ud800\u"`, "surrogate"},
		{strings.Repeat("[", 200) + strings.Repeat("]", 200), "inside each other"},
		{"\xef\xbb\xbf{}", "value was expected"},
	} {
		err := Check([]byte(tt.body))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Check(%.40q) = %v, want %q", tt.body, err, tt.want)
		}
	}
}

func TestCheckAccepts(t *testing.T) {
	many := &strings.Builder{}
	for i := range 1000 {
		fmt.Fprintf(many, `,"k%d":{"a":%d}`, i, i)
	}
	for _, body := range []string{
		`{}`, ` [ ] `, `null`, `-0.0e-12`, `1e400`, `123456789012345678901234567890`, `"\u00e9\ud83d\ude00\\\/\b"`,
		`{"a":{"a":1},"b":[{"a":1},{"a":2}]}`, `{` + many.String()[1:] + `}`,
	} {
		if err := Check([]byte(body)); err != nil {
			t.Errorf("Check(%.60q) = %v", body, err)
		}
	}
	if err := Check([]byte(`{` + many.String()[1:] + `,"k3":1}`)); err == nil {
		t.Error("a key twice among a thousand passed")
	}
}

func TestSyntaxErrorKeepsTheTextToItself(t *testing.T) {
	for _, body := range []string{`{"secret4711":1,"secret4711":2}`, `["secret4711" "x"]`, `{"a":secret4711}`, `[4711.]`} {
		if err := Check([]byte(body)); err == nil || strings.Contains(err.Error(), "4711") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestParseCall(t *testing.T) {
	c, err := ParseCall([]byte(`{"args": [1.50, {"a":[2]}], "kwargs": {"data": [1e400, 7], "n\u0061me":"x"}, "more":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Args) != 2 || string(c.Args[0]) != "1.50" || string(c.Args[1]) != `{"a":[2]}` {
		t.Errorf("args %s", c.Args)
	}
	if string(c.Kwargs["data"]) != "[1e400, 7]" || string(c.Kwargs["name"]) != `"x"` {
		t.Errorf("kwargs %s", c.Kwargs)
	}
	for _, body := range []string{`{}`, `{"args":null,"kwargs":null}`, `{"args":{},"kwargs":[]}`, `{"args":[ ],"kwargs":{ }}`} {
		if c, err := ParseCall([]byte(body)); err != nil || len(c.Args) != 0 || len(c.Kwargs) != 0 {
			t.Errorf("%s: %v, %v", body, c, err)
		}
	}
	for _, body := range []string{`[]`, `null`, `1`, `"x"`, `{"args":1}`, `{"args":{"a":1}}`, `{"kwargs":[1]}`, `{"kwargs":"x"}`} {
		if _, err := ParseCall([]byte(body)); err == nil {
			t.Errorf("%s passed", body)
		}
	}
}

func TestBind(t *testing.T) {
	s := Signature{"compute", []Parameter{{Name: "microprotocol"}, {Name: "data"}, {Name: "parameters", Optional: true}}}
	if got := s.String(); got != "compute(microprotocol, data, parameters=None)" {
		t.Error(got)
	}
	if got := (Signature{"create", []Parameter{{"storage", true, `"default"`}}}).String(); got != `create(storage="default")` {
		t.Error(got)
	}
	for _, tt := range []struct{ body, want string }{
		{`{"args":[1,2]}`, "1 2 -"},
		{`{"args":[1],"kwargs":{"parameters":3,"data":2}}`, "1 2 3"},
		{`{"kwargs":{"microprotocol":1}}`, "data is missing"},
		{`{"args":[1,2],"kwargs":{"data":2}}`, "by position and by name"},
		{`{"args":[1,2,3,4]}`, "at most 3"},
		{`{"args":[1,2],"kwargs":{"zeta":1,"alpha":2}}`, `unknown argument "alpha"`},
	} {
		c, err := ParseCall([]byte(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		bound, err := s.Bind(c)
		if err != nil {
			got = err.Error()
		} else {
			for _, b := range bound {
				if b == nil {
					b = json.RawMessage("-")
				}
				got += " " + string(b)
			}
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.body, got, tt.want)
		}
		if err != nil && !strings.Contains(got, "compute(") {
			t.Errorf("%s: no signature in %s", tt.body, got)
		}
	}
}

func TestMatch(t *testing.T) {
	d := Description{{"namespace", "federatedsecure"}, {"protocol", "Simon"}}
	if b, _ := json.Marshal(d); string(b) != `{"namespace":"federatedsecure","protocol":"Simon"}` {
		t.Errorf("%s", b)
	}
	for body, want := range map[string]bool{
		`{}`: true, `{"kwargs":{"protocol":"SIMON"}}`: true, `{"kwargs":{"Protocol":"Simon"}}`: false,
		`{"kwargs":{"protocol":"Simon","namespace":"federatedsecure"}}`: true, `{"kwargs":{"protocol":1}}`: false,
		`{"kwargs":{"protocol":"Simon","version":"0.6.0"}}`: false,
	} {
		c, err := ParseCall([]byte(body))
		if err != nil || d.Match(c.Kwargs) != want {
			t.Errorf("%s: %v, want %v", body, !want, want)
		}
	}
}

func TestDerive(t *testing.T) {
	key := []byte("0123456789abcdef")
	a := Derive(key, "alice", "root/x")
	if a != Derive(key, "alice", "root/x") || a.Version() != 8 || a.Variant() != uuid.RFC4122 {
		t.Errorf("%v version %v variant %v", a, a.Version(), a.Variant())
	}
	// Fixed once and for all: clients keep identifiers over an update of weft.
	if a.String() != "32c1de53-e406-8efa-b174-e0901dd2530d" {
		t.Errorf("identifier is now %s", a)
	}
	for _, other := range []uuid.UUID{Derive(key, "bob", "root/x"), Derive(key, "alice", "root/y"), Derive([]byte("0123456789abcdeg"), "alice", "root/x")} {
		if other == a {
			t.Error("equal identifiers for different objects")
		}
	}
}

func TestParseUUID(t *testing.T) {
	for s, want := range map[string]bool{
		"123e4567-e89b-42d3-a456-426614174000": true, "123E4567-E89B-42D3-A456-426614174000": true,
		"123e4567e89b42d3a456426614174000": false, "{123e4567-e89b-42d3-a456-426614174000}": false, "": false, ">": false,
		"urn:uuid:123e4567-e89b-42d3-a456-426614174000": false, "123e4567-e89b-42d3-a456-42661417400*": false,
	} {
		if _, ok := ParseUUID(s); ok != want {
			t.Errorf("%q: %v", s, ok)
		}
	}
}

func TestShowIsShort(t *testing.T) {
	if s := Show(strings.Repeat("é", 10_000)); len(s) > 130 {
		t.Errorf("%d bytes", len(s))
	}
	if s := Show("a\nb"); s != `"a\nb"` {
		t.Error(s)
	}
}

// FuzzCheck holds the strict reader against encoding/json: what passes here passes there, and means the same in parts.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"args":[1,-2.5e3,"\ud83d\ude00é"],"kwargs":{"a":{"b":[true,false,null]}}}`, `{"a":1,"\u0061":2}`, `[NaN]`, `"\ud800"`, `[[[[`, ` 1 `, `{"a":"\`, `{"":{}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = ParseCall(b)
		if Check(b) != nil {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("%q is no JSON", b)
		}
		if members, ok := Members(b, len(b)+1); ok {
			var want map[string]json.RawMessage
			if err := json.Unmarshal(b, &want); err != nil || len(want) != len(members) {
				t.Fatalf("%q: %d members, %d in encoding/json, %v", b, len(members), len(want), err)
			}
			for _, m := range members {
				if string(want[m.Key]) != string(m.Value) {
					t.Fatalf("%q: member %q is %q, not %q", b, m.Key, m.Value, want[m.Key])
				}
			}
		}
		if elements, ok := Elements(b, len(b)+1); ok {
			var want []json.RawMessage
			if err := json.Unmarshal(b, &want); err != nil || len(want) != len(elements) {
				t.Fatalf("%q: %d elements, %d in encoding/json, %v", b, len(elements), len(want), err)
			}
			for i, e := range elements {
				if string(want[i]) != string(e) {
					t.Fatalf("%q: element %d is %q, not %q", b, i, e, want[i])
				}
			}
		}
		if text, ok := Text(b); ok {
			var want string
			if err := json.Unmarshal(b, &want); err != nil || want != text {
				t.Fatalf("%q: text %q, not %q, %v", b, text, want, err)
			}
		}
	})
}

func BenchmarkValid(b *testing.B) {
	body := []byte(`{"args":[],"kwargs":{"data":[` + strings.Repeat("12345.678,", 100_000) + `1]}}`)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		json.Valid(body)
	}
}

func BenchmarkCheck(b *testing.B) {
	body := []byte(`{"args":[],"kwargs":{"data":[` + strings.Repeat("12345.678,", 100_000) + `1]}}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseCall(body); err != nil {
			b.Fatal(err)
		}
	}
}
