package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/weftmpc/weft/jobs"
	"github.com/weftmpc/weft/simon"
)

// shelf is a folder of files in memory.
type shelf map[string]func() (io.ReadCloser, error)

func (s shelf) Folder() string { return "/srv/data" }

func (s shelf) Open(name string) (io.ReadCloser, error) {
	if s[name] == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return s[name]()
}

func holds(text string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
}

func fails(err error) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return nil, err }
}

// readFunc is a file whose Read is a function.
type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }
func (f readFunc) Close() error               { return nil }

func (p *party) file(name string) answer {
	p.t.Helper()
	return p.do("POST", "/v1/jobs", fmt.Sprintf(`{"microprotocol":"Add","file":%q,"parties":["alice","bob"]}`, name))
}

func TestJobFromAFile(t *testing.T) {
	const name = "secret-study.csv"
	p := newParty(t, func(c *Config) {
		c.Files = shelf{
			name: holds("age\n48151623\n2.50\n"), "2026/x.json": holds(" [1,2]\n"), "mixed.csv": holds("f,1\n"),
			"bare": holds("1\n2\n"),
		}
	})
	for file, want := range map[string]string{name: "[48151623,2.50]", "2026/x.json": " [1,2]\n", "bare": "[1,2]"} {
		a := p.file(file)
		p.want(a, 202, `"state":"submitted"`)
		if strings.Contains(a.body, "secret") {
			t.Errorf("the answer holds the name: %s", a.body)
		}
	list:
		for _, j := range p.all() {
			if j.ID == p.view(a).ID {
				if input, err := p.jobs.Read(t.Context(), j.Input); err != nil || string(input) != want {
					t.Errorf("%s: the input is %q, %v; want %q", file, input, err, want)
				}
				if strings.Contains(fmt.Sprintf("%+v", j), "study") {
					t.Errorf("the job holds the name: %+v", j)
				}
				break list
			}
		}
	}
	p.want(p.do("GET", "/v1/parties", ""), 200, `"files":"/srv/data"`)
	before := p.count()
	p.want(p.file("mixed.csv"), 400, `data[3]: a number was expected`)
	if p.count() != before {
		t.Error("bad data left something behind")
	}
	if log := p.log.String(); strings.Contains(log, "study") || strings.Contains(log, secretValue) {
		t.Errorf("the log holds the file's name or data:\n%s", log)
	}
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	p := newParty(t, func(c *Config) {
		c.Files = shelf{
			"blank.csv":   holds("a\n1\n \n"),
			"word.csv":    holds("a\n1\n" + secretValue + "x\n"),
			"header.csv":  holds("a\n"),
			"empty.json":  holds(""),
			"latin.csv":   holds("a\n\xf6\n"),
			"two.json":    holds("[1] [2]"),
			"value.csv":   holds("a\nx\nx\nx\nx\n"),
			"closed.csv":  fails(&fs.PathError{Op: "open", Path: "closed.csv", Err: fs.ErrPermission}),
			"fifo.csv":    fails(fs.ErrInvalid),
			"many.csv":    fails(&fs.PathError{Op: "open", Path: "many.csv", Err: errors.New("too many open files")}),
			"broken.csv":  func() (io.ReadCloser, error) { return readFunc(breaks("1\n")), nil },
			"broken.json": func() (io.ReadCloser, error) { return readFunc(breaks("[1")), nil },
		}
		// It reads one value and looks no further.
		c.Catalogue = append(c.Catalogue, careless(c.Catalogue[0]))
	})
	for _, c := range []struct {
		name string
		code int
		want string
	}{
		{"blank.csv", 400, `"detail":"file: line 3, column 1: the cell is blank; every line must hold a value in each column: fill it in or remove the line","reason":"invalid-file","field":"file"`},
		{"word.csv", 400, "file: line 3, column 1: not a number"},
		{"header.csv", 400, "file: the file has a header and nothing below it"},
		{"empty.json", 400, "file: the file is empty"},
		{"latin.csv", 400, "file: the file is not UTF-8 text; save it as UTF-8"},
		{"value.csv", 400, "data[3]: a number was expected (line 5 of the file)"},
		{"closed.csv", 400, "file: this node is not allowed to read it"},
		{"none.csv", 400, "file: there is no such file in this node's folder"},
		{"fifo.csv", 400, "file: it must be a file inside this node's folder"},
		{"../x.csv", 400, "file: it must be a file inside this node's folder"},
		{"/etc/passwd", 400, "file: it must be a file inside this node's folder"},
		{"a//b", 400, "file: it must be a file inside this node's folder"},
		{strings.Repeat("a", 2000), 400, "file: it must be a file inside this node's folder"},
		{"", 400, "file: it must be the name of a file"},
		{"many.csv", 500, "reading the file failed"},
		{"broken.csv", 500, "reading the file failed"},
		{"broken.json", 500, "reading the file failed"},
	} {
		p.want(p.file(c.name), c.code, c.want)
	}
	p.want(p.do("POST", "/v1/jobs", `{"microprotocol":"Careless","file":"two.json","parties":["alice","bob"]}`), 400, "it has more text after the value")
	p.want(p.do("POST", "/v1/jobs", `{"microprotocol":"Add","file":7,"parties":["alice","bob"]}`), 400, "file: it must be the name of a file")
	p.want(p.do("POST", "/v1/jobs", `{"microprotocol":"Add","file":"a","data":[1],"parties":["alice","bob"]}`), 400, "a job has either data or file")
	if n := p.count(); n != 0 {
		t.Errorf("%d objects are stored", n)
	}
	log := p.log.String()
	for _, bad := range []string{".csv", ".json", secretValue} {
		if strings.Contains(log, bad) {
			t.Errorf("the log holds %q:\n%s", bad, log)
		}
	}
	if !strings.Contains(log, "too many open files") || !strings.Contains(log, "the disk is gone") {
		t.Errorf("the log does not say why:\n%s", log)
	}
	p.want(newParty(t, nil).file("a.csv"), 400, "file: this node has no folder of files")
}

