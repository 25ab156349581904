package consul

import (
	"context"

	"github.com/hashicorp/consul/api"
)

// Fire sends a user event to all agents, and returns its id.
func (c *Client) Fire(ctx context.Context, name, payload string) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	id, _, err = c.api.Event().Fire(&api.UserEvent{Name: name, Payload: []byte(payload)},
		(&api.WriteOptions{}).WithContext(ctx))
	if err != nil {
		return "", unreached("fire the event", err)
	}
	return id, nil
}
