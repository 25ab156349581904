package policy

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestHooks(t *testing.T) {
	p, err := Load(write(t, `
hooks:
  dirs: [/etc/stretcher/hooks.d, /opt/hooks]
  oci_dirs: /etc/containers/oci/hooks.d
  required: [ensure_user, after_install/check]
  term_after: 5s
  kill_after: 7
  engine: docker
  engine_args: [--host, "unix:///run/d"]
  build_args: [--pull]
  run_args: [--network, none]
history: {json: /var/log/stretcher.jsonl}
`), true)
	if err != nil {
		t.Fatal(err)
	}
	want := Hooks{
		Dirs: []string{"/etc/stretcher/hooks.d", "/opt/hooks"}, OCIDirs: []string{"/etc/containers/oci/hooks.d"},
		Required:  []string{"ensure_user", "after_install/check"},
		TermAfter: Span(5 * time.Second), KillAfter: Span(7 * time.Second),
		Engine: "docker", EngineArgs: []string{"--host",
			"unix:///run/d"}, BuildArgs: []string{"--pull"}, RunArgs: []string{"--network", "none"},
	}
	if !reflect.DeepEqual(p.Hooks, want) || p.History.JSON != "/var/log/stretcher.jsonl" {
		t.Errorf("policy = %+v", p)
	}
}

func TestHookTimes(t *testing.T) {
	for _, tc := range []struct{ term, kill, wantTerm, wantKill time.Duration }{
		{0, 0, 30 * time.Second, 60 * time.Second},
		{time.Second, 0, time.Second, 60 * time.Second},
		{2 * time.Minute, 0, 2 * time.Minute, 2 * time.Minute},
		{0, time.Second, time.Second, time.Second},
		{0, time.Hour, 30 * time.Second, time.Hour},
		{time.Second, 2 * time.Second, time.Second, 2 * time.Second},
	} {
		term, kill := Hooks{TermAfter: Span(tc.term), KillAfter: Span(tc.kill)}.Times()
		if term != tc.wantTerm || kill != tc.wantKill {
			t.Errorf("%s, %s: times %s, %s", tc.term, tc.kill, term, kill)
		}
	}
}

func TestDoubtfulHooksAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"hooks: {dirs: [hooks.d]}":                     `hooks.dirs: "hooks.d" is not an absolute path`,
		"hooks: {oci_dirs: [hooks.d]}":                 `hooks.oci_dirs: "hooks.d" is not an absolute path`,
		"hooks: {required: ['']}":                      "hooks.required: has an empty name",
		"hooks: {term_after: soon}":                    `hooks.term_after: "soon" is not a time span`,
		"hooks: {term_after: 1e10}":                    `hooks.term_after: "1e10" is not a time span`,
		"hooks: {term_after: 0}":                       `hooks.term_after: "0" is not a time span`,
		"hooks: {kill_after: -1s}":                     `hooks.kill_after: "-1s" is not a time span`,
		"hooks: {term_after: 9s, kill_after: 8s}":      "hooks.kill_after: 8s is before term_after, 9s",
		"hooks: {term: 30s}":                           "hooks.term: unknown key",
		"hooks: {enginee: podman}":                     `hooks.enginee: unknown key, did you mean "engine"?`,
		"history: {json: stretcher.jsonl}":             `history.json: "stretcher.jsonl" is not an absolute path`,
		"allow: {dests: [/a]}\nhooks: {dirs: [/a, b]}": `hooks.dirs: "b" is not an absolute path`,
	} {
		_, err := Load(write(t, text), true)
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: err = %v, want %s", text, err, want)
		}
	}
}
