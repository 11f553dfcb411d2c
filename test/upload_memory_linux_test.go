package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// TestMemoryOfLargeUploads gives a node as large a vector as its gateway takes, 64 MiB of JSON: as an upload of the official
// client, which then computes with it, and as a job. At no moment has the process four times as much memory.
func TestMemoryOfLargeUploads(t *testing.T) {
	const size, most = 64 << 20, 4 * 64 << 10 // bytes of a body; KiB
	for _, tt := range []struct {
		name string
		run  func(t *testing.T, r *rack)
	}{
		{"upload", func(t *testing.T, r *rack) {
			r.request(t, "PUT", "/representations", vector(`{"args":[`, `],"kwargs":{}}`, size), 200)
		}},
		{"upload and download", func(t *testing.T, r *rack) {
			value := r.request(t, "PUT", "/representations", vector(`{"args":[`, `],"kwargs":{}}`, size), 200)
			answer, err := r.client.Get(r.urls["alice"] + "/representation/" + value)
			must(t, err)
			defer answer.Body.Close()
			if n, err := io.Copy(io.Discard, answer.Body); err != nil || n < size-100 {
				t.Errorf("%d bytes, %v", n, err)
			}
		}},
		{"upload and call", func(t *testing.T, r *rack) {
			value := r.request(t, "PUT", "/representations", vector(`{"args":[`, `],"kwargs":{}}`, size), 200)
			simon := r.request(t, "POST", "/representations", []byte(`{"args":[],"kwargs":{"protocol":"Simon"}}`), 200)
			compute := r.request(t, "GET", "/representation/"+simon+"/compute", nil, 200)
			r.request(t, "PATCH", "/representation/"+compute, fmt.Appendf(nil, `{"args":[],"kwargs":{"microprotocol":"StatisticsUnivariate","data":{"representation_uuid":%q},"network":{"nodes":["alice","bob","carol"],"uuid":%q,"myself":0}}}`,
				value, uuid.NewString()), 200)
		}},
		{"job of a vector", func(t *testing.T, r *rack) {
			r.request(t, "POST", "/v1/jobs", vector(`{"microprotocol":"SecureSum","parties":["alice","bob","carol"],"data":`, `}`, size), 202)
		}},
		{"job of samples", func(t *testing.T, r *rack) {
			r.request(t, "POST", "/v1/jobs", vector(`{"microprotocol":"StatisticsUnivariate","parties":["alice","bob","carol"],"data":`, `}`, size), 202)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRack(t, rackOptions{})
			pid := r.procs["alice"].cmd.Process.Pid
			before := statusKiB(t, pid, "VmHWM")
			tt.run(t, r)
			after := statusKiB(t, pid, "VmHWM")
			t.Logf("at most %d MiB of memory, %.2f times the body; %d before", after>>10, float64(after)/(size>>10), before>>10)
			if after >= most {
				t.Errorf("%d MiB of memory, want less than %d", after>>10, most>>10)
			}
		})
	}
}

// vector is a body of just under size bytes, with a list of numbers of 25 digits and more between before and after.
func vector(before, after string, size int) []byte {
	var b bytes.Buffer
	b.Grow(size)
	b.WriteString(before + "[")
	for i := 0; b.Len() < size-60-len(after); i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("1" + strconv.Itoa(1_000_000+i) + ".0625000000000000")
	}
	b.WriteString("]" + after)
	return b.Bytes()
}

// request sends a body to alice's gateway and returns the uuid of the answer, if it has one.
func (r *rack) request(t *testing.T, method, path string, body []byte, status int) string {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, r.urls["alice"]+path, bytes.NewReader(body))
	must(t, err)
	q.Header.Set("Content-Type", "application/json")
	answer, err := r.client.Do(q)
	must(t, err)
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	must(t, err)
	var v struct{ UUID string }
	if answer.StatusCode != status || json.Unmarshal(b, &v) != nil {
		t.Fatalf("%s %s: %d %.300s", method, strings.Split(path, "/")[1], answer.StatusCode, b)
	}
	return v.UUID
}
