package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/weftmpc/weft/simon"
)

// A client that goes away while its data are read leaves no work behind.
func TestPreparingEndsWithTheClient(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	read := 0
	m := addThem("Slow", 2, 0)
	m.Prepare = func(data io.Reader, _ json.RawMessage, _ simon.Guard) (simon.Prepared, error) {
		b := make([]byte, 1<<10)
		for {
			n, err := data.Read(b)
			read += n
			if err != nil { // as the end of data that are cut off, too
				return simon.Prepared{}, &simon.InputError{Path: "data", Reason: "ends without its closing bracket"}
			}
			leave()
		}
	}
	p := newParty(t, nil)
	_, err := p.gateway.prepare(ctx, request{microprotocol: &m, data: []byte(strings.Repeat("1", 1<<20))})
	if !errors.Is(err, context.Canceled) || read != 1<<10 {
		t.Errorf("%d bytes were read: %v", read, err)
	}
}
