package gateway

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/jobs"
)

// jobList is the answer of GET /v1/jobs.
type jobList struct {
	Jobs []jobView `json:"jobs"`
	More bool      `json:"more"`
	Next string    `json:"next,omitempty"` // path and query of the next page
}

// listing is which jobs a client wants to see.
type listing struct {
	state         string
	microprotocol string
	uuid          uuid.UUID // zero: any
	party         string
	limit         int
	after         cursor
}

const (
	usualLimit = 100
	mostLimit  = 1000
)

// readListing checks the query of GET /v1/jobs.
func (g *Gateway) readListing(query url.Values) (listing, error) {
	l := listing{state: query.Get("state"), microprotocol: query.Get("microprotocol"), limit: usualLimit}
	switch l.state {
	case "", "submitted", "held", "waiting", "running", "done", "failed", "cancelled":
	default:
		return l, invalid("state", "it must be submitted, held, waiting, running, done, failed or cancelled")
	}
	ok := true
	if text := query.Get("limit"); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n < 1 || n > mostLimit {
			return l, invalid("limit", "it must be a number from 1 to %d", mostLimit)
		}
		l.limit = int(n)
	}
	if text := query.Get("uuid"); text != "" {
		if l.uuid, ok = representation.ParseUUID(text); !ok {
			return l, invalid("uuid", "it must be a UUID")
		}
	}
	if text := query.Get("party"); text != "" {
		if l.party, ok = g.config.Directory.Resolve(text); !ok {
			return l, invalid("party", "no party here has this name or gateway URL; known are %s", g.known())
		}
	}
	if text := query.Get("after"); text != "" {
		if l.after, ok = readCursor(text); !ok {
			return l, invalid("after", "it must be taken from an earlier answer, whose Link header names the next page")
		}
	}
	return l, nil
}

// has says whether the client wants to see the job, wherever its page begins.
func (l listing) has(j *jobs.Job) bool {
	return (l.state == "" || l.state == stateWord(j.State)) && (l.microprotocol == "" || l.microprotocol == j.Microprotocol) &&
		(l.uuid == uuid.Nil || l.uuid == j.UUID) && (l.party == "" || slices.Contains(j.Parties, l.party))
}

// cursor is the last job of a page: jobs are listed by the time of their submission, newest first, which never changes, so
// that a page begins where the one before has ended whatever comes and goes meanwhile.
type cursor struct {
	created time.Time // zero: before the first
	id      uuid.UUID
}

func cursorOf(j *jobs.Job) cursor { return cursor{j.Created, j.ID} }

// compare orders newer ones first.
func (c cursor) compare(d cursor) int {
	return cmp.Or(d.created.Compare(c.created), bytes.Compare(d.id[:], c.id[:]))
}

func (c cursor) String() string {
	return base64.RawURLEncoding.EncodeToString(append(binary.BigEndian.AppendUint64(nil, uint64(c.created.UnixNano())), c.id[:]...))
}

func readCursor(text string) (cursor, bool) {
	const size = 8 + 16
	if len(text) != base64.RawURLEncoding.EncodedLen(size) {
		return cursor{}, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != size {
		return cursor{}, false
	}
	return cursor{time.Unix(0, int64(binary.BigEndian.Uint64(b))), uuid.UUID(b[8:])}, true
}

// listJobs lists the caller's jobs, newest first, without results.
func (g *Gateway) listJobs(w http.ResponseWriter, r *http.Request) error {
	query, err := readQuery(r, "state", "microprotocol", "uuid", "party", "limit", "after")
	if err != nil {
		return err
	}
	l, err := g.readListing(query)
	if err != nil {
		return err
	}
	if err := dropBody(w, r); err != nil {
		return err
	}
	page, err := g.config.Jobs.Select(r.Context(), listedFor(r.Context()), func(j *jobs.Job) bool {
		return l.has(j) && (l.after.created.IsZero() || cursorOf(j).compare(l.after) > 0)
	}, func(a, b *jobs.Job) int { return cursorOf(a).compare(cursorOf(b)) }, l.limit+1)
	if err != nil {
		return err
	}
	answer := jobList{Jobs: []jobView{}}
	var last *jobs.Job
	for i := range page {
		j := &page[i]
		if answer.More = len(answer.Jobs) == l.limit; answer.More {
			break
		}
		answer.Jobs, last = append(answer.Jobs, g.view(*j)), j
	}
	if answer.More {
		query.Set("after", cursorOf(last).String())
		answer.Next = "/v1/jobs?" + query.Encode()
		w.Header().Set("Link", "<"+answer.Next+`>; rel="next"`) // RFC 8288
	}
	return write(w, mustJSON(answer))
}
