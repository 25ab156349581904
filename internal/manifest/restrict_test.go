package manifest

import (
	"errors"
	"strings"
	"testing"

	"stretcher/internal/hooks/porter"
	"stretcher/internal/policy"
)

// TestRestrict: of each limit the tighter counts.
func TestRestrict(t *testing.T) {
	m := &Manifest{Src: []string{"s3://a/k", "s3://b/k"}, Bounds: Bounds{Limits: Limits{Archive: 10, Files: 7}}}
	host := &policy.Policy{Extract: policy.Strict, Limits: policy.Limits{Archive: 20, Unpacked: 30, Files: 5},
		Fetch: policy.Fetch{Connections: 2}}
	m.Restrict(host)
	if m.Limits != (Limits{10, 30, 5}) || m.Extract != policy.Strict || m.Fetch.Connections != 2 {
		t.Errorf("limits %+v, extract %s, fetch %+v", m.Limits, m.Extract, m.Fetch)
	}
}

// TestRulings: every mirror must be allowed, and all else that the policy has a
// rule for.
func TestRulings(t *testing.T) {
	full := func() *Manifest {
		return &Manifest{
			Src: []string{"s3://a/k", "s3://b/k"}, Dest: "/srv/app", SyncStrategy: "native", About: About{Name: "app"},
			Commands: Commands{Failure: []Command{{Run: "true"}}},
		}
	}
	hooks := full()
	hooks.Commands, hooks.Hooks = Commands{}, porter.Lists{"x": {{Run: "true"}}}
	files := full()
	files.Commands, files.Hooks = Commands{}, porter.Lists{"x": {}}
	container := full()
	container.Hooks = porter.Lists{"post_sync": {{Dockerfile: "Dockerfile"}}}
	named := full()
	named.Hooks = porter.Lists{"mine": {{Dockerfile: "Dockerfile"}}}
	value := "value"
	passing := full()
	passing.Env = porter.Environment{"SET": &value, "PASSED": nil}
	passing.Hooks = porter.Lists{"mine": {{Run: "true", Environment: porter.Environment{"SET": &value, "HOOKS": nil}}}}
	alone := full()
	alone.Src = nil
	for _, tc := range []struct {
		policy string
		m      *Manifest
		want   string
	}{
		{"{}", full(), ""},
		{"allow: {sources: ['s3://a/', 's3://b/']}", full(), ""},
		{"allow: {sources: ['s3://a/']}", full(), `src "s3://b/k" is not allowed: allow.sources, line 1 of "policy.yml"`},
		{"allow: {names: [app]}", full(), ""},
		{"allow:\n  names: [App, ap, app2]", full(), `name "app" is not allowed: allow.names, line 2 of "policy.yml"`},
		{"allow: {names: [app]}", &Manifest{}, `name "" is not allowed`},
		{"allow: {strategies: [native]}", full(), ""},
		{"allow: {strategies: [releases]}", full(), `sync_strategy "native" is not allowed`},
		{"allow: {strategies: [releases]}", alone, ""},
		{"commands: deny", full(), `("commands.failure") is not allowed: commands, line 1 of "policy.yml"`},
		{"commands: deny", hooks, "is not allowed: commands"},
		{"commands: deny", files, ""},
		{"run_as: app", full(), ""},
		{"run_as: app", named, ""},
		{"run_as: app", container, `a container of the manifest's is not allowed: run_as, line 1 of "policy.yml"`},
		{"env: [PASSED, HOOKS]", passing, ""},
		{"env: [HOOKS]", passing, `variable "PASSED" is not allowed: env, line 1 of "policy.yml"`},
		{"env: [PASSED]", passing, `variable "HOOKS" is not allowed`},
		{"env: []", full(), ""},
		{"allow: {dests: [/srv]}", full(), ""},
		{"allow: {dests: [/var]}", full(), `dest "/srv/app" is not allowed: allow.dests, line 1`},
	} {
		host, err := policy.Parse("policy.yml", []byte(tc.policy))
		if err != nil {
			t.Fatal(err)
		}
		err = policy.Refusal(tc.m.Rulings(host))
		if (err == nil) != (tc.want == "") || err != nil &&
			(!errors.Is(err, policy.ErrRefused) || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%q: %v, want %s", tc.policy, err, tc.want)
		}
	}
}

// TestPoints: the points are the keys of commands, in the order of the
// process.
func TestPoints(t *testing.T) {
	m, _, err := parsed("commands: {pre: a, post: b, verify: c, success: d, failure: e}")
	if err != nil {
		t.Fatal(err)
	}
	order := ""
	for _, p := range m.Commands.Points() {
		order += p.Name + " " + p.Commands[0].Run + " "
		if !IsPoint(p.Name) || m.Commands.At(p.Name)[0].Run != p.Commands[0].Run {
			t.Errorf("point %s", p.Name)
		}
	}
	if order != "pre a post b verify c success d failure e " {
		t.Errorf("order %q", order)
	}
	if IsPoint("sync") || m.Commands.At("sync") != nil {
		t.Error("sync is no point of commands")
	}
}
