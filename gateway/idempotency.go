package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/jobs"
)

// maxKey bounds an Idempotency-Key, in bytes.
const maxKey = 255

// requestKey is the Idempotency-Key of a request (draft-ietf-httpapi-idempotency-key-header), "" where there is none: a
// structured string (RFC 9651 §3.3.3) or, as many clients write it, the same without quotation marks.
func requestKey(r *http.Request) (string, error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	bad := fail(http.StatusBadRequest, "bad-header", `Idempotency-Key: it must be one text of 1 to %d printable ASCII characters, like "8e03978e-40d5-43dd-bc93-6894a57f9324"`, maxKey)
	bad.Field = "Idempotency-Key"
	key, ok := values[0], len(values) == 1
	if len(key) > 0 && key[0] == '"' {
		key, ok = unquoted(key, ok)
	}
	for i := range len(key) {
		ok = ok && key[i] >= 0x20 && key[i] < 0x7f
	}
	if !ok || key == "" || len(key) > maxKey {
		return "", bad
	}
	return key, nil
}

// unquoted reads a structured string; ok as it was, unless it is none.
func unquoted(s string, ok bool) (string, bool) {
	if len(s) < 2 || s[len(s)-1] != '"' {
		return "", false
	}
	var b []byte
	for i := 1; i < len(s)-1; i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s)-1 && (s[i+1] == '"' || s[i+1] == '\\'):
			i++
		case s[i] == '\\' || s[i] == '"':
			return "", false
		}
		b = append(b, s[i])
	}
	return string(b), ok
}

// keyedJob is the identifier of the job that a caller's key stands for, and the digest of the request. Both hang on the
// gateway's own key: the identifier is as hard to guess as a random one, and the digest tells nothing of the data. So the
// job itself is the memory of keys, which a restart keeps and a deletion ends; a table beside it could disagree with it.
func (g *Gateway) keyedJob(caller, key string, body []byte) (id uuid.UUID, asked [32]byte) {
	id = representation.Derive(g.config.Key, caller, "job/"+key)
	id[6] = id[6]&0x0f | 0x40 // version 4, as of every other job
	mac := hmac.New(sha256.New, g.config.Key)
	mac.Write([]byte("weft/v1/request\x00" + caller + "\x00"))
	mac.Write(body)
	return id, [32]byte(mac.Sum(nil))
}

// repeated is the job that an earlier request with the same key has made, if there is one.
func (g *Gateway) repeated(ctx context.Context, id uuid.UUID, asked [32]byte) (j jobs.Job, found bool, err error) {
	j, err = g.config.Jobs.Latest(ctx, id)
	switch {
	case errors.Is(err, jobs.ErrNotFound):
		return j, false, nil
	case err != nil:
		return j, false, err
	case !hmac.Equal(j.Asked[:], asked[:]):
		e := fail(http.StatusUnprocessableEntity, "key-reused", "this Idempotency-Key stands for an earlier request with another body; use a new key for a new request")
		e.Field, e.instance = "Idempotency-Key", jobPath(j)
		return j, true, e
	}
	return j, true, nil
}

// accept submits a job once for each key.
func (g *Gateway) accept(ctx context.Context, q request, keyed bool) (jobs.Job, error) {
	j, err := g.submit(ctx, q)
	if keyed && errors.Is(err, jobs.ErrExists) { // the same request came twice at once
		j, _, err = g.repeated(ctx, q.id, q.asked)
	}
	return j, err
}

// answerPosted answers a submission with the job: at once, or as long as the request prefers to wait for its end. The job
// is stored; so that it cannot end sooner than hoped is no error.
func (g *Gateway) answerPosted(w http.ResponseWriter, r *http.Request, j jobs.Job) error {
	prefer := preferenceOf(r)
	if prefer.wait >= 0 && !j.Terminal() {
		most := min(prefer.wait, g.config.Wait)
		now, _, err := g.await(w, r, j, most, jobs.Job.Terminal)
		switch {
		case err == nil:
			j = now
			w.Header().Add("Preference-Applied", "wait="+strconv.Itoa(int(most/time.Second)))
		case r.Context().Err() != nil:
			return r.Context().Err()
		}
	}
	w.Header().Set("Location", jobPath(j))
	if j.Terminal() {
		return g.writeJob(w, r, http.StatusOK, j)
	}
	if prefer.async {
		w.Header().Add("Preference-Applied", "respond-async")
	}
	return g.writeJob(w, r, http.StatusAccepted, j)
}
