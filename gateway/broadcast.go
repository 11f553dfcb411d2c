package gateway

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/weftmpc/weft/gateway/representation"
	"github.com/weftmpc/weft/jobs/objects"
)

// broadcastRoot is the service by which one client leaves a message for others. A broadcast is one record, whose data is the
// message as it was sent, or nothing before that. As a barrier it belongs to nobody: whoever knows its UUID takes part.
func broadcastRoot() Service {
	return &builtin{
		description: plugin("Sync", "Broadcast"),
		members: map[string]*function{
			"create":  {signature("create", needed("uuid")), createBroadcast},
			"send":    {signature("send", needed("uuid"), needed("message")), send},
			"receive": {signature("receive", needed("uuid")), receive},
			"delete":  {signature("delete", needed("uuid")), deleteBroadcast},
		},
	}
}

// createBroadcast makes the broadcast, and leaves one that is there as it is: all who take part may create it.
func createBroadcast(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	id, err := g.meeting(objects.Broadcast, b.args[0])
	if err == nil {
		err = g.ensure(ctx, objects.Record{ID: id, Caller: b.caller, Kind: objects.Broadcast})
	}
	return uuid.UUID{}, false, err
}

// send leaves the message, in the place of an earlier one.
func send(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	id, err := g.meeting(objects.Broadcast, b.args[0])
	if err != nil {
		return id, false, err
	}
	if err := g.ensure(ctx, objects.Record{ID: id, Caller: b.caller, Kind: objects.Broadcast}); err != nil {
		return id, false, err
	}
	return id, false, g.change(ctx, id, func() (objects.Record, error) {
		r, err := g.object(ctx, id)
		r.Data = b.args[1]
		return r, err
	})
}

// receive returns a copy of the message that is the caller's own, and none before there is one: receivers may come before
// whoever sends.
func receive(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	id, err := g.meeting(objects.Broadcast, b.args[0])
	if err != nil {
		return id, false, err
	}
	r, err := g.object(ctx, id)
	if errors.Is(err, objects.ErrNotFound) || err == nil && representation.IsNull(r.Data) {
		return id, false, nil
	}
	if err == nil {
		err = b.loan.take(ctx, r.Size)
	}
	if err != nil {
		return id, false, err
	}
	id, err = g.keep(ctx, b.caller, r.Data)
	return id, err == nil, err
}

func deleteBroadcast(ctx context.Context, g *Gateway, b binding) (uuid.UUID, bool, error) {
	id, err := g.meeting(objects.Broadcast, b.args[0])
	if err == nil {
		err = g.discard(ctx, b.caller, id, "there is no broadcast with this UUID; it may have been deleted or have expired")
	}
	return uuid.UUID{}, false, err
}
