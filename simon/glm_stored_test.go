package simon_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/weftmpc/weft/simon"
)

// sameRow is a list of one row many times, which nobody holds in memory.
type sameRow struct {
	row  string
	left int
	rest string
}

func sameRows(n int, row string) io.Reader { return &sameRow{row, n, "["} }

func (e *sameRow) Read(p []byte) (int, error) {
	if e.rest == "" {
		switch e.left--; {
		case e.left < -1:
			return 0, io.EOF
		case e.left == -1:
			e.rest = "]"
		case e.left == 0:
			e.rest = e.row
		default:
			e.rest = e.row + ","
		}
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// The longest numbers take 10 bytes each: a party's rows reach what a job can store long before there are too many of them.
func TestRowsOfRegressionsFitIntoAJob(t *testing.T) {
	const columns, most = 200, 48 << 20
	row := "[1" + strings.Repeat(",923456.71234567891", columns-1) + ",-923456.71234567891]"
	fit := (most - 257*17) / (1 + 10*columns) // a row may be the widest, before it is read
	m := named(t, "LogisticRegression")
	p, err := m.Prepare(sameRows(fit+1, row), nil, simon.Guard{})
	if err != nil || len(p.Input) > most+64<<10 || len(p.Input) < most-1<<20 {
		t.Errorf("%d rows: %d bytes are stored, %v", fit+1, len(p.Input), err)
	}
	_, err = m.Prepare(sameRows(fit+2, row), nil, simon.Guard{})
	var input *simon.InputError
	if !errors.As(err, &input) || input.Path != fmt.Sprintf("data[%d][0]", fit+1) || !strings.Contains(input.Reason, "48 MiB") {
		t.Errorf("%d rows: %v", fit+2, err)
	}
}
