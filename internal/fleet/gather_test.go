package fleet

import (
	"fmt"
	"testing"
	"time"
)

// told is how it stands by what hosts have said, as one line.
func told(s State) string {
	text := s.Version + ":"
	for _, h := range s.Hosts {
		text += fmt.Sprintf(" %s=%s", h.Node, h.Standing)
		if h.Runs != "" {
			text += "(" + h.Runs + ")"
		}
		if h.Mixed {
			text += "(mixed)"
		}
	}
	return text
}

func TestHeard(t *testing.T) {
	at := time.Unix(1000, 0)
	good := func(node, version string) Result {
		return Result{Name: "web", Version: version, Node: node, Result: "good", Finished: at}
	}
	failed := Result{Name: "web", Version: "42", Node: "b", Result: "failed", Started: at.Add(time.Second)}
	for _, c := range []struct {
		heard         Heard
		version, want string
	}{
		{Heard{}, "", ":"},
		{Heard{Results: []Result{good("a", "42"), failed}}, "", "42: b=failed a=good(42)"},
		{Heard{Results: []Result{good("a", "42"), good("b", "41")}}, "", ": a=good(42) b=good(41)"},
		{Heard{Results: []Result{good("a", "42"), good("b", "41")}}, "42", "42: b=missing(41) a=good(42)"},
		{Heard{Results: []Result{good("a", "42"), failed}}, "43", "43: a=missing(42) b=missing"},
		{Heard{Results: []Result{good("b", "42"), failed}}, "", "42: b=failed"},
		{Heard{Results: []Result{{Name: "web", Node: "a", Version: "42", Runs: "41", Result: "died"}}}, "", "42: a=died(41)"},
		{Heard{Results: []Result{failed, good("b", "42")}}, "", "42: b=failed"},
		{Heard{Results: []Result{{Name: "web", Node: "a", Version: "42", Mixed: true, Result: "failed"}}}, "",
			"42: a=failed(mixed)"},
		{Heard{Results: []Result{{Name: "web", Node: "a", Version: "42", Runs: "41", Result: "good"}}}, "", "42: a=good(41)"},
		{Heard{Results: []Result{good("a", "42"), {Node: "c", Result: "refused"}}}, "42", "42: c=failed a=good(42)"},
		{Heard{Results: []Result{good("a", "42"), {Name: "api", Node: "c", Result: "good"}}}, "", "42: a=good(42)"},
		{Heard{Results: []Result{good("a", "42")}, Members: []string{"a", "d", "d"}}, "", "42: d=missing a=good(42)"},
		{Heard{Results: []Result{good("a", "42"), {Node: "c", Result: "never"}}}, "", "42: c=missing a=good(42)"},
	} {
		if got := told(c.heard.Rollout("web", c.version)); got != c.want {
			t.Errorf("%+v in %q: %s, want %s", c.heard, c.version, got, c.want)
		}
	}
}

func TestKnows(t *testing.T) {
	named := Result{Name: "web", Result: "good"}
	for _, c := range []struct {
		results   []Result
		web, api  bool
		countName int
	}{
		{nil, false, false, 0},
		{[]Result{named, named}, true, false, 1},
		{[]Result{named, {Result: "refused"}}, true, false, 1},
		{[]Result{{Result: "refused"}}, true, true, 0},
		{[]Result{{Result: "never"}, {Name: "web", Result: "never"}}, false, false, 0},
		{[]Result{{Name: "web", Result: "never"}, {Name: "api", Result: "good"}}, false, true, 1},
	} {
		h := Heard{Results: c.results}
		if h.Knows("web") != c.web || h.Knows("api") != c.api || len(h.Names()) != c.countName {
			t.Errorf("%+v: web %v, api %v, names %q", c.results, h.Knows("web"), h.Knows("api"), h.Names())
		}
	}
}
