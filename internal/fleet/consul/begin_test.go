package consul_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"stretcher/internal/fleet"
)

// TestBegins plays what can be in the way of who begins a rollout.
func TestBegins(t *testing.T) {
	a := agent(t)
	register(t, a, 4)
	for name, play := range map[string]func(*scene){"left": left, "spoilt": spoilt, "many": many} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(newScene(t, a, name, 4))
		})
	}
}

// left: who began has died; another begins after a lease.
func left(s *scene) {
	s.agent.Put(s.t, "/v1/kv/stretcher/fleet/left/head",
		`{"id":"id-1","gen":"ab","by":"web-3","phase":"begin","drain":[{}]}`)
	place, _ := s.works("1", 0)
	s.leaves(place, "good")
}

// spoilt: what somebody else has written stops all who read it.
func spoilt(s *scene) {
	for _, text := range []string{"", "{", `{"id":"id-1","gen":"../x","phase":"open"}`, strings.Repeat("x", 400_000)} {
		s.agent.Put(s.t, "/v1/kv/stretcher/fleet/spoilt/head", text)
		place := s.enter(s.entry("1", 0))
		if _, err := place.Wait(s.t.Context()); !errors.Is(err, fleet.ErrStopped) {
			s.t.Errorf("%.20q: %v", text, err)
		}
		if err := s.c.Stop(s.t.Context(), s.name, "by hand"); err == nil {
			s.t.Errorf("%.20q: it is stopped", text)
		}
	}
}

// many: of the rollouts before, the results of the last ones are kept, and what hosts
// run is told by them.
func many(s *scene) {
	for i := range 8 {
		for host := range 1 + i%2 {
			place, _ := s.works(fmt.Sprint(i), host)
			s.leaves(place, "good")
		}
	}
	var series []string
	text := request(s.t, s.agent, "GET", "/v1/kv/stretcher/fleet/many/res/?keys&separator=/")
	if err := json.Unmarshal(text, &series); err != nil {
		s.t.Fatal(err)
	}
	if len(series) != 5 {
		s.t.Errorf("%d are kept", len(series))
	}
	for _, h := range s.read().Hosts {
		if h.Node == "web-0" && h.Runs != "7" || h.Node == "web-1" && h.Runs != "7" {
			s.t.Errorf("%+v", h)
		}
	}
}
