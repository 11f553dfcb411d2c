package coordinator

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// canonical checks that what decodes has one encoding, and that it decodes to the same again.
func canonical[T any](t *testing.T, b []byte, decode func([]byte) (T, error), encode func(T) []byte) {
	t.Helper()
	given := bytes.Clone(b)
	v, err := decode(b)
	if err != nil {
		return
	}
	if got := encode(v); !bytes.Equal(got, given) {
		t.Fatalf("encoding differs:\n%x\n%x", got, given)
	}
	w, err := decode(given)
	if err != nil || !reflect.DeepEqual(v, w) {
		t.Fatalf("decoding again: %v\n%s", err, cmp.Diff(v, w))
	}
}

func seeds() (common, own, bundle, join, start []byte) {
	_, owns, s := sample(5, 3, 20, 60)
	return s.Common, s.Joins[0].Own, owns[0].Bundle, Join{Common: s.Common, Signed: s.Joins[0]}.Encode(), s.Encode()
}

func FuzzCommon(f *testing.F) {
	common, _, _, _, _ := seeds()
	f.Add(common)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		canonical(t, b, DecodeCommon, func(c Common) []byte { return must(c.Encode())(t) })
	})
}

func FuzzOwn(f *testing.F) {
	_, own, _, _, _ := seeds()
	f.Add(own)
	f.Fuzz(func(t *testing.T, b []byte) { canonical(t, b, DecodeOwn, Own.Encode) })
}

func FuzzBundle(f *testing.F) {
	_, _, bundle, _, _ := seeds()
	f.Add(bundle)
	f.Fuzz(func(t *testing.T, b []byte) { canonical(t, b, DecodeBundle, Bundle.Encode) })
}

func FuzzJoin(f *testing.F) {
	_, _, _, join, _ := seeds()
	f.Add(join)
	f.Fuzz(func(t *testing.T, b []byte) { canonical(t, b, DecodeJoin, Join.Encode) })
}

func FuzzStart(f *testing.F) {
	_, _, _, _, start := seeds()
	f.Add(start)
	f.Fuzz(func(t *testing.T, b []byte) {
		canonical(t, b, DecodeStart, Start.Encode)
		if s, err := DecodeStart(b); err == nil {
			_, _, _ = s.Open() // must not panic
		}
	})
}

func FuzzAnswer(f *testing.F) {
	c, _, s := sample(5, 3, 20, 60)
	for _, a := range []Answer{
		{Kind: AnswerStart, Start: s.Encode()}, {Kind: AnswerWaiting, Waiting: c.Parties}, {Kind: AnswerWaiting},
		{Kind: AnswerConflict, Other: s.Common}, {Kind: AnswerRefused, Code: CodeBusy, Text: "busy"},
	} {
		f.Add(a.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) { canonical(t, b, DecodeAnswer, Answer.Encode) })
}

func FuzzLeave(f *testing.F) {
	f.Add(Leave{}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) { canonical(t, b, DecodeLeave, Leave.Encode) })
}

// Any bytes get an answer that can be encoded, and leave nothing behind.
func FuzzTable(f *testing.F) {
	w := newWorld(f, "alice", "bob")
	good := w.join("alice", w.common([16]byte{1}, "alice", "bob"))
	f.Add(good[:len(good)-1])
	f.Add([]byte("\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if bytes.Equal(b, good) {
			return
		}
		a, push := w.table.Join(b)
		if a.Kind != AnswerRefused || len(push) != 0 || w.table.Counts().Open != 0 {
			t.Fatalf("answer %+v", a)
		}
		if _, err := DecodeAnswer(a.Encode()); err != nil {
			t.Fatal(err)
		}
		_ = w.table.Leave(b)
	})
}
