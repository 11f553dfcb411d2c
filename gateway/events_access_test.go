package gateway

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
)

// A stream of events has the jobs that its listener may see: a data owner's all, an analyst's own.
func TestEventsOfForeignJobs(t *testing.T) {
	p, who := newGuarded(t, nil)
	url, stop := p.serve()
	defer stop()
	streams := map[string]*bufio.Scanner{}
	for _, name := range []string{"analyst", "data-owner"} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, "GET", url+"/v1/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+who.tokens[name])
		transport := &http.Transport{DisableKeepAlives: true}
		res, err := transport.RoundTrip(r)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%v %v", res, err)
		}
		defer res.Body.Close()
		streams[name] = bufio.NewScanner(res.Body)
	}
	foreign, own := p.jobOf("token:"+stranger), p.jobOf("token:analyst")
	// first is the job of the first event.
	first := func(s *bufio.Scanner) string {
		for s.Scan() {
			if strings.HasPrefix(s.Text(), "data:") {
				return s.Text()
			}
		}
		return ""
	}
	if e := first(streams["data-owner"]); !strings.Contains(e, foreign) {
		t.Errorf("a data owner hears %s", e)
	}
	if e := first(streams["analyst"]); !strings.Contains(e, own) {
		t.Errorf("an analyst hears %s", e)
	}
}
