package simon

import "time"

// Timing reads the time-out of one message step and the time limit of the computation from canonical parameters.
func Timing(canonical []byte) (round, limit time.Duration, err error) { panic("todo") }
