package jobs

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// The tables as the package documentation draws them, written down once more.
var (
	drawn = map[string]string{
		"submitted": "waiting failed cancelled held",
		"held":      "waiting failed cancelled",
		"waiting":   "waiting started committed failed cancelled held",
		"started":   "waiting committed failed cancelled",
		"committed": "waiting done failed",
		"done":      "", "failed": "", "cancelled": "",
	}
	drawnLines = map[string]string{
		"started": "committed aborted", "committed": "done peer-aborted failed",
		"aborted": "", "done": "", "peer-aborted": "", "failed": "",
	}
)

func TestMoveTable(t *testing.T) {
	for from := State(0); from <= Held+1; from++ {
		var to []string
		for s := State(0); s <= Held+1; s++ {
			j, err := Job{State: from}.Move(s)
			if err == nil {
				to = append(to, s.String())
				if j.State != s {
					t.Errorf("%s to %s arrives in %s", from, s, j.State)
				}
				continue
			}
			var move *MoveError
			if !errors.As(err, &move) || move.From != from || move.To != s || j.State != from {
				t.Errorf("%s to %s: %v, job in %s", from, s, err, j.State)
			}
		}
		if got := strings.Join(to, " "); got != drawn[from.String()] {
			t.Errorf("from %s: %q, drawn is %q", from, got, drawn[from.String()])
		}
	}
}

func TestLineMoveTable(t *testing.T) {
	for from := LineState(0); from <= LineFailed+1; from++ {
		var to []string
		for s := LineState(0); s <= LineFailed+1; s++ {
			l, err := Line{State: from}.Move(s)
			if err == nil && l.State == s {
				to = append(to, s.String())
				continue
			}
			var move *MoveError
			if !errors.As(err, &move) || l.State != from {
				t.Errorf("%s to %s: %v, line in %s", from, s, err, l.State)
			}
		}
		if got := strings.Join(to, " "); got != drawnLines[from.String()] {
			t.Errorf("from %s: %q, drawn is %q", from, got, drawnLines[from.String()])
		}
	}
}

func TestMoveForgets(t *testing.T) {
	full := Job{
		State: Committed, Input: Body{Object: "in", Size: 1}, Opened: Body{Object: "opened", Size: 1},
		SID: [32]byte{1}, CommittedAt: time.Unix(1, 0), Waiting: []string{"carol"},
	}
	for _, to := range []State{Done, Failed} {
		j, err := full.Move(to)
		if err != nil || !j.Input.Empty() || !j.Opened.Empty() || j.Waiting != nil {
			t.Errorf("%s keeps %v %v %v (%v)", to, j.Input.Object, j.Opened.Object, j.Waiting, err)
		}
	}
	j, err := full.Move(Waiting)
	if err != nil || j.Input.Empty() || !j.Opened.Empty() || j.SID != [32]byte{} || !j.CommittedAt.IsZero() {
		t.Errorf("waiting again: input %q, opened %q, sid %x (%v)", j.Input.Object, j.Opened.Object, j.SID, err)
	}
	if full.Input.Empty() || full.State != Committed {
		t.Error("Move changed the job that it was called on")
	}
}

func TestNothingPrintsPrivateBytes(t *testing.T) {
	const mark = "4711-private"
	j := sample("caller")
	j.Input = Body{Inline: []byte(mark), Size: int64(len(mark))}
	j.Opened, j.Result, j.Parameters = j.Input, j.Input, []byte(mark)
	j.Problem = &Problem{Code: 409, Reason: "conflict", Message: mark}
	var out strings.Builder
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("x", "job", j, "pointer", &j, "body", j.Input, "bodies", []Body{j.Input})
	text := slog.New(slog.NewTextHandler(&out, nil))
	text.Info("x", "job", j, "pointer", &j, "body", j.Input, "slice", []Job{j})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		fmt.Fprintf(&out, verb+verb+verb+"\n", j, &j, j.Input)
		fmt.Fprintf(&out, verb+verb+"\n", []Job{j}, struct{ B Body }{j.Input})
	}
	for _, s := range []string{mark, fmt.Sprintf("%x", mark), fmt.Sprintf("%d", mark[0]) + " " + fmt.Sprintf("%d", mark[1])} {
		if strings.Contains(out.String(), s) {
			t.Errorf("printed %q in\n%s", s, out.String())
		}
	}
	if !strings.Contains(out.String(), j.ID.String()) || !strings.Contains(out.String(), "[secret]") {
		t.Errorf("a log line says nothing of the job:\n%s", out.String())
	}
}