// breaks is a file of which only the beginning can be read.
func breaks(text string) func([]byte) (int, error) {
	r := strings.NewReader(text)
	return func(b []byte) (int, error) {
		if n, err := r.Read(b); err == nil {
			return n, nil
		}
		return 0, &fs.PathError{Op: "read", Path: "broken.csv", Err: errors.New("the disk is gone")}
	}
}

// endless is a file without end, and tells when it is read.
func endless() (_ func() (io.ReadCloser, error), begun <-chan struct{}) {
	c, once := make(chan struct{}), sync.Once{}
	return func() (io.ReadCloser, error) {
		return readFunc(func(b []byte) (int, error) {
			once.Do(func() { close(c) })
			for i := range b {
				b[i] = "1\n"[i%2]
			}
			return len(b) &^ 1, nil
		}), nil
	}, c
}

func TestReadingEndsWithTheGateway(t *testing.T) {
	file, begun := endless()
	p := newParty(t, func(c *Config) {
		c.Files = shelf{"endless.csv": file}
		c.Catalogue = append(c.Catalogue, careless(c.Catalogue[0]))
	})
	got := make(chan answer)
	go func() {
		got <- p.do("POST", "/v1/jobs", `{"microprotocol":"Careless","file":"endless.csv","parties":["alice","bob"]}`)
	}()
	<-begun
	p.gateway.Drain()
	p.want(<-got, 503, "shutting down")
}

func TestReadingEndsWithTheClient(t *testing.T) {
	file, begun := endless()
	p := newParty(t, func(c *Config) {
		c.Files = shelf{"endless.csv": file}
		c.Catalogue = append(c.Catalogue, careless(c.Catalogue[0]))
	})
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := p.try(ctx, "POST", "/v1/jobs", `{"microprotocol":"Careless","file":"endless.csv","parties":["alice","bob"]}`)
		left <- err
	}()
	<-begun
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	// All places are free again, once the gateway has noticed.
	l := loan{of: p.gateway.files, ends: p.gateway.draining}
	if err := l.take(t.Context(), filesAtOnce); err != nil {
		t.Error(err)
	}
	l.giveBack()
}

func TestFilesAreReadFewAtATime(t *testing.T) {
	more, opened := make(chan struct{}), make(chan struct{})
	p := newParty(t, func(c *Config) {
		c.Files = shelf{"slow.csv": func() (io.ReadCloser, error) {
			opened <- struct{}{}
			<-more
			return io.NopCloser(strings.NewReader("1\n")), nil
		}}
	})
	p.gateway.files.wait = time.Millisecond
	got := make(chan answer)
	for range filesAtOnce {
		go func() { got <- p.file("slow.csv") }()
		<-opened
	}
	a := p.file("slow.csv")
	p.want(a, 503, "send this one again")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	close(more)
	for range filesAtOnce {
		p.want(<-got, 202, "submitted")
	}
}

// A file that takes longer than the server's time-outs is answered all the same.
func TestReadingMayTakeLong(t *testing.T) {
	p := newParty(t, func(c *Config) {
		c.Files = shelf{"slow.csv": func() (io.ReadCloser, error) {
			<-time.After(300 * time.Millisecond)
			return io.NopCloser(strings.NewReader("1\n")), nil
		}}
	})
	p.server.Close()
	p.server = newServer(p, func(s *http.Server) { s.ReadTimeout, s.WriteTimeout = 100*time.Millisecond, 100*time.Millisecond })
	p.want(p.file("slow.csv"), 202, "submitted")
}

// all are the jobs that are stored.
func (p *party) all() []jobs.Job {
	p.t.Helper()
	list, err := p.jobs.List(p.t.Context(), "")
	if err != nil {
		p.t.Fatal(err)
	}
	return list
}

// careless is a microprotocol that reads one JSON value as it comes, holds nothing of it and looks no further.
func careless(m simon.Microprotocol) simon.Microprotocol {
	next := m.Prepare
	m.Name = "Careless"
	m.Prepare = func(data io.Reader, parameters json.RawMessage, g simon.Guard) (simon.Prepared, error) {
		depth := 0
		for d := json.NewDecoder(iotest.OneByteReader(data)); ; {
			token, err := d.Token()
			if err != nil {
				return simon.Prepared{}, err
			}
			switch token {
			case json.Delim('['):
				depth++
			case json.Delim(']'):
				depth--
			}
			if depth == 0 {
				return next(strings.NewReader("[]"), parameters, g)
			}
		}
	}
	return m
}

// Where the folder lies on the node's machine is told to those who compute with its files, and to no viewer.
func TestTheFolderIsNoViewersBusiness(t *testing.T) {
	p, who := newGuarded(t, func(c *Config) { c.Files = shelf{} })
	for name, told := range map[string]bool{"viewer": false, "analyst": true, "data-owner": true, "admin": true} {
		a := p.do("GET", "/v1/parties", "", who.as(name))
		if p.want(a, 200, `"self":"alice"`); strings.Contains(a.body, "/srv/data") != told {
			t.Errorf("%s: %s", name, a.body)
		}
	}
}
