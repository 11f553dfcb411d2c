package table

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

func read(extension, in string) (string, error) {
	r, err := New(extension, strings.NewReader(in))
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	if (err != nil) != (r.Err() != nil) {
		return "", fmt.Errorf("Err says %v, Read %v", r.Err(), err) //nolint:errorlint // for a person
	}
	return string(b), err
}

func TestNumbersKeepTheirText(t *testing.T) {
	for in, want := range map[string]string{
		"19": "19", "-5": "-5", "0": "0", "-0": "-0", "1.50": "1.50", "1e5": "1e5", "1E+05": "1E+05", "0.1": "0.1",
		"9007199254740993":         "9007199254740993", // float64 would say …992
		"0.1000000000000000055511": "0.1000000000000000055511",
		// what JSON cannot say as it stands
		"+5": "5", "007": "7", "-007.50": "-7.50", ".5": "0.5", "-.5": "-0.5", "5.": "5", "00": "0", "+.5e-3": "0.5e-3", "5.e2": "5e2",
	} {
		if got, ok := Number(in); !ok || got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, ok, want)
		}
	}
	for _, in := range []string{"", "-", "+", ".", "e5", "1e", "1e+", "1.2.3", "1,5", "0x10", "1_000", "NaN", "Inf", "--5", "+-5", "1 2", "١", "5 kg"} {
		if got, ok := Number(in); ok || got != "" {
			t.Errorf("%q is taken for %q", in, got)
		}
	}
}

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"19", "-0.50e+3", "+.5", "007", "5.", "1e", "١"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := Number(s)
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

		{"text", "city\nUlm\n Köln \n", `["Ulm","Köln"]`},
		{"text and numbers", "sex,age\nf,19\nm,061\n", `[["f",19],["m",61]]`},
		{"numbers in a text column are text", "code\nA1\n007\n1.50\n", `["A1","007","1.50"]`},
		{"no header beside a number", "age,19\nage,20\n", `[["age",19],["age",20]]`},
		{"text that begins with a digit", "12 kg\n13 kg\n", `["12 kg","13 kg"]`},
		{"age groups", "group\n0-9\n10-19\n", `["0-9","10-19"]`},
		{"two lines of names", "age\nyears\n1\n", `["years","1"]`},
		{"text that JSON escapes", "a\n\"he said \"\"no\"\"\"\na\\b\n\"1\n2\"\n", `["he said \"no\"","a\\b","1\n2"]`},
		{"text with commas", "a,b\n\"x, y\",1\n", `[["x, y",1]]`},
		{"a text column with a semicolon below others", "a,b\nx;y,1\n", `[["x;y",1]]`},
	} {
		got, err := read(".csv", c.in)
		if err != nil || got != c.want {
			t.Errorf("%s: %s, %v; want %s", c.name, got, err, c.want)
		}
	}
	for _, c := range []struct{ name, in, want string }{
		{"empty", " \n\n", "the file is empty"},
		{"header alone", "age,height\n", "the file has a header and nothing below it"},
		{"blank in front", "\n1\n", "line 1: the line is blank"},
		{"blank after a quoted header", "\"a\nb\"\n\n1\n", "line 3: the line is blank"},
		{"blank after a quoted cell", "a\nx\n\"y\r\n\"\n\nz\n", "line 5: the line is blank"},
		{"blank line, CRLF", "1\r\n\r\n2\r\n", "line 2: the line is blank"},
		{"blank cell", "1,2\n3,\n", "line 2, column 2: the cell is blank"},
		{"blank cell of a text column", "a,b\nx,2\n ,3\n", "line 3, column 1: the cell is blank"},
		{"all blank", ",\n1,2\n", "line 1, column 1: the cell is blank"},
		{"spaces", "1\n  \n2\n", "line 2, column 1: the cell is blank"},
		{"text in a column of numbers", "sex,age\nf,19\nm,young\n", "line 3, column 2: not a number"},
		{"ragged", "a,b\n1\n", "line 2: 1 column here, 2 above"},
		{"missing values", "age\n19\nNA\n", "line 3, column 1: not a number"},
		{"semicolons", "sex;age\nf;19\n", "line 2, column 1: not a number"},
		{"semicolons and decimal commas", "19;1,80\n20;1,75\n", "line 1, column 1: not a number"},
		{"decimal comma", "height\n\"1,80\"\n", "line 2, column 1: not a number"},
		{"UTF-16", "\xff\xfe1\x00", "the file is UTF-16 text"},
		{"Latin-1", "gr\xf6\xdfe\n1\n", "the file is not UTF-8 text"},
		{"half a character at the end", "1\n\xc3", "the file is not UTF-8 text"},
		{"Latin-1 far behind", "a\n" + strings.Repeat("1\n", 1<<18) + "\xf6\n", "the file is not UTF-8 text"},
		{"an open quotation mark", "a\n\"" + strings.Repeat("1\n", 1<<20), "line 2: the line has more than 1048576 bytes"},
		{"a long line", "a\n1\n" + strings.Repeat("1", 2<<20), "line 3: the line has more than 1048576 bytes"},
		{"half a quotation", "1\n\"2\n", "line 2, column 4: extraneous or missing \" in quoted-field"},
	} {
		_, err := read(".csv", c.in)
		if e := (*Error)(nil); !errors.As(err, &e) || e.Error() != c.want {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := read(".csv", "a\n"+strings.Repeat("1", 1<<20-2)+"\n"); err != nil {
		t.Errorf("a line of 1 MiB: %v", err)
	}
}

func TestForm(t *testing.T) {
	for _, c := range []struct{ extension, in, want string }{
		{".json", " [1,\n2.0] \n", " [1,\n2.0] \n"},
		{".json", "1\n2\n", "1\n2\n"}, // no JSON, and its reader says so
		{".JSON", "\xef\xbb\xbf19", "19"},
		{".CSV", "19", "[19]"},
		{".dat", "1\n2", "[1,2]"},
		{".dat", "19", "19"},
		{"", ` {"a":1}`, ` {"a":1}`},
		{"", "a,b\n1,2\n", "[[1,2]]"},
	} {
		if got, err := read(c.extension, c.in); err != nil || got != c.want {
			t.Errorf("%s %q: %q, %v; want %q", c.extension, c.in, got, err, c.want)
		}
	}
}

// However the bytes come, the text is the same.
func TestPieces(t *testing.T) {
	in := "größe,stück\n" + strings.Repeat("ü,19\n€,20\n𝄞,21\n", 10000)
	want, err := read(".csv", in)
	if err != nil || !json.Valid([]byte(want)) {
		t.Fatal(err)
	}
	for name, piece := range map[string]func(io.Reader) io.Reader{"bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "end with data": iotest.DataErrReader} {
		r, err := New(".csv", piece(strings.NewReader(in)))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(iotest.HalfReader(r)); err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
		}
	}
}

