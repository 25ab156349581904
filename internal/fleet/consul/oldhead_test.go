package consul_test

import (
	"fmt"
	"strings"
	"testing"

	"stretcher/internal/fleet"
)

// TestOldHead: a rollout in the middle of which the program of the hosts is replaced by
// this one goes on, whose head has less than one of today's, and what is not known.
func TestOldHead(t *testing.T) {
	a := agent(t)
	register(t, a, 4)
	s := newScene(t, a, "old", 4)
	first, _ := s.works("0", 0)
	s.leaves(first, "good")
	first, _ = s.works("1", 0)
	second, told := s.waits("1", 1)
	s.rewrite("/head", func(doc map[string]any) {
		for _, key := range []string{"series", "index", "since", "silent", "owed", "url", "hint"} {
			delete(doc, key)
		}
		for _, past := range doc["past"].([]any) {
			delete(past.(map[string]any), "series")
			delete(past.(map[string]any), "index")
		}
		delete(doc["limits"].(map[string]any), "timeout_ms")
		doc["later"] = map[string]any{"what": []int{1}}
	})
	s.rewrite("/s/0", func(doc map[string]any) { doc["later"] = true })
	s.leaves(first, "good")
	s.gets(told, nil)
	if err := s.c.Stop(t.Context(), s.name, "by hand"); err != nil {
		t.Fatal(err)
	}
	s.leaves(second, "good")
	s.does(s.c.Resume)
	s.isNotAsked("1", 0)
	third, _ := s.works("1", 2)
	s.leaves(third, "good")
	newer, _ := s.works("2", 0)
	s.leaves(newer, "good")
	if state := s.read(); state.Version != "2" || state.Count(fleet.HostGood) != 1 {
		t.Errorf("%+v", state)
	}
}

// TestLongMembers: a group whose members have long names and zones is written in parts
// that Consul takes.
func TestLongMembers(t *testing.T) {
	a := agent(t)
	const n = 400
	for i := range n {
		a.Register(t, longName(i), "web", map[string]string{"rack": strings.Repeat("<", 500)})
	}
	s := newScene(t, a, "long", 4)
	s.r.Hosts, s.r.Service, s.r.Zone = nil, "web", "node_meta.rack"
	e := s.entry("1", 0)
	e.Node = longName(0)
	place := s.enter(e)
	if _, err := place.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.leaves(place, "good")
	if state := s.read(); len(state.Hosts) != n {
		t.Errorf("%d hosts, of %d", len(state.Hosts), n)
	}
}

func longName(i int) string { return fmt.Sprintf("web-%s-%d", strings.Repeat("x", 40), i) }
