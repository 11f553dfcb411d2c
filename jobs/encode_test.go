package jobs

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

func fullJob() Job {
	j := sample("caller")
	j.ID, j.State, j.Created = uuid.New(), Cancelled, time.Date(2026, 11, 21, 12, 0, 0, 5, time.UTC)
	j.Attempt, j.Boot, j.Issued, j.SID, j.Waiting, j.CancelRequested = 2, "boot", -7, [32]byte{9}, []string{"carol"}, true
	j.Input, j.Opened = Body{Inline: []byte("in"), Size: 2}, Body{Object: "job-x", Size: 1 << 20}
	j.Asked, j.WaitingSince, j.StartedAt, j.Step, j.Steps = [32]byte{8}, j.Created, j.Deadline, 2, 3
	j.Trace = Trace{ID: [16]byte{7}, Span: [8]byte{6}, Flags: 1}
	j.Approval = Approval{Since: j.Created, ByCaller: true, Verdict: Denied, By: "olga", At: j.Deadline, Reason: "not this study"}
	j.CommittedAt, j.Ended, j.Problem = j.Created, j.Deadline, &Problem{Code: 409, Reason: "replaced", Message: "use a new uuid"}
	return j
}

func fullLine() Line {
	l := Line{
		SID: [32]byte{1, 2}, Job: uuid.New(), UUID: uuid.New(), Own: [32]byte{3}, State: LineCommitted, Self: 2, Parties: 3, Recipients: []int{0, 2},
		TH: [32]byte{4}, RH: [32]byte{5}, Until: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Kept: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
	}
	for i, name := range []string{"alice", "bob", "carol", "dealer"} {
		l.Participants = append(l.Participants, Participant{FP: [32]byte{byte(i), 1}, Key: [32]byte{byte(i), 2}, Name: name})
	}
	l.Notices = [][]byte{nil, []byte("confirm of bob"), nil, []byte("abort")}
	return l
}

