package gateway

import (
	"strings"
	"testing"
)

func TestDirectoryComparesURLs(t *testing.T) {
	parties := []Party{
		{"bob", []string{"https://Bob.Example/weft/", "http://10.0.0.2:55502"}},
		{"alice", []string{"http://127.0.0.1:55501", "http://alice.example:80", "http://[2001:db8::1]:8080"}},
		{"carol", nil},
	}
	for _, loopback := range []bool{false, true} {
		d, err := NewDirectory("alice", parties, loopback)
		if err != nil {
			t.Fatal(err)
		}
		if list := d.Parties(); list[0].Name != "alice" || list[1].Name != "bob" || list[2].Name != "carol" || d.Self() != "alice" {
			t.Errorf("%v", list)
		}
		onlyLoopback := ""
		if loopback {
			onlyLoopback = "alice"
		}
		for node, want := range map[string]string{
			"alice": "alice", "carol": "carol", "dave": "", "Alice": "", "": "",
			"http://127.0.0.1:55501":              "alice",
			"http://127.0.0.1:55501/":             "alice",
			"HTTP://127.0.0.1:55501//":            "alice",
			" http://127.0.0.1:55501 ":            "alice",
			"http://user:secret@127.0.0.1:55501":  "alice",
			"http://localhost:55501":              onlyLoopback,
			"http://LocalHost.:55501/":            onlyLoopback,
			"http://[::1]:55501":                  onlyLoopback,
			"http://[0:0:0:0:0:0:0:1]:55501":      onlyLoopback,
			"http://127.0.0.2:55501":              "",
			"http://127.0.0.1":                    "",
			"https://127.0.0.1:55501":             "",
			"http://127.0.0.1:55501/x":            "",
			"http://127.0.0.1:55501?x=1":          "",
			"http://127.0.0.1:55501#x":            "",
			"http://ALICE.example":                "alice",
			"http://alice.example.:80/":           "alice",
			"https://alice.example:80":            "",
			"http://[2001:DB8:0::1]:8080":         "alice",
			"https://bob.example/weft":            "bob",
			"https://bob.example:443/weft/":       "bob",
			"https://bob.example/WEFT":            "",
			"https://bob.example":                 "",
			"http://bob.example/weft":             "",
			"ftp://127.0.0.1:55501":               "",
			"://":                                 "",
			"http://":                             "",
			"http://[::1":                         "",
			"http://a b":                          "",
			"http://" + strings.Repeat("x", 3000): "",
		} {
			got, ok := d.Resolve(node)
			if got != want || ok != (want != "") {
				t.Errorf("loopback %v: %.60q is %q, want %q", loopback, node, got, want)
			}
		}
	}
}

func TestDirectoryRefuses(t *testing.T) {
	for want, parties := range map[string][]Party{
		"listed twice":                 {{"alice", nil}, {"alice", nil}},
		"does not contain this party":  {{"bob", nil}},
		"same gateway URL":             {{"alice", []string{"http://h:1"}}, {"bob", []string{"http://H:1/"}}},
		"no gateway URL":               {{"alice", []string{"h:1"}}},
		"a name without ://":           {{"alice", nil}, {"http://x", nil}},
		`"bob": "https://h/?x" is no `: {{"alice", nil}, {"bob", []string{"https://u:p@h/?x"}}},
	} {
		if _, err := NewDirectory("alice", parties, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	two := []Party{{"alice", []string{"http://localhost:1"}}, {"bob", []string{"http://127.0.0.1:1"}}}
	if _, err := NewDirectory("alice", two, false); err != nil {
		t.Error(err)
	}
	if _, err := NewDirectory("alice", two, true); err == nil {
		t.Error("localhost and 127.0.0.1 are one, and two parties have it")
	}
}

func FuzzResolve(f *testing.F) {
	for _, s := range []string{"http://user:secret@h:1/a", "https://[::1]:1/", "alice", "http://%zz", "http://h:port", "x://@/@?#", "http://a@b@c"} {
		f.Add(s)
	}
	d, err := NewDirectory("alice", []Party{{"alice", []string{"http://127.0.0.1:1"}}}, true)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if u, ok := d.normal(s); ok {
			again, ok := d.normal(u)
			if !ok || again != u {
				t.Errorf("%q is %q, which is %q, %v", s, u, again, ok)
			}
		}
		_, rest, _ := strings.Cut(hideCredentials("http://user:s3cret@"+s), "://")
		if authority, _, _ := strings.Cut(rest, "/"); strings.Contains(authority, "s3cret") {
			t.Errorf("%q shows its credentials", s)
		}
	})
}
