package gateway

import (
	"context"
	"net"
)

// Serve answers requests on l until ctx ends, then drains and returns within a second: waiting downloads get 503, other
// running requests are given what is left of that second. Its error is nil after an orderly end.
func (g *Gateway) Serve(ctx context.Context, l net.Listener) error { panic("todo") }
