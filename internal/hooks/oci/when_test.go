package oci

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// describe prints a definition on one line.
func describe(d *Definition) string {
	timeout := 0
	if d.Hook.Timeout != nil {
		timeout = *d.Hook.Timeout
	}
	tri := func(b *bool) string {
		if b == nil {
			return ""
		}
		return fmt.Sprint(*b)
	}
	var pairs []string
	for _, p := range d.When.Annotations {
		pairs = append(pairs, p.Key.String()+"="+p.Value.String())
	}
	return fmt.Sprintf("%s %v %v %d any=%t always=%s %v %v mounts=%s %v", d.Hook.Path, d.Hook.Args, d.Hook.Env, timeout,
		d.When.Any, tri(d.When.Always), pairs, d.When.Commands, tri(d.When.HasBindMounts), d.Stages)
}

// cond is a column of the truth table: what a condition comes to.
type cond int

const (
	absent cond = iota
	met
	unmet
)

func (c cond) String() string { return [...]string{"absent", "met", "unmet"}[c] }

// build makes a When of the four conditions, to be matched with deployment.
func build(t *testing.T, or bool, always, mounts, annotation, command cond) When {
	t.Helper()
	flag := func(c cond) *bool {
		if c == absent {
			return nil
		}
		b := c == met
		return &b
	}
	pattern := func(c cond, good string) string {
		if c == met {
			return good
		}
		return "nothing"
	}
	w := When{Any: or, Always: flag(always), HasBindMounts: flag(mounts)}
	if annotation != absent {
		p, err := newPair("^team$", pattern(annotation, "^web$"))
		must(t, err)
		w.Annotations = []Pair{p}
	}
	if command != absent {
		w.Commands = []*regexp.Regexp{regexp.MustCompile("never"), regexp.MustCompile(pattern(command, "systemctl$"))}
	}
	return w
}

var deployment = Deployment{
	Annotations: map[string]string{"team": "web", "zone": "a"}, Commands: []string{"echo",
		"/usr/bin/systemctl"}, BindMounts: true,
}

// rows are all combinations of n conditions.
func rows(n int) [][]cond {
	if n == 0 {
		return [][]cond{nil}
	}
	var all [][]cond
	for _, row := range rows(n - 1) {
		for _, c := range []cond{absent, met, unmet} {
			all = append(all, append(slices.Clone(row), c))
		}
	}
	return all
}

// TestTruthTable crosses all conditions. Expected, from the reference: ANDed,
// any unmet condition refuses and at least one must be met; ORed, one met is
// enough.
func TestTruthTable(t *testing.T) {
	for _, or := range []bool{false, true} {
		for _, row := range rows(4) {
			yes, no := slices.Contains(row, met), slices.Contains(row, unmet)
			want := yes && (or || !no)
			w := build(t, or, row[0], row[1], row[2], row[3])
			if got, why := w.Match(deployment); got != want || why == "" {
				t.Errorf("or %v; always, mounts, annotation, command %v: %v because %q, want %v", or, row, got, why, want)
			}
		}
	}
}

func TestConditionsInDetail(t *testing.T) {
	const head = `{"version": "1.0.0", "hook": {"path": "/h"}, "stages": [], "when": `
	for _, tc := range []struct{ name, def, explain string }{
		{"always", head + `{"always": true}}`, "runs: always is true"},
		{"never", head + `{"always": false}}`, "skipped: always is false"},
		{"nothing", head + `{}}`, "skipped: has no condition"},
		{"mounts wanted", head + `{"hasBindMounts": true}}`, "runs: a container hook mounts the tree"},
		{"no mounts wanted", head + `{"always": true, "hasBindMounts": false}}`,
			"skipped: hasBindMounts is false, which never holds"},
		{"unanchored", head + `{"annotations": {"ea": "e"}}}`, "runs: annotation team matches e"},
		{"value", head + `{"annotations": {"^team$": "^ops$"}}}`, "skipped: annotation team does not match ^ops$"},
		{"key", head + `{"annotations": {"^crew$": "."}}}`, "skipped: no annotation's name matches ^crew$"},
		{"all pairs", head + `{"annotations": {"^team$": "^web$", "^zone$": "^b$"}}}`,
			"skipped: annotation zone does not match ^b$"},
		{"any key", head + `{"annotations": {".": "^a$"}}}`, "runs: annotation zone matches ^a$"},
		{"commands", head + `{"commands": ["^x$", "/systemctl$"]}}`, "runs: command /usr/bin/systemctl matches /systemctl$"},
		{"no command", head + `{"commands": ["^x$", "^y$"]}}`, "skipped: no command matches ^x$, ^y$"},
		{"empty commands", head + `{"commands": []}}`, "skipped: has no condition"},
		{"any of", `{"hook": "/h", "stages": [], "cmds": ["^x$"], "annotations": ["^web$"]}`,
			"runs: annotation team matches ^web$"},
		{"none of", `{"hook": "/h", "stages": [], "cmds": ["^x$"], "annotations": ["^b$"], "hasbindmounts": false}`,
			"skipped: hasBindMounts is false, which never holds, annotation team, zone does not match ^b$, " +
				"no command matches ^x$"},
		{"any value", `{"hook": "/h", "stages": [], "annotations": []}`, "runs: annotation team matches "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := Read([]byte(tc.def))
			must(t, err)
			if got := Explain(*d, deployment); got != tc.explain {
				t.Errorf("\n got %s\nwant %s", got, tc.explain)
			}
		})
	}
}

func TestNothingToMatch(t *testing.T) {
	for _, or := range []bool{false, true} {
		for _, w := range []When{build(t, or, absent, absent, met, absent), build(t, or, absent, met, absent, absent),
			build(t, or, absent, absent, absent, met)} {
			if fires, why := w.Match(Deployment{}); fires || strings.HasPrefix(why, "has no") {
				t.Errorf("fires %v because %q", fires, why)
			}
		}
	}
}
