package gateway

import (
	"context"
	"testing"
	"time"
)

// A store that does not answer in time is no defect: clients are asked to come again, and the log says why.
func TestStoreThatDoesNotAnswer(t *testing.T) {
	p := newParty(t, nil)
	p.broker.Server.Shutdown()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	a, err := p.try(ctx, "PUT", "/representations", `{"args":[1]}`)
	if err != nil {
		t.Fatal(err)
	}
	p.want(a, 503, "does not answer at present")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}
