package main

import (
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNumbersKeepTheirText(t *testing.T) {
	for in, want := range map[string]string{
		"19": "19", "-5": "-5", "0": "0", "-0": "-0", "1.50": "1.50", "1e5": "1e5", "1E+05": "1E+05", "0.1": "0.1",
		"9007199254740993":         "9007199254740993", // float64 would say …992
		"0.1000000000000000055511": "0.1000000000000000055511",
		// what JSON cannot say as it stands
		"+5": "5", "007": "7", "-007.50": "-7.50", ".5": "0.5", "-.5": "-0.5", "5.": "5", "00": "0", "+.5e-3": "0.5e-3", "5.e2": "5e2",
	} {
		if got, ok := jsonNumber(in); !ok || got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "-", "+", ".", "e5", "1e", "1e+", "1.2.3", "1,5", "0x10", "1_000", "NaN", "Inf", "--5", "+-5", "1 2", "١", "5 kg"} {
		if got, ok := jsonNumber(in); ok {
			t.Errorf("%q is taken for %q", in, got)
		}
	}
}

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"19", "-0.50e+3", "+.5", "007", "5.", "1e", "١"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := jsonNumber(s)
		if !ok {
			return
		}
		if !json.Valid([]byte(got)) {
			t.Fatalf("%q gives %q, which is no JSON", s, got)
		}
		if _, e, _ := strings.Cut(strings.ToLower(s), "e"); len(e) > 4 || len(s) > 1000 {
			return // too large to compare
		}
		a, okA := new(big.Rat).SetString(strings.TrimSuffix(s, "."))
		b, okB := new(big.Rat).SetString(got)
		if okA && (!okB || a.Cmp(b) != 0) {
			t.Fatalf("%q became %q", s, got)
		}
	})
}

func TestCSV(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"one column", "1\n2\n3\n", "[1,2,3]"},
		{"no line end", "1\n2", "[1,2]"},
		{"header", "age\n19\n61\n", "[19,61]"},
		{"byte order mark", "\xef\xbb\xbfage\r\n19\r\n61\r\n", "[19,61]"},
		{"several columns", "age,height\n19,1.80\n61,1.750\n", "[[19,1.80],[61,1.750]]"},
		{"one row", "1,2,3", "[[1,2,3]]"},
		{"row names' column has no name", `"",b` + "\n1,2\n", "[[1,2]]"},
		{"one value is a list", "age\n19\n", "[19]"},
		{"blank lines at the end", "1\n2\n\n\n", "[1,2]"},
		{"quoted", "\"age,\nin years\"\n\"19\"\n 61 \n", "[19,61]"},
		{"digits stay", "9007199254740993\n0.10\n.5\n", "[9007199254740993,0.10,0.5]"},
	} {
		got, err := parseData("x.csv", ".csv", []byte(c.in))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v; want %s", c.name, got, err, c.want)
		}
	}
	for _, c := range []struct{ name, in, want string }{
		{"blank in front", "\n1\n", "line 1: the line is blank"},
		{"blank after a quoted header", "\"a\nb\"\n\n1\n", "line 3: the line is blank"},
		{"blank line, CRLF", "1\r\n\r\n2\r\n", "line 2: the line is blank"},
		{"blank cell", "1,2\n3,\n", "line 2, column 2: the cell is blank"},
		{"all blank", ",\n1,2\n", "line 1, column 1: the cell is blank"},
		{"spaces", "1\n  \n2\n", "line 2, column 1: the cell is blank"},
		{"half a header", "age,19\n", "line 1, column 1: not a number"},
		{"unit in the first line", "12 kg\n13 kg\n", "line 1, column 1: not a number"},
		{"second header", "age\nyears\n1\n", "line 2, column 1: not a number"},
		{"ragged", "a,b\n1\n", "line 2: 1 column here, 2 above"},
		{"missing values", "age\n19\nNA\n", "line 3, column 1: not a number"},
		{"UTF-16", "\xff\xfe1\x00", "UTF-16"},
		{"Latin-1", "gr\xf6\xdfe\n1\n", "not UTF-8"},
	} {
		_, err := parseData("x.csv", ".csv", []byte(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
}

func FuzzCSV(f *testing.F) {
	for _, s := range []string{"1\n2\n", "a,b\n1,2\n", "\"a\nb\"\n1\n", "\xef\xbb\xbf1", "1\r\n\r\n2", "\"", ",,\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := parseData("x", ".csv", b); err == nil && !json.Valid(got) {
			t.Fatalf("%q gives %q", b, got)
		}
	})
}

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
