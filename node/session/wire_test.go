package session

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/weftmpc/weft/broker/identity"
	"github.com/weftmpc/weft/simon"
)

func testHeader() header {
	return header{
		uuid: bytes.Repeat([]byte{1}, 16), sid: fill32s(2), epoch: bytes.Repeat([]byte{3}, 16), version: 4,
		label: []byte(testLabel()), from: fill32s(5), to: fill32s(6), seq: 7, chunk: 0, chunks: 1, th: fill32s(8), length: 40,
	}
}

func encodeShare(h header, sealed int) []byte {
	var w writer
	h.encode(&w)
	w.bytes(make([]byte, sealed))
	return w.b
}

// The layout as any msgpack library reads it.
func TestShareLayout(t *testing.T) {
	h := testHeader()
	b := encodeShare(h, 56)
	var got []any
	if err := msgpack.Unmarshal(b, &got); err != nil { // own bytes
		t.Fatal(err)
	}
	want := []any{int8(KindShare), int8(1), h.uuid, h.sid, h.epoch, uint32(4), h.label, h.from, h.to, uint64(7), uint32(0), uint32(1), h.th, uint64(40), make([]byte, 56)}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	m, ok := parseShare(b)
	if !ok || !reflect.DeepEqual(m.header, h) || len(m.sealed) != 56 || !bytes.Equal(m.aad, b[:len(b)-58]) {
		t.Errorf("%+v, %v", m, ok)
	}
	if kind, sid, ok := Kind(b); kind != KindShare || sid != fill32(2) || !ok {
		t.Error("kind of a share")
	}
}

// All values of a field have one length, so lengths of messages show none.
func TestShareLengths(t *testing.T) {
	h := testHeader()
	short := len(encodeShare(h, 56))
	h.seq, h.version = 1<<63, 1<<31
	if long := len(encodeShare(h, 56)); long != short {
		t.Errorf("%d and %d bytes", short, long)
	}
}

func TestShareRefused(t *testing.T) {
	for what, change := range map[string]func(h *header){
		"no counter":           func(h *header) { h.seq = 0 },
		"no chunks":            func(h *header) { h.chunks = 0 },
		"chunk out of range":   func(h *header) { h.chunk = 1 },
		"too many chunks":      func(h *header) { h.chunks = 2 },
		"shorter than a salt":  func(h *header) { h.length = 31 },
		"another length":       func(h *header) { h.length = 41 },
		"absurd length":        func(h *header) { h.length = 1 << 41; h.chunks = 1 << 22 },
		"label too long":       func(h *header) { h.label = make([]byte, maxLabel+1) },
		"short uuid":           func(h *header) { h.uuid = h.uuid[1:] },
		"long sid":             func(h *header) { h.sid = append(bytes.Clone(h.sid), 0) },
		"short fingerprint":    func(h *header) { h.from = h.from[1:] },
		"short epoch":          func(h *header) { h.epoch = nil },
		"short transcript":     func(h *header) { h.th = h.th[:31] },
		"no receiver's length": func(h *header) { h.to = nil },
	} {
		h := testHeader()
		change(&h)
		if _, ok := parseShare(encodeShare(h, 56)); ok {
			t.Errorf("%s: accepted", what)
		}
	}
}

