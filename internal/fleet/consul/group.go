package consul

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
)

// member is a host of the group as it was when the rollout began.
type member struct {
	Node    string `json:"n"`
	Zone    string `json:"z,omitempty"`
	Was     health `json:"w,omitempty"`
	Excused bool   `json:"x,omitempty"` // nobody waits for it
}

// health is what Consul knew of a member when the rollout began. In alphabetical order
// the better is first.
type health string

const (
	healthy health = ""
	ill     health = "ill"
	unknown health = "unknown" // it is listed, and Consul has no such node
)

// note says it to people.
func (h health) note() string {
	switch h {
	case ill:
		return "it was not healthy when the rollout began"
	case unknown:
		return "consul did not know it when the rollout began"
	}
	return ""
}

// counted is how many members shares are of: the healthy ones. Where none is, it is all
// that Consul knows, for the rollout may be what mends them; and all where it knows none.
func counted(all []member) int {
	n := map[health]int{}
	for _, m := range all {
		n[m.Was]++
	}
	return cmp.Or(n[healthy], n[ill], n[unknown])
}

// groupOf are the members of a rollout that begins. One that begins again, with
// narrower limits, has the members that it had when Consul can't tell them any more.
func (l *ledger) groupOf(ctx context.Context, r fleet.Rollout, h *head) ([]member, error) {
	members, err := l.group(ctx, r)
	if !errors.As(err, new(cannotBegin)) {
		return members, err
	}
	for _, old := range h.Past {
		if old.ID != h.ID {
			break
		}
		former, formerErr := l.formerMembers(ctx, old.Gen)
		if formerErr != nil || len(former) > 0 {
			return former, formerErr
		}
	}
	return nil, err
}

// asking is what is done for it.
const asking = "ask who is in the group"

// group asks which hosts are in the group of a rollout. Its error is cannotBegin when
// there are none, or some that can't be seen.
func (c *Client) group(ctx context.Context, r fleet.Rollout) ([]member, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*requestTime)
	defer cancel()
	ask := c.nodesOf
	if r.Service != "" {
		ask = c.instancesOf
	}
	members, err := ask(ctx, r)
	if err != nil {
		return nil, err
	}
	if len(members) == 0 {
		return nil, nobodyIn(r)
	}
	key := func(m member) string { return strings.ToLower(m.Node) } // as Consul compares names
	slices.SortFunc(members, func(a, b member) int {
		return cmp.Or(cmp.Compare(key(a), key(b)), cmp.Compare(a.Was, b.Was))
	})
	members = slices.CompactFunc(members, func(a, b member) bool { return key(a) == key(b) })
	if len(r.Hosts) == 0 && slices.ContainsFunc(members, func(m member) bool { return m.Was == healthy }) {
		for i := range members {
			members[i].Excused = members[i].Was != healthy
		}
	}
	return members, nil
}

// instancesOf are the nodes of a service, once for each of its instances.
func (c *Client) instancesOf(ctx context.Context, r fleet.Rollout) (members []member, _ error) {
	entries, meta, err := c.api.Health().Service(r.Service, "", false, consistent(ctx))
	switch {
	case err != nil:
		return nil, c.failed(serviceRead, asking, err)
	case meta.ResultsFilteredByACLs:
		return nil, mayNotSee(r, fmt.Sprintf("service:read for %q and node:read for its nodes", r.Service))
	}
	for _, e := range entries {
		if e.Node == nil {
			continue
		}
		m := member{Node: e.Node.Node, Zone: e.Node.Meta[r.ZoneKey()]}
		if e.Checks.AggregatedStatus() != api.HealthPassing {
			m.Was = ill
		}
		members = append(members, m)
	}
	return members, nil
}

// nodesOf are the nodes with the metadata of a rollout, or those that it lists.
func (c *Client) nodesOf(ctx context.Context, r fleet.Rollout) (members []member, _ error) {
	options := consistent(ctx)
	options.NodeMeta = r.NodeMeta
	nodes, meta, err := c.api.Catalog().Nodes(options)
	if err != nil {
		return nil, c.failed(nodeRead, asking, err)
	}
	// Who may see a node may see its own checks: what is kept from the token here is of others.
	critical, _, err := c.api.Health().State(api.HealthCritical, consistent(ctx))
	if err != nil {
		return nil, c.failed(nodeRead, asking, err)
	}
	left := map[string]bool{}
	for _, check := range critical {
		left[check.Node] = left[check.Node] || check.CheckID == serfHealth
	}
	listed := map[string]string{}
	for _, host := range r.Hosts {
		listed[strings.ToLower(host)] = host
	}
	for _, n := range nodes {
		if _, ok := listed[strings.ToLower(n.Node)]; !ok && len(r.Hosts) > 0 {
			continue
		}
		delete(listed, strings.ToLower(n.Node))
		m := member{Node: n.Node, Zone: n.Meta[r.ZoneKey()]}
		if left[n.Node] {
			m.Was = ill
		}
		members = append(members, m)
	}
	if meta.ResultsFilteredByACLs && (len(r.Hosts) == 0 || len(listed) > 0) {
		return nil, mayNotSee(r, "node:read for its nodes")
	}
	for _, host := range listed {
		members = append(members, member{Node: host, Was: unknown})
	}
	return members, nil
}

// nodeMeta reads the metadata of a node that is not the agent's own.
func (c *Client) nodeMeta(ctx context.Context, node string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	found, _, err := c.api.Catalog().Node(node, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return nil, c.failed(nodeRead, "ask for the zone", err)
	}
	if found == nil || found.Node == nil {
		return nil, nil
	}
	return found.Node.Meta, nil
}

// memberChunk is how many bytes of members a key holds, at most: Consul takes half a
// megabyte, and a member may have a long name and a long zone.
const memberChunk = 200 << 10

// memberOps write the members of a group.
func memberOps(k keys, gen string, members []member) (ops []*api.KVTxnOp) {
	part := []byte("[")
	write := func() {
		ops = append(ops, setOp(fmt.Sprintf("%s%05d", k.membersKey(gen), len(ops)), append(part, ']')))
		part = []byte("[")
	}
	for _, m := range members {
		b := encode(m)
		if len(part) > 1 && len(part)+len(b) > memberChunk {
			write()
		}
		if len(part) > 1 {
			part = append(part, ',')
		}
		part = append(part, b...)
	}
	if len(part) > 1 {
		write()
	}
	return ops
}
