package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"stretcher/internal/testparts"
)

// gossiped is the nth event of a test as Consul's agents tell it each other (its
// user_event.go): a MessagePack map of id, name, payload and version.
func gossiped(n int, name, payload string) string {
	var b strings.Builder
	b.WriteByte(0x84) // a map of four
	id := fmt.Sprintf("%08d-0000-4000-8000-%012d", n, n)
	for _, s := range []string{"ID", id, "n", name, "p", payload, "v"} {
		b.WriteByte(0xd9) // text of up to 255 bytes
		b.WriteByte(byte(len(s)))
		b.WriteString(s)
	}
	b.WriteByte(1)
	return b.String()
}

// gossipAsksNobody: who has the gossip key and no token at all can send an event.
// A host that wants signatures does not do what it asks for, and still does what
// is signed.
func gossipAsksNobody(t *testing.T, agent testparts.ConsulAgent, token string) {
	t.Helper()
	m := newMachine(t)
	m.write("token", token)
	m.write("trusted.d/README", "keys")
	m.write("policy.yml", "trust: {keys: "+m.path("trusted.d")+"}\n")
	m.run(nil, "keygen", "--no-password", m.path("trusted.d/release")).wants(0)
	for name, does := range map[string]string{"a.yml": "ran", "e.yml": "evil"} {
		m.write(name, fmt.Sprintf("name: app\nserial: 1\nexpires: 2100-01-01T00:00:00Z\ncommands: {pre: ['touch %s']}\n",
			m.path(does)))
	}
	for _, name := range []string{"a.yml", "e.yml"} { // the same signature for both
		m.run(nil, "sign", "--key", m.path("trusted.d/release.key"), "--output", m.path(name+".minisig"),
			m.path("a.yml")).wants(0)
	}
	base := testparts.Nginx(t, m.dir, "")
	key := regexp.MustCompile(`(?m)^encrypt += "(.+)"$`).FindStringSubmatch(exampleRules(t, "agent"))
	stranger := agent.Gossip(t, key[1])
	env := append(m.env, "CONSUL_HTTP_TOKEN_FILE="+m.path("token"))
	w := agent.Watch(t, "deploy", env, m.bin+" --config "+m.path("policy.yml"))
	says := func(from, text string) func() bool {
		return func() bool {
			_, after, _ := strings.Cut(w.Output(), from)
			return strings.Contains(after, text) || w.Exited()
		}
	}
	testparts.WaitFor(t, "the watch", says("", "\n"))
	stranger.Event(t, "consul:event:deploy", gossiped(1, "deploy", base+"/e.yml"))
	testparts.WaitFor(t, "the refusal", says(base+"/e.yml", "error: manifest: "))
	stranger.Event(t, "consul:event:deploy", gossiped(2, "deploy", base+"/a.yml"))
	testparts.WaitFor(t, "the signed one", says(base+"/a.yml", " done\n"))
	if _, err := os.Stat(m.path("ran")); err != nil {
		t.Errorf("what is signed did not run: %v\n%s", err, w.Output())
	}
	if _, err := os.Stat(m.path("evil")); err == nil || !strings.Contains(w.Output(), base+"/e.yml") {
		t.Errorf("commands ran that nobody has signed, or they were not asked for:\n%s", w.Output())
	}
	w.Stop()
}