func TestAsk(t *testing.T) {
	ask := Ask{
		SID: fill32(1), From: fill32s(2), To: fill32s(3), Notices: []identity.Fingerprint{fill32(4)},
		Labels: []LabelAsk{{Label: []byte(testLabel())}, {Label: []byte("b"), Have: 3, Missing: []uint32{3, 7, 40}}},
	}
	key := fill32(9)
	b := sealAsk(ask, key)
	got, err := DecodeAsk(b)
	if err != nil || !got.authentic(key) || got.authentic(fill32(8)) {
		t.Fatal(err)
	}
	got.MAC, got.covered = nil, nil
	if !reflect.DeepEqual(got, ask) {
		t.Errorf("%+v", got)
	}
	if kind, sid, ok := Kind(b); kind != KindAsk || sid != ask.SID || !ok {
		t.Error("kind of an ask")
	}
	for bit := range 8 * len(b) {
		bad := bytes.Clone(b)
		bad[bit/8] ^= 1 << (bit % 8)
		if a, err := DecodeAsk(bad); err == nil && a.authentic(key) {
			t.Errorf("bit %d does not matter", bit)
		}
	}
	notices, err := DecodeAsk(EncodeNoticeAsk(fill32(1), ask.Notices))
	if err != nil || !reflect.DeepEqual(notices.Notices, ask.Notices) || len(notices.MAC) != 0 || notices.authentic(key) {
		t.Errorf("%+v, %v", notices, err)
	}
	unordered := ask
	unordered.Labels = []LabelAsk{{Missing: []uint32{2, 1}}}
	many := ask
	many.Labels = make([]LabelAsk, maxAskLabels+1)
	var unsealed writer
	encodeAsk(&unsealed, ask)
	unsealed.bytes(nil)
	for what, b := range map[string][]byte{"unordered": sealAsk(unordered, key), "many": sealAsk(many, key), "labels without MAC": unsealed.b} {
		if _, err := DecodeAsk(b); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

func TestInit(t *testing.T) {
	init := bytes.Repeat([]byte{7}, 1300)
	b := EncodeInit(init)
	got, err := DecodeInit(b)
	if kind, sid, ok := Kind(b); err != nil || !bytes.Equal(got, init) || kind != KindInit || sid != [32]byte{} || !ok {
		t.Error(err)
	}
	for what, bad := range map[string][]byte{
		"empty": EncodeInit(nil), "long": EncodeInit(make([]byte, maxInit+1)), "trailing": append(bytes.Clone(b), 0), "cut": b[:len(b)-1],
	} {
		if _, err := DecodeInit(bad); !errors.Is(err, errMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A header that announces gigabytes costs nothing.
func TestAnnouncedLengths(t *testing.T) {
	messages := [][]byte{
		{0x97, 2, 0xc6, 0xff, 0xff, 0xff, 0xff}, {0xdd, 0xff, 0xff, 0xff, 0xff}, {0x9f, 1, 1, 0xc6, 0xff, 0xff, 0xff, 0xff}, {0xdc, 0xff, 0xff},
	}
	allocs := testing.AllocsPerRun(100, func() {
		for _, b := range messages {
			if _, _, ok := Kind(b); ok {
				t.Error("accepted")
			}
			if _, ok := parseShare(b); ok {
				t.Error("accepted")
			}
			if _, err := DecodeAsk(b); err == nil {
				t.Error("accepted")
			}
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func FuzzShare(f *testing.F) {
	h := testHeader()
	f.Add(encodeShare(h, 56))
	h.length, h.chunks, h.chunk = chunkSize+1, 2, 1
	f.Add(encodeShare(h, 17))
	f.Add([]byte{0x9f, 1, 1, 0xc6, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := parseShare(b)
		if !ok {
			return
		}
		var w writer
		m.header.encode(&w)
		if !bytes.Equal(w.b, m.aad) {
			t.Error("a header has two encodings")
		}
		w.bytes(m.sealed)
		if !bytes.Equal(w.b, b) {
			t.Error("a message has two encodings")
		}
		if _, _, ok := Kind(b); !ok {
			t.Error("Kind refuses what the decoder takes")
		}
		_ = describe(string(m.label))
	})
}

func FuzzAsk(f *testing.F) {
	f.Add(EncodeNoticeAsk(fill32(1), []identity.Fingerprint{fill32(2)}))
	f.Add(sealAsk(Ask{From: fill32s(1), To: fill32s(2), Labels: []LabelAsk{{Label: labelBytes(nil, simon.Label{}), Have: 1, Missing: []uint32{1, 5}}}}, fill32(3)))
	f.Add([]byte{0x97, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := DecodeAsk(b)
		if err != nil {
			return
		}
		var w writer
		encodeAsk(&w, a)
		w.bytes(a.MAC)
		if !bytes.Equal(w.b, b) {
			t.Error("an ask has two encodings")
		}
	})
}

func FuzzNotice(f *testing.F) {
	f.Add(Notice{Confirm: true}.Encode())
	f.Add(Notice{Code: 5}.Encode())
	f.Add([]byte{0x96, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := DecodeNotice(b)
		if err == nil && !bytes.Equal(n.Encode(), b) {
			t.Error("a notice has two encodings")
		}
	})
}

func FuzzInit(f *testing.F) {
	f.Add(EncodeInit([]byte("init")))
	f.Add([]byte{0x92, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		init, err := DecodeInit(b)
		if err == nil && !bytes.Equal(EncodeInit(init), b) {
			t.Error("an INIT has two encodings")
		}
	})
}
