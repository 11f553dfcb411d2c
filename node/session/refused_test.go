package session

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/weftmpc/weft/simon"
)

// What a protocol refuses is called by the name of the party that has sent it.
func TestRefusedSenderIsNamed(t *testing.T) {
	l := newLab(t, 3, labOptions{})
	defer l.close()
	_, errs := l.play(func(_ context.Context, s simon.Session) ([]byte, error) {
		return nil, &simon.SeatError{Seat: (s.Self() + 1) % 3, What: "the list", Err: errors.New("is too long")}
	})
	for seat, err := range errs {
		if want := "the list of " + labName((seat+1)%3) + ": is too long"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("seat %d: %v, want %s", seat, err, want)
		}
	}
}
