package access

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// clock is a time that the test sets.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func bearer(credential string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+credential)
	return r
}

func make1(t *testing.T, name string, role Role) (Token, string) {
	t.Helper()
	made, text, err := NewToken(name, role, noon, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return made, text
}

func wantRefused(t *testing.T, err error, part string) {
	t.Helper()
	var refused *Refused
	if !errors.As(err, &refused) || !strings.Contains(refused.Message, part) {
		t.Errorf("%v, want a refusal with %q", err, part)
	}
}

func TestTokens(t *testing.T) {
	c := &clock{noon}
	anna, text := make1(t, "anna", Analyst)
	bert, other := make1(t, "bert", Admin)
	var list []byte
	var broken error
	reads := 0
	s := NewTokens(func() ([]byte, error) { reads++; return list, broken }, c.now)

	// A list that is not there yet has no tokens.
	_, err := s.Authenticate(bearer(text))
	wantRefused(t, err, "no such token")

	list = FormatTokens([]Token{anna, bert})
	_, err = s.Authenticate(bearer(text)) // not read again before a second has passed
	wantRefused(t, err, "no such token")
	c.at = c.at.Add(rereadAfter)
	for _, r := range []*http.Request{bearer(text), basic("token", text), basic("", text)} {
		id, err := s.Authenticate(r)
		if want := (Identity{"token:anna", Analyst, "token", noon.Add(time.Hour)}); err != nil || id != want {
			t.Errorf("%+v, %v, want %+v", id, err, want)
		}
	}
	if reads != 2 {
		t.Errorf("the list was read %d times", reads)
	}

	// Nothing but the whole text is the token.
	secret := text[len(text)-43:]
	for _, wrong := range []string{
		text[:len(text)-1], text + "A", "weft_", "weft__", "weft_" + bert.ID + "_" + secret, "weft_" + strings.Repeat("0", 12) + "_" + secret,
		strings.ToUpper(text[:5]) + text[5:], "weft_" + strings.Repeat("é", 500),
	} {
		id, err := s.Authenticate(bearer(wrong))
		var refused *Refused
		if err == nil || errors.As(err, &refused) && strings.Contains(refused.Message, secret) || id != (Identity{}) {
			t.Errorf("%q: %+v, %v", wrong, id, err)
		}
	}
	for _, none := range []*http.Request{httptest.NewRequest("GET", "/", nil), bearer("a.b.c"), bearer(""), basic("token", "geheim"), bearer("Weft_")} {
		if _, err := s.Authenticate(none); !errors.Is(err, ErrNone) {
			t.Errorf("%v: %v", none.Header, err)
		}
	}

	// Revocation and the end count at once, that is a second later.
	anna.Revoked = c.at
	list = FormatTokens([]Token{anna, bert})
	c.at = c.at.Add(rereadAfter)
	_, err = s.Authenticate(bearer(text))
	wantRefused(t, err, "has been revoked")
	if _, err := s.Authenticate(bearer(other)); err != nil {
		t.Error(err)
	}
	c.at = noon.Add(time.Hour)
	_, err = s.Authenticate(bearer(other))
	wantRefused(t, err, "has expired")

	// A list that cannot be read admits nobody, and says that it is not the client's fault.
	c.at = noon.Add(time.Minute)
	for _, f := range []func(){func() { broken = errors.New("no disk") }, func() { list, broken = []byte("version: 2\ntokens: []\n"), nil }} {
		f()
		c.at = c.at.Add(rereadAfter)
		var refused *Refused
		if _, err := s.Authenticate(bearer(other)); err == nil || errors.As(err, &refused) {
			t.Errorf("%v", err)
		}
	}
	list = FormatTokens([]Token{bert})
	c.at = c.at.Add(rereadAfter)
	if _, err := s.Authenticate(bearer(other)); err != nil {
		t.Error(err)
	}
}

func basic(user, password string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.SetBasicAuth(user, password)
	return r
}

func TestListOfTokens(t *testing.T) {
	anna, text := make1(t, "anna.b-c_9", DataOwner)
	bert, _ := make1(t, "0", Viewer)
	bert.Revoked = noon.Add(time.Minute)
	list := FormatTokens([]Token{anna, bert})
	back, err := ParseTokens(list)
	if err != nil || len(back) != 2 || back[0] != anna || back[1] != bert {
		t.Fatalf("%+v, %v\n%s", back, err, list)
	}
	if back, err := ParseTokens(FormatTokens(nil)); err != nil || len(back) != 0 {
		t.Error(back, err)
	}
	if strings.Contains(string(list), text[len(text)-43:]) {
		t.Error("the list has a secret")
	}
	for n := range list { // a list that was cut gives back no token that had been revoked
		cut, err := ParseTokens(list[:n])
		if err == nil && len(cut) == 2 && cut[1].Revoked.IsZero() {
			t.Fatalf("the first %d bytes make a revoked token active", n)
		}
	}
	good := string(list)
	for from, to := range map[string]string{
		anna.ID:              "5F",
		`name: "0"`:          `name: "A B"`,
		`role: "viewer"`:     `role: "root"`,
		`hash: "`:            `hash: "00`,
		`created: "2026`:     `created: "26`,
		`revoked: "2026`:     `revoked: "yesterday`,
		"version: 1":         "version: 2",
		"    name: ":         "    nam: ",
		`id: "` + bert.ID:    `id: "` + anna.ID,
		"tokens:\n":          "tokens: &a\n",
		`role: "data-owner"`: `role: !!binary "x"`,
	} {
		bad := strings.Replace(good, from, to, 1)
		if bad == good {
			t.Fatalf("%s is not there", from)
		}
		if _, err := ParseTokens([]byte(bad)); err == nil {
			t.Errorf("%s for %s passes", to, from)
		}
	}
}

func TestNamesOfTokens(t *testing.T) {
	for name, good := range map[string]bool{
		"anna": true, "a": true, "0": true, "a.b-c_d": true, strings.Repeat("a", 63): true,
		"": false, "Anna": false, "-a": false, "a-": false, "a b": false, "a:b": false, "é": false, "a\n": false, strings.Repeat("a", 64): false,
	} {
		if err := CheckName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestRoles(t *testing.T) {
	for _, r := range Roles() {
		if back, err := ParseRole(r.String()); err != nil || back != r {
			t.Error(r, back, err)
		}
	}
	for _, no := range []string{"", "none", "Admin", "data owner"} {
		if _, err := ParseRole(no); err == nil {
			t.Error(no)
		}
	}
	if Role(0).String() != "none" || Role(99).String() != "none" {
		t.Error("what is no role has a name")
	}
}

// FuzzTokens feeds lists and credentials that others have written: no panic, and nobody gets in.
func FuzzTokens(f *testing.F) {
	anna, text, err := NewToken("anna", Analyst, noon, time.Hour)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(FormatTokens([]Token{anna})), "weft_"+anna.ID+"_"+strings.Repeat("A", 43))
	f.Add("tokens: []", "a.b.c")
	f.Add("version: 1\ntokens:\n  - id: x\n", "weft_")
	f.Fuzz(func(t *testing.T, list, credential string) {
		s := NewTokens(func() ([]byte, error) { return []byte(list), nil }, func() time.Time { return noon })
		r := httptest.NewRequest("GET", "/", nil)
		r.Header["Authorization"] = []string{credential}
		if id, err := s.Authenticate(r); err == nil && !strings.Contains(credential, text) {
			if _, secret, ok := splitToken(strings.TrimPrefix(credential, "Bearer ")); !ok || len(secret) != secretBytes {
				t.Errorf("%+v by %q", id, credential)
			}
		}
	})
}
