package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDataByForm(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return "@" + path
	}
	for _, c := range []struct{ flag, stdin, want string }{
		{"19", "", "19"},
		{"+19", "", "19"},
		{" [1, 2.50]\n", "", "[1, 2.50]"},
		{`{"a":"<é>"}`, "", `{"a":"<é>"}`},
		{"-", "19\n", "19"},
		{"-", "1\n2\n", "[1,2]"},
		{"-", "a,b\n1,2\n", "[[1,2]]"},
		{"-", "\xef\xbb\xbf[1,2]", "[1,2]"},
		{file("x.json", " [1,\n2.0] \n"), "", "[1,\n2.0]"},
		{file("x.CSV", "19"), "", "[19]"}, // a file of one value is still a column
		{file("x.dat", "1\n2"), "", "[1,2]"},
		{file("y.dat", `{"a":1}`), "", `{"a":1}`},
		{file("mixed.csv", "sex,age\nf,19\n\"m\",061\n"), "", `[["f",19],["m",61]]`},
	} {
		got, err := readData(c.flag, strings.NewReader(c.stdin))
		if err != nil || string(got) != c.want {
			t.Errorf("--data %q: %s, %v; want %s", c.flag, got, err, c.want)
		}
	}
	for _, flag := range []string{"", "@", "@" + dir, "1,5", "{", "1 2", file("bad.json", "1\n2\n")} {
		if got, err := readData(flag, strings.NewReader("")); err == nil {
			t.Errorf("--data %q gives %s", flag, got)
		}
	}
}
