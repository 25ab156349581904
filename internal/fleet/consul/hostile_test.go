package consul_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stretcher/internal/fleet"
	"stretcher/internal/fleet/consul"
	"stretcher/internal/testparts"
)

// rewrite changes a document in KV, as who may write there and has no key to sign with.
func (s *scene) rewrite(part string, change func(doc map[string]any)) {
	s.t.Helper()
	base := "/v1/kv/stretcher/fleet/" + s.name + "/"
	var keys []string
	if err := json.Unmarshal(request(s.t, s.agent, "GET", base+"?keys="), &keys); err != nil {
		s.t.Fatal(err)
	}
	for _, key := range keys {
		if !strings.HasSuffix(key, part) {
			continue
		}
		doc := map[string]any{}
		if err := json.Unmarshal(request(s.t, s.agent, "GET", "/v1/kv/"+key+"?raw="), &doc); err != nil {
			s.t.Fatal(err)
		}
		change(doc)
		text, err := json.Marshal(doc)
		if err != nil {
			s.t.Fatal(err)
		}
		s.agent.Put(s.t, "/v1/kv/"+key, string(text))
		return
	}
	s.t.Fatalf("no %q among %v", part, keys)
}

// TestLimitsOfManifest: limits in KV that are wider than those of the manifest are not
// believed, by hosts that wait and by those that come; nor is a shard's own word.
func TestLimitsOfManifest(t *testing.T) {
	a := agent(t)
	register(t, a, 4)
	s := newScene(t, a, "wide", 4)
	first, _ := s.works("1", 0)
	second, told := s.waits("1", 1)
	s.rewrite("/s/0", func(doc map[string]any) { doc["cap"] = 1000 })
	third, late := s.waits("1", 2)
	select {
	case err := <-told:
		t.Errorf("a second one goes to work: %v", err)
	case err := <-late:
		t.Errorf("who comes later goes to work: %v", err)
	case <-time.After(2 * lease):
	}
	s.rewrite("/head", func(doc map[string]any) { doc["limits"].(map[string]any)["parallel"] = 3 })
	testparts.WaitFor(t, "the manifest's limit to hold", func() bool { return s.read().Limits.Parallel == 1 })
	select {
	case err := <-told:
		t.Errorf("a second one goes to work: %v", err)
	case err := <-late:
		t.Errorf("a third one goes to work: %v", err)
	case <-time.After(lease):
	}
	s.leaves(first, "good")
	next, last, late2 := second, third, late
	select {
	case err := <-told:
		s.gets(now(err), nil)
	case err := <-late:
		s.gets(now(err), nil)
		next, last, late2 = third, second, told
	}
	s.leaves(next, "good")
	s.gets(late2, nil)
	s.leaves(last, "good")
}

// now is a channel that tells it at once.
func now(err error) <-chan error {
	told := make(chan error, 1)
	told <- err
	return told
}

// TestTextsOfOthers: what is in KV reaches people without what moves their cursors.
func TestTextsOfOthers(t *testing.T) {
	a := agent(t)
	register(t, a, 4)
	s := newScene(t, a, "texts", 4)
	first, _ := s.works("1", 0)
	s.leaves(first, "good")
	s.rewrite("/head", func(doc map[string]any) {
		doc["phase"], doc["why"], doc["group"] = "stopped", "\x1b[2Jgone\nnext", "\u202egroup"
	})
	_, err := s.enter(s.entry("1", 1)).Wait(t.Context())
	if !errors.Is(err, fleet.ErrStopped) || strings.ContainsAny(err.Error(), "\x1b\n") {
		t.Errorf("%q", err)
	}
	if state := s.read(); strings.ContainsAny(state.Why, "\x1b\n") || strings.Contains(state.Group, "\u202e") {
		t.Errorf("%+v", state)
	}
	s.rewrite("/head", func(doc map[string]any) { doc["why"] = strings.Repeat("x", 100_000) })
	if _, err := s.enter(s.entry("1", 2)).Wait(t.Context()); err == nil || len(err.Error()) > 4096 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

// TestPartlyRemoved: somebody removes a part of what the rollout wrote, and the session
// of the host at work ends: the next rollout waits until it can't be at work any more.
func TestPartlyRemoved(t *testing.T) {
	a := agent(t)
	register(t, a, 4)
	for name, keys := range map[string]string{"the head": "/head", "the shards": "/s/"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, a, "partly-"+keys[1:2], 4)
			dead := &severed{}
			client, err := consul.Open(consul.Config{Address: a.HTTPAddr, Token: a.Token, Wrap: dead.wrap})
			if err != nil {
				t.Fatal(err)
			}
			first, err := client.Enter(t.Context(), s.entry("1", 0))
			if err != nil {
				t.Fatal(err)
			}
			work, err := first.Wait(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			dead.cut.Store(true)
			for _, id := range sessions(t, a, s.name) {
				request(t, a, "PUT", "/v1/session/destroy/"+id)
			}
			s.remove(keys)
			next, _ := s.works("2", 1)
			if work.Err() == nil {
				t.Error("two are at work")
			}
			s.leaves(next, "good")
		})
	}
}