func TestRecordsKeepEveryField(t *testing.T) {
	j := fullJob()
	b, err := j.encode("1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeJob("9", j.ID.String(), b, 77)
	j.Revision = 77
	if err != nil || !reflect.DeepEqual(got, j) {
		t.Fatalf("%v\n%s\nwant\n%s", err, plain(got), plain(j))
	}
	for i := range reflect.TypeFor[Job]().NumField() {
		if f := reflect.ValueOf(got).Field(i); f.IsZero() && reflect.TypeFor[Job]().Field(i).Name != "Result" {
			t.Errorf("%s is not covered by this test", reflect.TypeFor[Job]().Field(i).Name)
		}
	}

	l := fullLine()
	if b, err = l.encode("1.2.3"); err != nil {
		t.Fatal(err)
	}
	line, err := decodeLine("9", lineKey(l.SID), b, 78)
	l.Revision = 78
	if err != nil || !reflect.DeepEqual(line, l) {
		t.Fatalf("%v\n%+v\nwant\n%+v", err, line, l)
	}
}

// Records that an earlier weft wrote are read.
func TestEarlierFormatsAreRead(t *testing.T) {
	const (
		fourth = 8 + 1 + 1 + (4 + 4) + 8 + (4 + 14) // bytes of the fields that format 4 has added at the end
		third  = 16 + 8 + 1                         // and those of format 3 before them
		second = 32 + 8 + 8 + 4 + 4                 // and those of format 2 before them
	)
	j := fullJob()
	b, err := j.encode("1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	j.Revision = 77
	for _, x := range []struct {
		format byte
		less   int
		forget func()
	}{
		{3, fourth, func() { j.Approval = Approval{} }},
		{2, fourth + third, func() { j.Trace = Trace{} }},
		{1, fourth + third + second, func() {
			j.Asked, j.WaitingSince, j.StartedAt, j.Step, j.Steps = [32]byte{}, time.Time{}, time.Time{}, 0, 0
		}},
	} {
		x.forget()
		earlier := bytes.Clone(b[:len(b)-x.less])
		earlier[0] = x.format
		got, err := decodeJob("9", j.ID.String(), earlier, 77)
		if err != nil || !reflect.DeepEqual(got, j) {
			t.Fatalf("format %d: %v\n%s\nwant\n%s", x.format, err, plain(got), plain(j))
		}
	}
}

func TestLargestRecordFits(t *testing.T) {
	j := fullJob()
	full := Body{Inline: make([]byte, MaxInline), Size: MaxInline}
	j.Input, j.Opened, j.Result, j.Parameters = full, full, full, make([]byte, maxParameters)
	j.Parties, j.Waiting = nil, nil
	for range maxParties {
		j.Parties = append(j.Parties, strings.Repeat("p", maxName))
	}
	j.Waiting = j.Parties
	j.Problem.Message = strings.Repeat("é", maxMessage)
	b, err := j.encode(strings.Repeat("v", 99))
	if err != nil || len(b) > 300<<10 {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	got, err := decodeJob("1", j.ID.String(), b, 1)
	if err != nil || len(got.Problem.Message) > maxMessage || !utf8.ValidString(got.Problem.Message) {
		t.Fatal(err)
	}

	j = fullJob()
	for name, spoil := range map[string]func(*Job){
		"parameters": func(j *Job) { j.Parameters = make([]byte, maxParameters+1) },
		"caller":     func(j *Job) { j.Caller = strings.Repeat("c", maxCaller+1) },
		"party":      func(j *Job) { j.Parties = []string{"\xff"} },
		"parties":    func(j *Job) { j.Parties = make([]string, maxParties+1) },
		"self":       func(j *Job) { j.Self = -1 },
		"input":      func(j *Job) { j.Input = Body{Inline: make([]byte, MaxInline+1), Size: MaxInline + 1} },
	} {
		bad := j
		spoil(&bad)
		if _, err := bad.encode("1"); err == nil {
			t.Errorf("%s out of bounds was encoded", name)
		}
	}
}

func TestNewerAndDamagedRecords(t *testing.T) {
	j := fullJob()
	b, err := j.encode("2.0.0\x1b")
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Clone(b)
	newer[0] = jobFormat + 1
	_, err = decodeJob("1.9.0", j.ID.String(), newer[:40], 1) // whatever follows the head
	var e *RecordError
	if !errors.As(err, &e) || !e.Newer() || !strings.HasSuffix(err.Error(), "was written by weft 2.0.0?; this is weft 1.9.0: upgrade this node") {
		t.Errorf("newer: %v", err)
	}
	for n := range b {
		if _, err = decodeJob("1", j.ID.String(), b[:n], 1); !errors.As(err, &e) || e.Newer() {
			t.Fatalf("%d of %d bytes: %v", n, len(b), err)
		}
	}
	if _, err = decodeJob("1", j.ID.String(), append(bytes.Clone(b), 0), 1); !errors.As(err, &e) || e.Newer() {
		t.Errorf("a byte too many: %v", err)
	}
	if _, err = decodeJob("1", uuid.NewString(), b, 1); !errors.As(err, &e) {
		t.Errorf("under another key: %v", err)
	}
}

// What decodes encodes to the same bytes: no two records say the same, and nothing is lost.
func FuzzDecodeJob(f *testing.F) {
	b, err := fullJob().encode("1.2.3")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	b, _ = Job{State: Submitted}.encode("")
	f.Add(b)
	f.Add([]byte{2, 3, '2', '.', '0'})
	f.Fuzz(func(t *testing.T, b []byte) {
		key := uuid.Nil.String()
		if len(b) > 2 && len(b) >= 18+int(b[1]) {
			key = uuid.UUID(b[2+int(b[1]):][:16]).String()
		}
		j, err := decodeJob("1", key, b, 1)
		if err != nil {
			if strings.Contains(err.Error(), "was written by weft") != (len(b) > 1 && b[0] > jobFormat && int(b[1]) <= 64 && len(b) >= 2+int(b[1])) {
				t.Fatal(err)
			}
			return
		}
		again, err := j.encode(string(b[2 : 2+int(b[1])]))
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%v\n%x\n%x", err, b, again)
		}
	})
}

func FuzzDecodeLine(f *testing.F) {
	l := fullLine()
	b, err := l.encode("1.2.3")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	b, _ = Line{State: LineStarted}.encode("")
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var sid [32]byte
		if len(b) > 2 && len(b) >= 34+int(b[1]) {
			copy(sid[:], b[2+int(b[1]):])
		}
		l, err := decodeLine("1", lineKey(sid), b, 1)
		if err != nil {
			return
		}
		again, err := l.encode(string(b[2 : 2+int(b[1])]))
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%v\n%x\n%x", err, b, again)
		}
	})
}