func TestReadingFails(t *testing.T) {
	gone := errors.New("gone")
	for _, in := range []string{"1\n", "1\n" + strings.Repeat("22\n", 1<<17), "1\n\xc3"} {
		for _, extension := range []string{".csv", ".json"} {
			r, err := New(extension, io.MultiReader(strings.NewReader(in), iotest.ErrReader(gone)))
			if err == nil {
				_, err = io.ReadAll(r)
			}
			if !errors.Is(err, gone) {
				t.Errorf("%d bytes of %s, then an error: %v", len(in), extension, err)
			}
		}
	}
}

func TestLines(t *testing.T) {
	for _, c := range []struct {
		in       string
		row, all int
		want     int
	}{
		{"1\n2\n3\n", 1, 3, 2},
		{"a\n1\n2\n", 1, 2, 3},
		{"\"a\nb\"\n1\n2\n", 1, 2, 4},
		{"a\n1\n2\n", 2, 2, 0},
		{"a\nx\n\"y\nz\"\nx\n", 2, 3, 0},
	} {
		r, err := New(".csv", strings.NewReader(c.in))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		if got := r.Line(c.row); got != c.want {
			t.Errorf("%q: row %d of %d is on line %d, want %d", c.in, c.row, c.all, got, c.want)
		}
	}
}

// repeated is a text many times over, which nothing holds in memory.
type repeated struct {
	text string
	at   int
	left int64 // bytes
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), r.left)], r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	r.left -= int64(n)
	return n, nil
}

// A file of 64 MiB takes less than 1 MiB of memory at any time.
func TestMemory(t *testing.T) {
	const line = "f,1234.5678\n"
	r, err := New(".csv", &repeated{text: line, left: int64(len(line)) * (64 << 20 / int64(len(line)))})
	if err != nil {
		t.Fatal(err)
	}
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var total int64
	for step := int64(8 << 20); ; {
		n, err := io.CopyN(io.Discard, r, step)
		total += n
		runtime.GC()
		runtime.ReadMemStats(&now)
		if now.HeapAlloc > before.HeapAlloc+1<<20 {
			t.Fatalf("after %d bytes: %d bytes of heap more", total, now.HeapAlloc-before.HeapAlloc)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if want := int64(64<<20/len(line))*int64(len(`["f",1234.5678],`)) + 1; total != want {
		t.Errorf("%d bytes of JSON, want %d", total, want)
	}
}

func FuzzCSV(f *testing.F) {
	for _, s := range []string{"1\n2\n", "a,b\n1,2\n", "\"a\nb\"\n1\n", "\xef\xbb\xbf1", "1\r\n\r\n2", "\"", ",,\n", "a,b\nx,1\n", "a\n\"\x01\"\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := read(".csv", string(b)); err == nil && !json.Valid([]byte(got)) {
			t.Fatalf("%q gives %q", b, got)
		}
	})
}

func BenchmarkCSV(b *testing.B) {
	const line = "1234.56\n"
	b.SetBytes(int64(len(line)))
	r, err := New(".csv", &repeated{text: line, left: int64(len(line)) * int64(b.N)})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		b.Fatal(err)
	}
}
