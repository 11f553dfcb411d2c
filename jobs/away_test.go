package jobs

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
)

func TestIsAway(t *testing.T) {
	for err, want := range map[error]bool{
		fmt.Errorf("storing: %w", context.DeadlineExceeded): true, fmt.Errorf("storing: %w", nats.ErrNoResponders): true, nats.ErrTimeout: true,
		ErrNotFound: false, context.Canceled: false, errors.New("another"): false,
	} {
		if IsAway(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}
