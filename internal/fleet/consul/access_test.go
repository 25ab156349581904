package consul_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul"
	"stretcher/internal/testparts"
	"stretcher/internal/text/failure"
)

// journal is what a client has told.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) tell(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, failure.Sayf(format, args...))
}

// has counts the lines with a part.
func (j *journal) has(part string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.lines {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

// as is a client with a token.
func (j *journal) as(t *testing.T, a testparts.ConsulAgent, token string) *consul.Client {
	t.Helper()
	c, err := consul.Open(consul.Config{Address: a.HTTPAddr, Token: token, Log: j.tell, Tell: j.tell})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// rights are those of hosts, by what each is for.
func rights() map[string]string {
	return map[string]string{
		"key:write":     `key_prefix "stretcher/fleet/" { policy = "write" }`,
		"session:write": `session_prefix "" { policy = "write" }`,
		"node:read":     `node_prefix "" { policy = "read" }`,
		"service:read":  `service_prefix "" { policy = "read" }`,
		"agent:read":    `agent_prefix "" { policy = "read" }`,
	}
}

// without are the rules of hosts but for one right, in the place of which others stand.
func without(right, instead string) string {
	rules := instead
	for name, rule := range rights() {
		if name != right {
			rules += "\n" + rule
		}
	}
	return rules
}

// TestRightIsMissing: a host whose token lacks a right fails at once, whatever the
// rollout says of a Consul that is away, and the error names the right.
func TestRightIsMissing(t *testing.T) {
	t.Parallel()
	a := testparts.ConsulWithACL(t)
	a.Register(t, "web-0", "web", nil)
	const reads = `key_prefix "stretcher/fleet/" { policy = "read" }`
	for i, c := range []struct{ right, instead, of, hint string }{
		{"key:read", "", "key:write", `key_prefix "stretcher/fleet/" { policy = "read" }`},
		{"key:write", reads, "key:write", rights()["key:write"]},
		{"session:write", "", "session:write", rights()["session:write"]},
		{"agent:read", "", "agent:read", rights()["agent:read"]},
	} {
		for _, what := range []fleet.OnUnreachable{fleet.Wait, fleet.Proceed, fleet.Fail} {
			name := fmt.Sprintf("%s-%s", strings.ReplaceAll(c.right, ":", "-"), what)
			client := new(journal).as(t, a, a.NewToken(t, name, without(c.of, c.instead)))
			e := entry("1", i, fleet.Rollout{Service: "web", OnUnreachable: what, Lease: fleet.Span(time.Minute)})
			if e.Name = name; c.right == "agent:read" {
				e.Node = ""
			}
			place, err := client.Enter(t.Context(), e)
			if err != nil {
				t.Fatal(err)
			}
			_, err = place.Wait(t.Context())
			if !errors.Is(err, fleet.ErrBarred) || place.Unlimited() || !strings.Contains(err.Error(), c.right+" is missing") {
				t.Errorf("%s: %v", name, err)
			}
			if !strings.Contains(failure.Hint(err), c.hint) {
				t.Errorf("%s: hint %q", name, failure.Hint(err))
			}
			ctx, cancel := context.WithTimeout(t.Context(), testparts.Limit(10*time.Second))
			_ = place.Leave(ctx, fleet.Result{Result: "failed"})
			if ctx.Err() != nil {
				t.Errorf("%s: it does not give up telling how it fared", name)
			}
			cancel()
		}
	}
}

// TestRevoked: who waits with a token that is revoked says so at once, and fails some
// time after; who is at work ends within its lease.
func TestRevoked(t *testing.T) {
	t.Parallel()
	a := testparts.ConsulWithACL(t, "-hcl", `session_ttl_min = "1s"`)
	register(t, a, 2)
	var said journal
	token := a.NewToken(t, "host", without("", ""))
	client := said.as(t, a, token)
	e := entry("1", 0, fleet.Rollout{Hosts: hosts(2), OnUnreachable: fleet.Proceed})
	first, err := client.Enter(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	work, err := first.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e.Node = "web-1"
	second, err := client.Enter(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 1)
	go func() {
		_, err := second.Wait(t.Context())
		told <- err
	}()
	testparts.WaitFor(t, "a host in the line", func() bool { return said.has("before this host in the line") > 0 })
	a.Revoke(t, token)
	err = <-told
	if !errors.Is(err, fleet.ErrBarred) || second.Unlimited() || said.has("this host is served no more") != 1 {
		t.Errorf("who waits: %v; said %q", err, said.lines)
	}
	<-work.Done()
	cause := context.Cause(work)
	if !errors.Is(cause, fleet.ErrLost) || !errors.Is(cause, fleet.ErrBarred) ||
		said.has("is not confirmed, and its work ends at") != 1 {
		t.Errorf("who works: %v; said %q", cause, said.lines)
	}
}

// TestLeftOut: what Consul leaves out of a list is missed, with a token and without.
func TestLeftOut(t *testing.T) {
	t.Parallel()
	a := testparts.ConsulWithACL(t)
	a.Put(t, "/v1/kv/stretcher/fleet/web/head", "{}")
	for name, token := range map[string]string{
		"nobody": "", "of others": a.NewToken(t, "others", `key_prefix "other/" { policy = "write" }`),
		"of one name":  a.NewToken(t, "one", `key_prefix "stretcher/fleet/app/" { policy = "read" }`),
		"of the heads": a.NewToken(t, "heads", `key "stretcher/fleet/app/head" { policy = "read" }`),
	} {
		client := new(journal).as(t, a, token)
		if names, err := client.Names(t.Context()); !errors.Is(err, fleet.ErrBarred) {
			t.Errorf("%s: names %q, %v", name, names, err)
		}
		if s, err := client.Read(t.Context(), "web"); !errors.Is(err, fleet.ErrBarred) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		want := fleet.ErrBarred
		if name == "of one name" {
			want = fleet.ErrUnknown
		}
		if s, err := client.Read(t.Context(), "app"); !errors.Is(err, want) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	all := new(journal).as(t, a, a.NewToken(t, "all", `key_prefix "stretcher/fleet/" { policy = "read" }`))
	if names, err := all.Names(t.Context()); err != nil || len(names) != 1 {
		t.Errorf("names %q, %v", names, err)
	}
}

// TestAwayIsSaid: a host that waits says that Consul is away, and that it is back.
func TestAwayIsSaid(t *testing.T) {
	t.Parallel()
	server := testparts.ConsulDurable(t, "-hcl", `session_ttl_min = "1s"`)
	register(t, server.ConsulAgent, 2)
	var said journal
	e := entry("1", 0, fleet.Rollout{Hosts: hosts(2), Lease: fleet.Span(time.Minute)})
	first, err := said.as(t, server.ConsulAgent, server.Token).Enter(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.Node = "web-1"
	second, err := said.as(t, server.ConsulAgent, server.Token).Enter(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan error, 1)
	go func() {
		_, err := second.Wait(t.Context())
		told <- err
	}()
	testparts.WaitFor(t, "a host in the line", func() bool { return said.has("before this host in the line") > 0 })
	server.Kill()
	testparts.WaitFor(t, "the host to say so", func() bool { return said.has("no answer of consul since") > 0 })
	server.Start(t)
	back := func() bool { return said.has("consul answers again, after ") > 0 }
	testparts.WaitFor(t, "the host to say that it is back", back)
	if said.has("this host waits until ") != 1 {
		t.Errorf("said %q", said.lines)
	}
	if err := first.Leave(t.Context(), fleet.Result{Result: "good"}); err != nil {
		t.Error(err)
	}
	if err := <-told; err != nil {
		t.Error(err)
	}
	if err := second.Leave(t.Context(), fleet.Result{Result: "good"}); err != nil {
		t.Error(err)
	}
}

// TestFailsInTheLine: a host that fails while it waits counts as one that fails at work.
func TestFailsInTheLine(t *testing.T) {
	t.Parallel()
	a := agent(t)
	register(t, a, 4)
	s := newScene(t, a, "line", 4)
	first, _ := s.works("1", 0)
	for i := range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		place, told := s.enter(s.entry("1", 1+i)), make(chan error, 1)
		go func() {
			_, err := place.Wait(ctx)
			told <- err
		}()
		testparts.WaitFor(t, "a host in the line", func() bool { return s.read().Count(fleet.HostWaiting) > 0 })
		cancel()
		s.gets(told, context.Canceled)
		s.leaves(place, "failed")
		if state := s.read(); state.Count(fleet.HostFailed) != i+1 || (state.Phase == fleet.Stopped) != (i > 0) {
			t.Errorf("%d have failed, 1 may: %+v", i+1, state)
		}
	}
	s.leaves(first, "good")
}

// TestNotYetMissing: who could not have come yet is expected, and missing after that.
func TestNotYetMissing(t *testing.T) {
	t.Parallel()
	a := agent(t)
	register(t, a, 4)
	s := newScene(t, a, "young", 2)
	first, _ := s.works("1", 0)
	s.leaves(first, "good")
	if state := s.read(); state.Count(fleet.HostExpected) != 1 || state.Verdict() != fleet.VerdictGoing || state.Ended() {
		t.Errorf("at once: %+v", state)
	}
	testparts.WaitFor(t, "the other one to be missing", func() bool { return s.read().Verdict() == fleet.VerdictMissing })

	second, _ := s.works("2", 1)
	_, late := s.waits("3", 0)
	s.rewrite("/head", func(doc map[string]any) { doc["began"] = time.Now().Add(-time.Hour) })
	state := s.read()
	if state.Count(fleet.HostExpected) != 1 || state.Verdict() != fleet.VerdictGoing ||
		!strings.Contains(state.Hosts[1].Note, "at work for the rollout before") {
		t.Errorf("at work for the one before: %+v", state)
	}
	s.leaves(second, "good")
	s.gets(late, nil)
}
