package simon

import (
	"testing"
	"time"
)

// TestCanonical has the cases of RFC 8785: section 3.2.2's sample object, the order of section 3.2.3, numbers of appendix B.
func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		`{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],` +
			`"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}`: `{"literals":[null,true,false],` +
			`"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		`{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}`: "{\"\\r\":2,\"1\":4,\"\u0080\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\ufb33\":3}",
		`[-0, 0.0, 295147905179352830000, 9007199254740994, 5e-324, 1.7976931348623157e308, 1e21, 1e-7]`: `[0,0,295147905179352830000,9007199254740994,5e-324,` +
			`1.7976931348623157e+308,1e+21,1e-7]`,
		` { } `: `{}`,
		`[]`:    `[]`,
		`"<&>"`: `"<&>"`,
	} {
		v, err := parseJSON([]byte(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		got, err := canonical(nil, v)
		if err != nil || string(got) != want {
			t.Errorf("%s: %s (%v), want %s", in, got, err, want)
			continue
		}
		again, err := parseJSON(got)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := canonical(nil, again); err != nil || string(b) != want {
			t.Errorf("%s is not canonical: %s (%v)", got, b, err)
		}
	}
}

func TestParseJSONRefuses(t *testing.T) {
	for _, in := range []string{
		"", "{", "[1,]", `{"a":1,"a":2}`, `{"a":{"b":1,"b":1}}`, "1 2", "{}{}", "\"\xff\"", `{1:2}`, "nul", "[1 2]", "}", "[}",
		"[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]",
	} {
		if v, err := parseJSON([]byte(in)); err == nil {
			t.Errorf("%q was read as %v", in, v)
		}
	}
	if v, err := parseJSON([]byte("[1e999]")); err == nil {
		if _, err := canonical(nil, v); err == nil {
			t.Error("1e999 has canonical bytes")
		}
	}
}

func TestTiming(t *testing.T) {
	round, limit, err := Timing([]byte(`{"columns":3,"limit_ms":120000,"round_ms":20000}`))
	if err != nil || round != 20*time.Second || limit != 2*time.Minute {
		t.Errorf("%v, %v, %v", round, limit, err)
	}
	for _, bad := range []string{
		"", "{}", `{"limit_ms":120000}`, `{"round_ms":20000}`, `{"limit_ms":1000,"round_ms":2000}`, `{"limit_ms":9e9,"round_ms":2000}`,
		`{"limit_ms":3600001,"round_ms":2000}`, `{"limit_ms":2000,"round_ms":0}`, `{"limit_ms":2000,"round_ms":-5}`, `{"limit_ms":"2000","round_ms":500}`,
	} {
		if _, _, err := Timing([]byte(bad)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func FuzzParameters(f *testing.F) {
	for _, s := range []string{`{}`, `null`, `[]`, `{"columns":3}`, `{"round_ms":1e4}`, `{"x":1}`, `{"columns":{"a":[1,"x"]}}`, `{"columns":2,"columns":2}`} {
		f.Add([]byte(s))
	}
	m := SecureSum()
	known := withTiming(m.Round, m.Limit, parameter{name: "columns", preset: int64(0), check: integer(0, maxColumns)})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := readParameters(b, known)
		if err != nil {
			if _, ok := err.(*InputError); !ok {
				t.Fatalf("%q: %v", b, err)
			}
			return
		}
		first, err := canonical(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := Timing(first); err != nil {
			t.Fatalf("%s: %v", first, err)
		}
		v, err = readParameters(first, known)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := canonical(nil, v); err != nil || string(second) != string(first) {
			t.Fatalf("%s became %s (%v)", first, second, err)
		}
	})
}
