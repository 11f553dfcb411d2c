package gateway

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weftmpc/weft/simon"
)

// watch is a clock that the test moves. Only one goroutine asks it at a time.
type watch struct{ now time.Time }

func withFrequency(c *Config) {
	for _, m := range simon.Catalogue() {
		if m.Name == "StatisticsFrequency" {
			c.Catalogue = append(c.Catalogue, m)
		}
	}
}

// frequency asks for the frequencies of a file or, where it is data, of these.
func (p *party) frequency(source, categories string) answer {
	p.t.Helper()
	return p.do("POST", "/v1/jobs", fmt.Sprintf(`{"microprotocol":"StatisticsFrequency",%s,"parties":["alice","bob"],"parameters":{"categories":%s}}`, source, categories))
}

// Who may only compute with a file does not learn by parameters what stands where.
func TestFilesAreNotReadByParameters(t *testing.T) {
	p := newParty(t, func(c *Config) {
		withFrequency(c)
		c.Files = shelf{"study.csv": holds("city\nulm\n" + secretValue + "\nulm\n"), "study.json": holds(`["ulm","` + secretValue + `"]`)}
	})
	p.want(p.frequency(`"data":["ulm","kiel"]`, `["ulm"]`), 400, `"detail":"data[1]: is no category`)
	for _, name := range []string{"study.csv", "study.json"} {
		var first answer
		for i, categories := range []string{`["ulm"]`, `["kiel"]`, `["` + secretValue + `"]`} {
			a := p.frequency(`"file":"`+name+`"`, categories)
			p.want(a, 400, `"detail":"file: there is a value that is no category of parameters.categories`)
			if i == 0 {
				first = a
			}
			if a.body != first.body || strings.Contains(a.body, "data[") || strings.Contains(a.body, "line") {
				t.Errorf("the answer tells where the value stands:\n%s\n%s", first.body, a.body)
			}
		}
	}
	log := p.log.String()
	if n := strings.Count(log, `level=WARN msg="gateway: a file was refused" caller=anyone microprotocol=StatisticsFrequency reason="a value against parameters"`); n != 6 {
		t.Errorf("%d of 6 refusals are in the log:\n%s", n, log)
	}
	if strings.Contains(log, "study") || strings.Contains(log, secretValue) || strings.Contains(log, "ulm") {
		t.Errorf("the log holds the file's name or data:\n%s", log)
	}
}

func TestRefusedFilesAreBounded(t *testing.T) {
	w := &watch{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	p := newParty(t, func(c *Config) {
		withFrequency(c)
		c.Now = func() time.Time { return w.now }
		c.Files = shelf{"a.csv": holds("city\nulm\n"), "bad.csv": holds("1\nx\n")}
	})
	good, other := func() answer { return p.frequency(`"file":"a.csv"`, `["ulm"]`) }, func() answer { return p.frequency(`"file":"a.csv"`, `["kiel"]`) }
	for i := range mostRefusals {
		switch i {
		case 3:
			p.want(p.file("bad.csv"), 400, "not a number")
		case 4:
			p.want(p.frequency(`"file":"a.csv"`, `7.5`), 400, "parameters.categories")
		default:
			p.want(other(), 400, "there is a value")
		}
		p.want(p.file("none.csv"), 400, "there is no such file") // tells nothing of a file
		if i < 3 {
			p.want(good(), 202, "submitted")
		}
		w.now = w.now.Add(time.Second)
	}
	for _, ask := range []func() answer{other, good} {
		a := ask()
		p.want(a, 429, `"reason":"too-many-refused"`)
		if a.header.Get("Retry-After") != strconv.Itoa(int(refusalTime.Seconds())-mostRefusals) {
			t.Errorf("Retry-After is %s", a.header.Get("Retry-After"))
		}
	}
	p.want(p.frequency(`"data":["ulm"]`, `["ulm"]`), 202, "submitted")
	w.now = w.now.Add(refusalTime - mostRefusals*time.Second)
	p.want(other(), 400, "there is a value")
	p.want(good(), 429, "too-many-refused")
	w.now = w.now.Add(refusalTime)
	p.want(good(), 202, "submitted")
}

func TestRefusalsByCaller(t *testing.T) {
	var r refusals
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	spend := func(caller string) (n int) {
		for {
			if _, wait := r.begin(caller, now); wait > 0 {
				return n
			}
			n++
		}
	}
	for i := range mostRefused {
		if i > 9 { // as those before
			r.begin(fmt.Sprint("caller ", i), now)
		} else if n := spend(fmt.Sprint("caller ", i)); n != mostRefusals {
			t.Fatalf("caller %d could be refused %d times", i, n)
		}
	}
	// No room is left to count further ones apart, and no room is made by forgetting the others.
	if n := spend("one") + spend("two") + spend("caller 0"); n != mostRefusals {
		t.Errorf("callers beyond could be refused %d times together", n)
	}
	if n := len(r.callers); n > mostRefused+1 {
		t.Errorf("%d callers are counted", n)
	}
	now = now.Add(refusalTime)
	tried, wait := r.begin("one", now)
	if wait != 0 || len(r.callers) != 1 {
		t.Errorf("later: wait %d, %d callers", wait, len(r.callers))
	}
	tried.passed()
	if n := spend("one"); n != mostRefusals {
		t.Errorf("after one that was not refused: %d", n)
	}
}
