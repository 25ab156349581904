package consul

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"stretcher/internal/fleet"
	"stretcher/internal/text/failure"
)

// right is what a token must be allowed for a request, as Consul names it.
type right string

// The rights that requests need.
const (
	agentRead    right = "agent:read"
	eventRead    right = "event:read"
	eventWrite   right = "event:write"
	keyRead      right = "key:read"
	keyWrite     right = "key:write"
	nodeRead     right = "node:read"
	serviceRead  right = "service:read"
	sessionRead  right = "session:read"
	sessionWrite right = "session:write"
)

// rule is what grants the right in a policy, for what has not been allowed.
func (r right) rule(what string) string {
	kind, policy, _ := strings.Cut(string(r), ":")
	name := map[right]string{keyRead: prefix, keyWrite: prefix, eventRead: "deploy", eventWrite: "deploy"}[r]
	if _, key, _ := strings.Cut(what, " "); kind == "key" && strings.HasPrefix(key, manifests) {
		name = manifests
	}
	return fmt.Sprintf("%s_prefix %q { policy = %q }", kind, name, policy)
}

// grants are the rights that a client has had, and those that it does not get.
type grants struct {
	mu     sync.Mutex
	had    map[right]bool
	denied map[right]denial
}

// denial is since when a right is not given, and how often it has been asked for.
type denial struct {
	since time.Time
	times int
}

// granted notes that a request which needs a right has had its answer.
func (g *grants) granted(r right) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.had[r], g.had[""] = true, true
	delete(g.denied, r)
	delete(g.denied, "")
}

// refuse notes that one has not, and tells what is known of that right.
func (g *grants) refuse(r right) (denial, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := g.denied[r]
	if d.times++; d.times == 1 {
		d.since = time.Now()
	}
	g.denied[r] = d
	return d, g.had[r]
}

// barred is why Consul does not serve a host, however long that waits.
type barred struct {
	says  string
	right right // that is missing; "" = it is something else
	hint  string
	denial
	had bool // it was served before
}

// Error says why.
func (b *barred) Error() string { return b.says }

// Is says that the host has no answer of use: who can do without goes on as if Consul
// were away.
func (b *barred) Is(target error) bool {
	return target == fleet.ErrBarred || target == fleet.ErrUnreachable
}

// failed is the error of a request that had no answer of use, and needs a right.
func (c *Client) failed(r right, what string, err error) error {
	b := barredBy(err)
	if b == nil {
		return fmt.Errorf("%s: %w: %w", what, fleet.ErrUnreachable, err)
	}
	if b.right = ""; b.says == notAllowed {
		b.right = r
		b.hint = "the policy of the token that CONSUL_HTTP_TOKEN or CONSUL_HTTP_TOKEN_FILE names lacks: " + r.rule(what)
	}
	b.denial, b.had = c.refuse(b.right)
	if b.right != "" {
		return failure.Hinted(b.hint, fmt.Errorf("%s: %w, %s is missing: %w", what, b, r, err))
	}
	return failure.Hinted(b.hint, fmt.Errorf("%s: %w: %w", what, b, err))
}

// listed is the error of a list from which Consul has left out what the token may not
// see, or which could not be had.
func (c *Client) listed(r right, what string, meta *api.QueryMeta, err error) error {
	switch {
	case err != nil:
		return c.failed(r, what, err)
	case meta != nil && meta.ResultsFilteredByACLs:
		return c.failed(r, what, errors.New("permission denied: consul leaves out some of it"))
	}
	c.granted(r)
	return nil
}

// whole is listed of the keys below a prefix. Who has no token is not told that some of
// them are left out, but that he may not read there.
func (c *Client) whole(ctx context.Context, prefix string, meta *api.QueryMeta, err error) error {
	if err = c.listed(keyRead, "list "+prefix, meta, err); err == nil {
		_, err = c.get(ctx, prefix)
	}
	return err
}

// unreached is an error of who did not get an answer that is of use, whatever it asks.
func unreached(what string, err error) error {
	return fmt.Errorf("%s: %w: %w", what, fleet.ErrUnreachable, err)
}

// What is said of who is not let in.
const (
	notAllowed = "consul does not allow it"
	notKnown   = "consul does not know the token"
)

// barredBy tells why an error is not that of an outage; nil = it is.
func barredBy(err error) *barred {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return mistrusted(err)
	}
	switch text := strings.ToLower(err.Error()); {
	case strings.Contains(text, "acl not found"):
		return &barred{says: notKnown, hint: "CONSUL_HTTP_TOKEN or CONSUL_HTTP_TOKEN_FILE names it; one that has been " +
			"removed is not known any more"}
	case strings.Contains(text, "permission denied"):
		return &barred{says: notAllowed}
	}
	if status := (api.StatusError{}); errors.As(err, &status) {
		return barredByStatus(status)
	}
	return mistrusted(err)
}

// barredByStatus is barredBy of an answer.
func barredByStatus(status api.StatusError) *barred {
	switch code := status.Code; {
	case code == http.StatusForbidden:
		return &barred{says: notAllowed}
	case code == http.StatusUnauthorized:
		return &barred{says: "consul does not know who asks", hint: "CONSUL_HTTP_AUTH=USER:PASSWORD says it to a server " +
			"before Consul, CONSUL_HTTP_TOKEN to Consul"}
	case strings.Contains(status.Body, "HTTP request to an HTTPS server"):
		return &barred{says: "consul expects TLS", hint: "CONSUL_HTTP_SSL=true, or https:// in CONSUL_HTTP_ADDR"}
	case strings.Contains(status.Body, "Enterprise feature"):
		return &barred{says: "this consul has no namespaces and no partitions",
			hint: "CONSUL_NAMESPACE and CONSUL_PARTITION are for Consul Enterprise: unset them"}
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests:
		return nil
	case code >= 300 && code < 500:
		return &barred{says: "this is not how consul answers", hint: "CONSUL_HTTP_ADDR says where it is"}
	}
	return nil
}

// mistrusted is barredBy of a connection.
func mistrusted(err error) *barred {
	var certificate *tls.CertificateVerificationError
	var op *net.OpError
	switch {
	case errors.As(err, &certificate):
		return &barred{says: "it is not known that this is consul", hint: "CONSUL_CACERT or CONSUL_CAPATH names who has " +
			"signed its certificate, CONSUL_TLS_SERVER_NAME the name that is in there"}
	case errors.Is(err, http.ErrSchemeMismatch):
		return &barred{says: "consul expects no TLS", hint: "CONSUL_HTTP_SSL, and https:// in CONSUL_HTTP_ADDR, are for TLS"}
	case !errors.As(err, &op):
	case op.Op == "remote error":
		return &barred{says: "consul does not trust this host", hint: "CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY name a " +
			"certificate that Consul's CA has signed"}
	case op.Net == "unix" && errors.Is(err, fs.ErrPermission):
		return &barred{says: "this user may not use the socket of consul", hint: "CONSUL_HTTP_ADDR names it"}
	}
	return nil
}
