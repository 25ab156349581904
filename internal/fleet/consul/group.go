package consul

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
)

// member is a host of the group when the rollout began.
type member struct {
	Node string `json:"n"`
	Zone string `json:"z,omitempty"`
}

// group asks which hosts are healthy in the group of a rollout.
func (c *Client) group(ctx context.Context, r fleet.Rollout) ([]member, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*requestTime)
	defer cancel()
	members, err := c.members(ctx, r)
	slices.SortFunc(members, func(a, b member) int { return cmp.Compare(a.Node, b.Node) })
	return slices.CompactFunc(members, func(a, b member) bool { return a.Node == b.Node }), err
}

func (c *Client) members(ctx context.Context, r fleet.Rollout) (members []member, _ error) {
	if r.Service != "" {
		entries, _, err := c.api.Health().Service(r.Service, "", true, consistent(ctx))
		if err != nil {
			return nil, unreached("ask who is in the group", err)
		}
		for _, e := range entries {
			if e.Node != nil {
				members = append(members, member{e.Node.Node, e.Node.Meta[r.ZoneKey()]})
			}
		}
		return members, nil
	}
	options := consistent(ctx)
	options.NodeMeta = r.NodeMeta
	nodes, _, err := c.api.Catalog().Nodes(options)
	if err != nil {
		return nil, unreached("ask who is in the group", err)
	}
	critical, _, err := c.api.Health().State(api.HealthCritical, consistent(ctx))
	if err != nil {
		return nil, unreached("ask who is in the group", err)
	}
	left := map[string]bool{}
	for _, check := range critical {
		left[check.Node] = left[check.Node] || check.CheckID == serfHealth
	}
	listed := map[string]bool{}
	for _, host := range r.Hosts {
		listed[strings.ToLower(host)] = true
	}
	for _, n := range nodes {
		if !left[n.Node] && (len(r.Hosts) == 0 || listed[strings.ToLower(n.Node)]) {
			members = append(members, member{n.Node, n.Meta[r.ZoneKey()]})
		}
	}
	return members, nil
}

// nodeMeta reads the metadata of a node that is not the agent's own.
func (c *Client) nodeMeta(ctx context.Context, node string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	found, _, err := c.api.Catalog().Node(node, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, unreached("ask for the zone", err)
	}
	if found == nil || found.Node == nil {
		return nil, nil
	}
	return found.Node.Meta, nil
}

// memberChunk is how many members a key holds: one is at most 200 bytes or so, and
// Consul takes half a megabyte.
const memberChunk = 1000

// memberOps write the members of a group.
func memberOps(k keys, gen string, members []member) (ops []*api.KVTxnOp) {
	n := 0
	for part := range slices.Chunk(members, memberChunk) {
		b, err := json.Marshal(part)
		if err != nil {
			panic(err) // these types have nothing that can't be written
		}
		ops = append(ops, setOp(k.membersKey(gen)+string(rune('a'+n/26%26))+string(rune('a'+n%26)), b))
		n++
	}
	return ops
}
