package mirror

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/weftmpc/weft/broker"
	"github.com/weftmpc/weft/broker/brokertest"
)

// TestExpiredKeysAreRemembered: by the mirror that expired them, by others, and by a later one; a day long, and 10,000 of them.
func TestExpiredKeysAreRemembered(t *testing.T) {
	p := brokertest.Private(t)
	ctx := t.Context()
	open := func(sole bool) *Mirror[string] {
		m, err := Open(ctx, p.JS, Config[string]{
			Bucket: broker.BucketObjects, KV: p.Buckets.Objects, Logger: slog.New(slog.DiscardHandler), Sole: sole,
			Decode: func(_ string, b []byte, _ uint64) (string, error) { return string(b), nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		return m
	}
	for _, sole := range []bool{false, true} {
		m := open(sole)
		for _, key := range []string{"expired", "again", "deleted"} {
			key += fmt.Sprint(sole)
			if _, err := m.Create(ctx, key, []byte("v")); err != nil {
				t.Fatal(err)
			}
			e, _, _ := m.Get(key)
			drop := m.Expire
			if key == fmt.Sprint("deleted", sole) {
				drop = m.Delete
			}
			if err := drop(ctx, key, e.Revision+7); !errors.Is(err, ErrConflict) {
				t.Error("another revision:", err)
			}
			if err := drop(ctx, key, e.Revision); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := m.Create(ctx, fmt.Sprint("again", sole), []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	m := open(false)
	check := func(when string, want map[string]error) {
		t.Helper()
		for _, sole := range []bool{false, true} {
			for key, want := range want {
				_, err := m.Load(ctx, fmt.Sprint(key, sole))
				if !errors.Is(err, want) || errors.Is(err, ErrExpired) != (want == ErrExpired) { //nolint:errorlint // which of the two it is
					t.Errorf("%s: %s: %v, want %v", when, key, err, want)
				}
			}
		}
	}
	check("at first", map[string]error{"expired": ErrExpired, "again": nil, "deleted": ErrNotFound})
	if err := m.Prune(ctx, time.Now().Add(23*time.Hour)); err != nil {
		t.Fatal(err)
	}
	check("within a day", map[string]error{"expired": ErrExpired, "again": nil, "deleted": ErrNotFound})
	if err := m.Prune(ctx, time.Now().Add(25*time.Hour)); err != nil {
		t.Fatal(err)
	}
	check("after a day", map[string]error{"expired": ErrNotFound, "again": nil, "deleted": ErrNotFound})

	for i := range expiredMost + 3 {
		m.remove(fmt.Sprint("k", i), uint64(1000+i), time.Now(), true)
	}
	if err := m.Prune(ctx, time.Now()); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]error{"k0": ErrNotFound, "k2": ErrNotFound, "k3": ErrExpired, fmt.Sprint("k", expiredMost+2): ErrExpired} {
		if _, err := m.Load(ctx, key); !errors.Is(err, want) || errors.Is(err, ErrExpired) != (want == ErrExpired) { //nolint:errorlint // as above
			t.Errorf("%s of too many: %v, want %v", key, err, want)
		}
	}
}
