package gateway

import (
	_ "embed"
	"net/http"
	"strings"
)

//go:embed openapi.yaml
var openAPI []byte

// openAPI answers with the description of all paths (OpenAPI 3.1).
func (g *Gateway) openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	return write(w, openAPI)
}

type health struct {
	Status  string `json:"status"`
	Party   string `json:"party,omitempty"`
	Version string `json:"version,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

// healthz says that the process answers.
func (g *Gateway) healthz(w http.ResponseWriter, _ *http.Request) error {
	return write(w, mustJSON(health{Status: "ok", Party: g.config.Directory.Self(), Version: g.config.Version}))
}

// readyz says whether a computation sent now would be taken up.
func (g *Gateway) readyz(w http.ResponseWriter, _ *http.Request) error {
	reason := g.unready()
	if reason == "" {
		return write(w, mustJSON(health{Status: "ready"}))
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	return write(w, mustJSON(health{Status: "not ready", Reason: reason}))
}

// unready is why a computation sent now would not be taken up, with one part for each thing that is missing; "" if it would.
func (g *Gateway) unready() string {
	if g.refusing() {
		return "shutting down"
	}
	if g.config.Ready != nil {
		if err := g.config.Ready(); err != nil {
			return strings.ReplaceAll(err.Error(), "\n", "; ") // of errors.Join
		}
	}
	return ""
}