// remove removes the keys with a part in their names.
func (s *scene) remove(part string) {
	s.t.Helper()
	var keys []string
	list := request(s.t, s.agent, "GET", "/v1/kv/stretcher/fleet/"+s.name+"/?keys=")
	if err := json.Unmarshal(list, &keys); err != nil {
		s.t.Fatal(err)
	}
	for _, key := range keys {
		if strings.Contains(key, part) {
			request(s.t, s.agent, "DELETE", "/v1/kv/"+key)
		}
	}
}

// severed is a network that is cut, or loses answers.
type severed struct {
	cut   atomic.Bool
	loses atomic.Int64 // so many answers to transactions
	next  http.RoundTripper
}

func (s *severed) wrap(next http.RoundTripper) http.RoundTripper {
	s.next = next
	return s
}

// RoundTrip sends a request, unless the network is cut.
func (s *severed) RoundTrip(req *http.Request) (*http.Response, error) {
	if s.cut.Load() {
		return nil, errCut
	}
	resp, err := s.next.RoundTrip(req)
	if err == nil && req.URL.Path == "/v1/txn" && s.loses.Add(-1) >= 0 {
		resp.Body.Close()
		return nil, errCut
	}
	return resp, err
}

// TestBeginsOnce: a host that does not hear that it has begun a rollout does not wait
// for itself.
func TestBeginsOnce(t *testing.T) {
	a := agent(t)
	register(t, a, 4)
	for lost := range int64(3) {
		net := &severed{}
		net.loses.Store(lost)
		client, err := consul.Open(consul.Config{Address: a.HTTPAddr, Token: a.Token, Wrap: net.wrap,
			Log: func(format string, args ...any) { t.Errorf(format, args...) }})
		if err != nil {
			t.Fatal(err)
		}
		e := entry("1", 0, fleet.Rollout{Hosts: hosts(1), Lease: fleet.Span(time.Minute),
			Timeout: fleet.Span(testparts.Limit(30 * time.Second))})
		e.Name = "begins" + string(rune('a'+lost))
		place, err := client.Enter(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := place.Wait(t.Context()); err != nil {
			t.Errorf("%d answers lost: %v", lost, err)
		}
		if err := place.Leave(t.Context(), fleet.Result{Result: "good"}); err != nil {
			t.Error(err)
		}
	}
}

// TestRetryWhileGoing: a rollout in which hosts wait is not repeated for others; one
// that was repeated goes on for all.
func TestRetryWhileGoing(t *testing.T) {
	a := agent(t)
	register(t, a, 4)
	s := newScene(t, a, "going", 4)
	bad, _ := s.works("1", 0)
	s.leaves(bad, "failed")
	first, _ := s.works("1", 1)
	second, told := s.waits("1", 2)
	if err := s.c.Retry(t.Context(), s.name, "me"); err == nil {
		t.Error("hosts wait, and it is for others")
	}
	s.leaves(first, "good")
	s.gets(told, nil)
	s.leaves(second, "good")
	if err := s.c.Retry(t.Context(), s.name, "me"); err != nil {
		t.Fatal(err)
	}
	again, _ := s.works("1", 0)
	s.leaves(again, "good")
	if err := s.c.Resume(t.Context(), s.name, "me"); err != nil {
		t.Fatal(err)
	}
	last, _ := s.works("1", 3)
	s.leaves(last, "good")
}
