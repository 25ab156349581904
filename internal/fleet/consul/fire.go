package consul

import (
	"context"
	"slices"

	"github.com/hashicorp/consul/api"
)

// Fire sends a user event to all agents, and returns its id.
func (c *Client) Fire(ctx context.Context, name, payload string) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	id, _, err = c.api.Event().Fire(&api.UserEvent{Name: name, Payload: []byte(payload)},
		(&api.WriteOptions{}).WithContext(ctx))
	if err != nil {
		return "", c.failed(eventWrite, "fire the event", err)
	}
	return id, nil
}

// Drop removes a key, if it is there.
func (c *Client) Drop(ctx context.Context, key string) error { return c.write(ctx, deleteOp(key)) }

// Fired tells whether the agent remembers such an event: hosts can't make anybody
// believe in one, since they may fire none.
func (c *Client) Fired(ctx context.Context, name, payload string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	events, _, err := c.api.Event().List(name, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return false, c.failed(eventRead, "list the events", err)
	}
	return slices.ContainsFunc(events, func(e *api.UserEvent) bool {
		return e.Name == name && string(e.Payload) == payload
	}), nil
}
