package seat

import (
	"errors"
	"fmt"
	"testing"

	"github.com/weftmpc/weft/simon"
)

// A party that has sent what nobody sends who follows the protocol would send it again: that is no reason to try again.
func TestWhatIsRefusedIsNotTriedAgain(t *testing.T) {
	err := fmt.Errorf("computing: %w", &simon.SeatError{Seat: 1, What: "the list", Err: errors.New("is too long")})
	if e := (&AbortedError{Code: abortCode(err), Cause: err}); e.Code != CodeRefused || e.Retry() {
		t.Errorf("code %d, tried again: %t", e.Code, e.Retry())
	}
}