// TestStateMachine drives jobs of a real store at random, and compares with a model that knows the drawn table.
func TestStateMachine(t *testing.T) {
	s, _ := newStore(t, Options{Limits: Limits{PerCaller: 1 << 20}})
	ctx := timeout(t)
	rapid.Check(t, func(t *rapid.T) {
		j, err := s.Submit(ctx, lasting("rapid"), []byte("input"))
		if err != nil {
			t.Fatal(err)
		}
		model, cancel, gone := "submitted", false, false
		decided := Verdict(0)
		t.Repeat(map[string]func(*rapid.T){
			"update": func(t *rapid.T) {
				to := State(rapid.IntRange(1, int(Held)).Draw(t, "to"))
				now, err := s.Get(ctx, j.ID)
				if gone {
					if !errors.Is(err, ErrNotFound) {
						t.Fatalf("deleted, but %v", err)
					}
					return
				}
				now.State = to
				if to == Held && now.Approval.Since.IsZero() {
					now.Approval.Since = now.Created
				}
				_, err = s.Update(ctx, now)
				stay := to.String() == model && drawn[model] != ""
				allowed := stay || strings.Contains(" "+drawn[model]+" ", " "+to.String()+" ")
				if decided == Denied && to == Waiting {
					allowed = false
				}
				if allowed != (err == nil) {
					t.Fatalf("%s to %s: %v", model, to, err)
				} else if allowed {
					model = to.String()
				} else if move := (*MoveError)(nil); !errors.As(err, &move) {
					t.Fatalf("%s to %s: %v", model, to, err)
				}
			},
			"cancel": func(t *rapid.T) {
				after, err := s.RequestCancel(ctx, j.ID)
				switch {
				case gone:
					if !errors.Is(err, ErrNotFound) {
						t.Fatal(err)
					}
				case model == "committed":
					if !errors.Is(err, ErrCommitted) {
						t.Fatal(err)
					}
				case err != nil:
					t.Fatal(err)
				case drawn[model] != "":
					cancel = cancel || model != "held" || decided != Denied
					fallthrough
				default:
					if after.State.String() != model || after.CancelRequested != cancel {
						t.Fatalf("%v, cancel requested: %v", after, after.CancelRequested)
					}
				}
			},
			"decide": func(t *rapid.T) {
				v := Verdict(rapid.IntRange(int(Approved), int(Denied)).Draw(t, "verdict"))
				by := rapid.SampledFrom([]string{"olga", "otto", "rapid"}).Draw(t, "by")
				before, _ := s.Get(ctx, j.ID)
				after, err := s.Decide(ctx, j.ID, v, by, "")
				switch {
				case gone:
					if !errors.Is(err, ErrNotFound) {
						t.Fatal(err)
					}
				case before.Approval.Since.IsZero():
					if !errors.Is(err, ErrNotHeld) {
						t.Fatal(err)
					}
				case by == "rapid":
					if !errors.Is(err, ErrOwnJob) {
						t.Fatal(err)
					}
				case decided == v:
					if err != nil || after.Revision != before.Revision {
						t.Fatalf("again: %v, revision %d after %d", err, after.Revision, before.Revision)
					}
				case decided != 0:
					if !errors.Is(err, ErrDecided) {
						t.Fatal(err)
					}
				case model != "held" || cancel:
					if !errors.Is(err, ErrNotHeld) {
						t.Fatal(err)
					}
				case err != nil || after.Approval.Verdict != v || after.Approval.By != by || after.State != Held:
					t.Fatalf("%v %v %+v", err, after, after.Approval)
				default:
					decided = v
				}
				if now, err := s.Get(ctx, j.ID); !gone && (err != nil || now.Approval.Verdict != decided) {
					t.Fatalf("%v: %s, model %s", err, now.Approval.Verdict, decided)
				}
			},
			"delete": func(t *rapid.T) {
				err := s.Delete(ctx, j.ID)
				switch {
				case gone:
					if !errors.Is(err, ErrNotFound) {
						t.Fatal(err)
					}
				case model == "committed":
					if !errors.Is(err, ErrCommitted) {
						t.Fatal(err)
					}
				case drawn[model] != "":
					if !errors.Is(err, ErrActive) {
						t.Fatal(err)
					}
				case err != nil:
					t.Fatal(err)
				default:
					gone = true
				}
			},
			"": func(t *rapid.T) {
				now, err := s.Get(ctx, j.ID)
				if gone != errors.Is(err, ErrNotFound) || (!gone && (err != nil || now.State.String() != model)) {
					t.Fatalf("%v %v, model %s, gone %v", now, err, model, gone)
				}
			},
		})
	})
	if _, err := s.Get(ctx, uuid.New()); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}
