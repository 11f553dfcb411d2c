// Package representation has the grammar of the representation API: identifiers of what is not stored, the strict reader of
// JSON bodies, calls and how their arguments are bound, descriptions and how requirements match them. It knows no HTTP, no
// job and no store.
package representation

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"strings"

	"github.com/google/uuid"
)

// Derive names an object that is computed rather than stored: a root object, a member, a task's invitation. It is a UUID
// of version 8 (RFC 9562 §5.8) made of HMAC-SHA256(key, caller | path), so it is the same in every process that holds the
// key, different for each caller, and cannot be guessed without the key. caller holds no zero byte.
func Derive(key []byte, caller, path string) uuid.UUID {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("weft/v1/representation\x00" + caller + "\x00" + path))
	var id uuid.UUID
	copy(id[:], mac.Sum(nil))
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// ParseUUID reads the 36 characters of a UUID's usual form, in either case, and no other form.
func ParseUUID(s string) (uuid.UUID, bool) {
	if len(s) != 36 {
		return uuid.UUID{}, false
	}
	id, err := uuid.Parse(s)
	return id, err == nil
}

// Description tells what a root object is: keys and their texts, as GET /representations lists them.
type Description []Entry

// Entry is one line of a Description.
type Entry struct{ Key, Value string }

// MarshalJSON keeps the entries' order.
func (d Description) MarshalJSON() ([]byte, error) {
	out := []byte{'{'}
	for i, e := range d {
		if i > 0 {
			out = append(out, ',')
		}
		for j, text := range [...]string{e.Key, e.Value} {
			if j > 0 {
				out = append(out, ':')
			}
			b, err := json.Marshal(text)
			if err != nil {
				return nil, err
			}
			out = append(out, b...)
		}
	}
	return append(out, '}'), nil
}

// Match says whether each requirement is met: its key is there, spelled alike, and the value is equal but for case. No
// requirements match everything.
func (d Description) Match(requirements map[string]json.RawMessage) bool {
	for key, raw := range requirements {
		want, ok := Text(raw)
		if !ok || !d.has(key, want) {
			return false
		}
	}
	return true
}

func (d Description) has(key, value string) bool {
	for _, e := range d {
		if e.Key == key {
			return strings.EqualFold(e.Value, value)
		}
	}
	return false
}
