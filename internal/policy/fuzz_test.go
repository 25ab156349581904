package policy

import (
	"errors"
	"strings"
	"testing"
)

// FuzzParse: a file is a policy or a refusal, and what is refused is no policy.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "extract: strict", "allow: {manifests: ['s3://a/'], names: x}", "trust: {keys: /k, threshold: 2}", "env: []",
		"commands: deny\nrollback: ~", "a: &a {allow: *a}", "<<: {run_as: x}", "hooks: &h {dirs: /a}\ncache: *h", "- x",
		"limits: {rate: 0, files: 9}", "allow: {sources: ['https://h/%2f']}", "\xff", "run_as: ''",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse("policy.yml", text)
		if err != nil {
			if p != nil || !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), `config "policy.yml": `) {
				t.Errorf("%v, %v", p, err)
			}
			return
		}
		if again, err := Parse("policy.yml", text); err != nil || again.String() != p.String() {
			t.Errorf("once %s, then %s, %v", p, again, err)
		}
		if _, threshold, signed := p.Signed(); signed && (threshold < 1 || !p.RequireState) {
			t.Errorf("threshold %d, state required %v", threshold, p.RequireState)
		}
	})
}

// FuzzLayers: whatever a drop-in says, it allows nothing that was not allowed
// before, and raises no limit.
func FuzzLayers(f *testing.F) {
	files := []string{
		"", "extract: strict", "commands: deny", "commands: allow", "rollback: deny\nrequire_state: true",
		"allow: {manifests: ['s3://a/'], sources: ['s3://a/b'], dests: [/srv], names: [a], strategies: [mv], users: [root]}",
		"allow: {manifests: [], names: [b, a]}", "env: [A, B]", "env: []", "trust: {keys: /k, threshold: 3}",
		"trust: {keys: /k}", "run_as: www", "limits: {archive: 1MB, unpacked: 2, files: 3, rate: 2kB}",
		"limits: {manifest: 1, rate: 0}", "hooks: {dirs: [/a], required: [x], term_after: 5, kill_after: 6}",
	}
	for _, first := range files {
		for _, second := range files {
			f.Add(first, second)
		}
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		before, together := &Policy{}, &Policy{}
		if before.add("first", []byte(first)) != nil || together.add("first", []byte(first)) != nil ||
			together.add("second", []byte(second)) != nil {
			return
		}
		after, err := together.whole("policy")
		if err != nil {
			return
		}
		if before, err = before.whole("policy"); err != nil {
			return
		}
		for subject, values := range samples() {
			for _, value := range values {
				if Refusal(before.Ask(subject, value)) != nil && Refusal(after.Ask(subject, value)) == nil {
					t.Errorf("%s %q is allowed only after %q", subject, value, second)
				}
			}
		}
		if looser := looserThan(before, after); looser != "" {
			t.Errorf("%s: %q loosens %q", looser, second, first)
		}
	})
}

// samples are things that policies are asked about.
func samples() map[Subject][]string {
	urls := []string{"s3://a/b/c", "s3://a/x", "s3://b/", "https://h/", "file:///srv/a"}
	names := []string{"", "a", "b", "root", "mv", "A", "B"}
	return map[Subject][]string{
		Manifest: urls, Source: urls, Dest: {"/srv/a", "/var", "/"}, Name: names, Strategy: names, User: names,
		Variable: names, Commands: {""}, Rollback: {""},
	}
}

// looserThan names what is looser in the second policy; "" = nothing.
func looserThan(a, b *Policy) string {
	over := func(before, after int64) bool { return before > 0 && (after == 0 || after > before) }
	dirA, thresholdA, signedA := a.Signed()
	dirB, thresholdB, signedB := b.Signed()
	for what, looser := range map[string]bool{
		"limits.manifest": over(int64(a.Limits.Manifest), int64(b.Limits.Manifest)),
		"limits.archive":  over(int64(a.Limits.Archive), int64(b.Limits.Archive)),
		"limits.unpacked": over(int64(a.Limits.Unpacked), int64(b.Limits.Unpacked)),
		"limits.files":    over(a.Limits.Files, b.Limits.Files),
		"fetch":           over(int64(a.Fetch.Connections), int64(b.Fetch.Connections)),
		"limits.rate":     b.Limits.LeastRate() < a.Limits.LeastRate(),
		"extract":         a.Extract == Strict && b.Extract != Strict,
		"require_state":   a.RequireState && !b.RequireState,
		"trust":           signedA && (!signedB || dirA != dirB || thresholdB < thresholdA),
		"run_as":          a.RunAs() != "" && a.RunAs() != b.RunAs(),
		"hooks":           len(b.Hooks.Dirs) < len(a.Hooks.Dirs) || len(b.Hooks.Required) < len(a.Hooks.Required),
		"hooks.term_after": over(int64(a.Hooks.TermAfter), int64(b.Hooks.TermAfter)) ||
			over(int64(a.Hooks.KillAfter), int64(b.Hooks.KillAfter)),
	} {
		if looser {
			return what
		}
	}
	return ""
}
