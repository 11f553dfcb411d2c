package gateway

import "net/http"

// recorded is an answer on its way that remembers its status.
type recorded struct {
	http.ResponseWriter
	status int // 0: nothing was answered yet
}

// WriteHeader implements http.ResponseWriter.
func (r *recorded) WriteHeader(code int) {
	if r.status == 0 {
		r.status = code
	}
	r.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (r *recorded) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorded) Unwrap() http.ResponseWriter { return r.ResponseWriter }
