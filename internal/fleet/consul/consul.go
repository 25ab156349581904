// Package consul coordinates the hosts of a rollout by Consul's own means: sessions,
// KV with check-and-set, and blocking queries. Nothing of ours listens.
//
// Its words: the head is the one document that says which rollout of a name is the
// current one, and how far it is; a generation is one go at a rollout, below which all
// else of it is kept but what its hosts have said; a series is the generations of one
// rollout that follow each other, known by the first of them: their hosts' results are
// kept together; a shard is a document that hands out some of the slots; a ticket
// is a host's number in the line of a shard; a turn is the key of a ticket, on which
// its host waits; a holder is a host that has a slot; a guard is a host that looks
// whether holders are still there.
//
// What makes it safe: a host is at work only while it holds its turn by a session of
// its own, and it has taken it in one transaction with a check that the head is as
// before. It ends its work when it has not confirmed the session for a lease less the
// margin; others take its slot when they have seen it without session for a lease.
// No clocks are compared.
//
// What makes it cheap: who gives a slot back hands it to the next in line, in the same
// transaction. Each host waits on its own turn and on the head, which changes a
// handful of times. No host but the first, and who asks for the state, reads of others.
//
// It imports internal/fleet and internal/text, and alone knows Consul's client.
package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul/reach"
)

// Config says how Consul is reached, besides what the variables CONSUL_HTTP_*,
// CONSUL_CACERT and so on say.
type Config struct {
	Address string                                    // "" = as the environment says
	Token   string                                    // "" = as the environment says
	Wrap    func(http.RoundTripper) http.RoundTripper // sees the requests; nil = nobody does
	Log     func(format string, args ...any)          // tells what is out of the ordinary; nil = nobody hears it
	Tell    func(format string, args ...any)          // tells what a host waits for; nil = nobody hears it
}

// Client reaches Consul.
type Client struct {
	api  *api.Client
	log  func(format string, args ...any)
	info func(format string, args ...any)

	grants

	seen  sync.Mutex
	given map[string]sight // what hosts should have done something about, as Read saw it
}

// Open makes a client. It asks nobody anything yet.
func Open(config Config) (*Client, error) {
	client, err := reach.Client(reach.Config{Address: config.Address, Token: config.Token, Wrap: config.Wrap})
	if err != nil {
		return nil, err
	}
	log := config.Log
	if log == nil {
		log = func(string, ...any) {}
	}
	info := config.Tell
	if info == nil {
		info = func(string, ...any) {}
	}
	return &Client{
		api: client, log: log, info: info, given: map[string]sight{},
		grants: grants{had: map[right]bool{}, denied: map[right]denial{}},
	}, nil
}

// Self is the agent's own node: its name and metadata.
func (c *Client) Self(ctx context.Context) (node string, meta map[string]string, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	var self struct {
		Config struct{ NodeName string }
		Meta   map[string]string
	}
	if _, err := c.api.Raw().Query("/v1/agent/self", &self, (&api.QueryOptions{}).WithContext(ctx)); err != nil {
		return "", nil, c.failed(agentRead, "ask the agent who it is", err)
	}
	c.granted(agentRead)
	if self.Config.NodeName == "" {
		return "", nil, unreached("ask the agent who it is", errors.New("it has no name"))
	}
	return self.Config.NodeName, self.Meta, nil
}

// Enter prepares a host to take a place in a rollout. It asks nobody anything yet.
func (c *Client) Enter(_ context.Context, entry fleet.Entry) (*Place, error) {
	if entry.Name == "" || entry.ID == "" {
		return nil, errors.New("a rollout has a name and an id")
	}
	lease := entry.Rollout.Leased()
	return &Place{
		ledger: c.ledger(entry.Name), entry: entry, nonce: nonce(),
		guard: *newGuard(lease), holder: holder{lease: lease},
	}, nil
}

// ledger is what Consul has of the rollouts of a name.
type ledger struct {
	*Client
	keys
}

func (c *Client) ledger(name string) *ledger {
	return &ledger{c, keys{name, prefix + escape(name) + "/"}}
}

// escape makes a part of a key of a text, whatever it holds.
func escape(text string) string {
	if strings.Trim(text, ".") == "" { // who writes URLs takes these for directories
		return strings.ReplaceAll(text, ".", "%2E")
	}
	return url.PathEscape(text)
}

// prefix is where all is kept, and manifests is where those lie by which hosts go back.
const (
	prefix    = "stretcher/fleet/"
	manifests = "stretcher/manifests/"
)

// keys are the keys of a name's rollouts.
type keys struct{ name, base string }

func (k keys) headKey() string                   { return k.base + "head" }
func (k keys) gensKey() string                   { return k.base + "r/" }
func (k keys) genKey(gen string) string          { return k.gensKey() + gen + "/" }
func (k keys) shardKey(gen, shard string) string { return k.genKey(gen) + "s/" + shard }
func (k keys) seriesKey() string                 { return k.base + "res/" }
func (k keys) resultsKey(series string) string   { return k.seriesKey() + series + "/" }
func (k keys) membersKey(gen string) string      { return k.genKey(gen) + "m/" }
func (k keys) clockKey(gen string) string        { return k.genKey(gen) + "clock" }
func (k keys) clockName() string                 { return "stretcher clock: " + strings.TrimSuffix(k.base, "/") }
func (k keys) sessionName() string               { return "stretcher at work: " + k.base }
func (k keys) resultKey(series, node string) string {
	return k.resultsKey(series) + escape(node)
}
func (k keys) turnKeyOf(gen, shard string, ticket int) string {
	return fmt.Sprintf("%st/%s/%d", k.genKey(gen), shard, ticket)
}

// Times of requests.
const (
	requestTime = 10 * time.Second
	longestWait = 5 * time.Minute // of a blocking query
	longestTTL  = 24 * time.Hour  // that Consul takes
)
