package consul_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul"
	"stretcher/internal/testparts"
)

// request asks Consul for something that hosts do not.
func request(t testing.TB, a testparts.ConsulAgent, method, path string) []byte {
	t.Helper()
	req, err := http.NewRequest(method, "http://"+a.HTTPAddr+strings.ReplaceAll(path, " ", "%2520"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Consul-Token", a.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s: %s, %v", method, path, resp.Status, text, err)
	}
	return text
}

// sessions are those of hosts at work.
func sessions(t testing.TB, a testparts.ConsulAgent, name string) (ids []string) {
	t.Helper()
	var all []struct{ ID, Name string }
	if err := json.Unmarshal(request(t, a, "GET", "/v1/session/list"), &all); err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if strings.Contains(s.Name, strings.ReplaceAll(name, " ", "%20")+"/") {
			ids = append(ids, s.ID)
		}
	}
	if len(ids) == 0 {
		t.Fatal("nobody has a session")
	}
	return ids
}

// TestOutOfReach: a host that does not reach Consul does what the rollout says; whom
// Consul does not know fails, whatever it says.
func TestOutOfReach(t *testing.T) {
	a := testparts.ConsulWithACL(t, "-hcl", `session_ttl_min = "1s"`)
	for _, what := range []fleet.OnUnreachable{fleet.Wait, fleet.Proceed, fleet.Fail} {
		for _, c := range []consul.Config{{Address: "127.0.0.1:1"}, {Address: a.HTTPAddr, Token: "no"}} {
			client, err := consul.Open(c)
			if err != nil {
				t.Fatal(err)
			}
			e := entry("1", 0, fleet.Rollout{Hosts: hosts(1), OnUnreachable: what, Timeout: fleet.Span(2 * time.Second)})
			unknown := c.Token != ""
			if unknown {
				e.Rollout.Timeout = fleet.Span(time.Hour)
			}
			place, err := client.Enter(t.Context(), e)
			if err != nil {
				t.Fatal(err)
			}
			_, err = place.Wait(t.Context())
			if (what == fleet.Proceed && !unknown) != (err == nil) || err == nil != place.Unlimited() {
				t.Errorf("%s, %s: %v", what, c.Address, err)
			}
			late := what == fleet.Wait && !unknown
			if err != nil && !errors.Is(err, fleet.ErrUnreachable) || errors.Is(err, fleet.ErrTimedOut) != late {
				t.Errorf("%s, %s: %v", what, c.Address, err)
			}
			if unknown != errors.Is(err, fleet.ErrBarred) ||
				unknown && !strings.Contains(err.Error(), "does not know the token") {
				t.Errorf("%s: %v", what, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			if err := place.Leave(ctx, fleet.Result{Result: "failed"}); err == nil {
				t.Error("it has told nobody, and does not say so")
			}
			cancel()
		}
	}
}

// TestRetryDies: who repeats a rollout dies in the middle of it: the host that comes next
// begins it after a lease, and it is still for those alone that have failed.
func TestRetryDies(t *testing.T) {
	a := agent(t)
	register(t, a, 4)
	s := newScene(t, a, "retried", 4)
	good, _ := s.works("1", 0)
	s.leaves(good, "good")
	bad, _ := s.works("1", 1)
	s.leaves(bad, "failed")
	s.rewrite("/head", func(doc map[string]any) {
		old := map[string]any{"id": doc["id"], "gen": doc["gen"], "series": doc["series"], "shards": doc["shards"],
			"lease_ms": int(lease.Milliseconds())}
		doc["gen"], doc["phase"], doc["only"] = "abcd", "begin", true
		doc["past"], doc["drain"] = []any{old}, []any{old}
	})
	if err := s.c.Retry(t.Context(), s.name, "me"); err == nil {
		t.Error("it is repeated twice at once")
	}
	again := s.enter(s.entry("1", 1))
	told := s.wait(again)
	if _, err := s.enter(s.entry("1", 0)).Wait(t.Context()); !errors.Is(err, fleet.ErrNotAsked) {
		t.Errorf("a host that has not failed: %v", err)
	}
	if its := <-told; its.err != nil {
		t.Fatal(its.err)
	}
	s.leaves(again, "good")
	if state := s.read(); state.Count(fleet.HostGood) != 2 || state.Limits.Parallel != 1 {
		t.Errorf("%+v", state)
	}
}
