package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/jobs/objects"
)

// mostKeys bounds the keys of one storage.
const mostKeys = 10_000

// keyValueRoot is the service by which a caller keeps values under keys. A storage is one record, a JSON object from keys (as
// nameOf writes them) to values as they were sent; so a change is one compare-and-set, and a storage expires as a whole. It
// is the caller's own: storages have names that anybody would think of.
func keyValueRoot() Service {
	storage := representation.Parameter{Name: "storage", Optional: true, Default: `"default"`}
	return &builtin{
		description: plugin("Util", "KeyValueStorage"),
		members: map[string]*function{
			"create": {signature("create", storage), createStorage},
			"delete": {signature("delete", storage), deleteStorage},
		},
	}
}

// keyValueFunctions are the members of what its create() returns.
func keyValueFunctions() map[string]*function {
	return map[string]*function{
		"store":    {signature("store", needed("key"), needed("value")), store},
		"retrieve": {signature("retrieve", needed("key")), retrieve},
		"exists":   {signature("exists", needed("key")), exists},
		"delete":   {signature("delete", needed("key")), deleteKey},
	}
}

// storageID is the identifier of the caller's storage that raw names.
func (g *Gateway) storageID(caller string, raw json.RawMessage) (uuid.UUID, error) {
	name := "default"
	if !representation.IsEmpty(raw) {
		var ok bool
		if name, ok = representation.Text(raw); !ok || len(name) > longestName {
			return uuid.UUID{}, invalid("storage", "it must be a text of at most %d bytes", longestName)
		}
	}
	return representation.Derive(g.handles.key, caller, objects.KeyValue.String()+" "+name), nil
}

// createStorage returns the storage with that name, the same each time.
func createStorage(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	id, err := g.storageID(b.caller, b.args[0])
	if err == nil {
		err = g.ensure(ctx, objects.Record{ID: id, Caller: b.caller, Kind: objects.KeyValue, Data: []byte("{}")})
	}
	return id, err == nil, err
}

func deleteStorage(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	id, err := g.storageID(b.caller, b.args[0])
	if err == nil {
		err = g.discard(ctx, b.caller, id, "there is no storage with this name; it may have been deleted or have expired")
	}
	return uuid.UUID{}, false, err
}

// loadKey reads the storage of a call and the key that the call names, and where among the entries that one is; -1: nowhere.
func (g *Gateway) loadKey(ctx context.Context, b binding) (r objects.Record, entries []representation.Member, at int, key string, err error) {
	if key, err = nameOf("key", b.args[0]); err != nil {
		return r, nil, 0, key, err
	}
	if r, err = g.load(ctx, b.caller, objects.KeyValue, b.object); err != nil {
		return r, nil, 0, key, err
	}
	if err = b.loan.take(ctx, r.Size); err != nil {
		return r, nil, 0, key, err
	}
	entries, _ = representation.Members(r.Data, mostKeys+1)
	at = slices.IndexFunc(entries, func(m representation.Member) bool { return m.Key == key })
	return r, entries, at, key, nil
}

func store(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	return uuid.UUID{}, false, g.change(ctx, b.object, func() (objects.Record, error) {
		r, entries, at, key, err := g.loadKey(ctx, b)
		if err != nil {
			return r, err
		}
		switch {
		case at >= 0:
			entries[at].Value = b.args[1]
		case len(entries) >= mostKeys:
			return r, fail(http.StatusTooManyRequests, "too-many", "the storage has %d keys, and takes no more; delete some, or create another storage", mostKeys)
		default:
			entries = append(entries, representation.Member{Key: key, Value: b.args[1]})
		}
		if err := b.loan.take(ctx, r.Size+int64(len(b.args[1]))); err != nil {
			return r, err
		}
		if r.Data = object(entries); int64(len(r.Data)) > g.config.MaxBody {
			return r, fail(http.StatusRequestEntityTooLarge, "too-large", "the storage's values together are larger than the %d bytes that this gateway accepts; delete some, or create another storage", g.config.MaxBody)
		}
		return r, nil
	})
}

// retrieve returns a copy of the value, which later changes do not touch.
func retrieve(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	_, entries, at, _, err := g.loadKey(ctx, b)
	if err != nil || at < 0 || representation.IsNull(entries[at].Value) {
		return uuid.UUID{}, false, err
	}
	id, err := g.keep(ctx, b.caller, slices.Clone(entries[at].Value)) // the whole storage must not stay in memory for one value
	return id, err == nil, err
}

func exists(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	_, _, at, _, err := g.loadKey(ctx, b)
	text := "false"
	if at >= 0 {
		text = "true"
	}
	return g.handles.constantID(text), err == nil, err
}

func deleteKey(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	return uuid.UUID{}, false, g.change(ctx, b.object, func() (objects.Record, error) {
		r, entries, at, _, err := g.loadKey(ctx, b)
		if err != nil {
			return r, err
		}
		if at < 0 {
			return r, fail(http.StatusNotFound, "unknown-key", "the storage has no such key")
		}
		r.Data = object(slices.Delete(entries, at, at+1))
		return r, nil
	})
}

// object is the JSON object with these members.
func object(members []representation.Member) []byte {
	size := 2
	for _, m := range members {
		size += len(m.Key) + len(m.Value) + 8
	}
	b := append(make([]byte, 0, size), '{')
	for i, m := range members {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, mustJSON(m.Key)...), ':'), m.Value...)
	}
	return append(b, '}')
}
