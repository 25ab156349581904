package policy

import (
	"os"
	"path/filepath"
	"testing"

	"stretcher/internal/text/failure"
)

// TestRefusals: what is said of a refusal, whole, and what is to be done.
func TestRefusals(t *testing.T) {
	p := parsed(t, `
allow:
  manifests: ["https://h/apps"]
  names:
  - app
rollback: deny
commands: deny
run_as: www
env: [HOME]
`)
	const refused = "refused by the host policy: "
	for _, tc := range []struct {
		subject           Subject
		value, want, hint string
	}{
		{Manifest, "https://h/apps/a", "", ""},
		{Manifest, "https://u:p@i/a?q", `manifest "https://xxxxx@i/a?xxxxx" is not allowed: allow.manifests, line 3`, ""},
		{Manifest, "https://h/apps/a%2fb", `manifest "https://h/apps/a%2fb" is not allowed: allow.manifests, line 3`,
			`under a list of prefixes a path with "%2f" is not allowed`},
		{Manifest, "https://i/a%2fb", `manifest "https://i/a%2fb" is not allowed: allow.manifests, line 3`,
			`under a list of prefixes a path with "%2f" is not allowed`},
		{Name, "app", "", ""},
		{Name, "", `name "" is not allowed: allow.names, line 4`, ""},
		{Rollback, "", "a rollback is not allowed: rollback, line 6", ""},
		{Commands, "", "a command or hook of the manifest is not allowed: commands, line 7", ""},
		{Container, "", "a container of the manifest's is not allowed: run_as, line 8", ""},
		{Variable, "LD_PRELOAD", `variable "LD_PRELOAD" is not allowed: env, line 9`, ""},
		{Source, "https://i/a", "", ""},
		{User, "", "", ""},
	} {
		err := Refusal(p.Ask(tc.subject, tc.value))
		got, want := "", tc.want
		if err != nil {
			got = err.Error()
		}
		if want != "" {
			want = refused + want + ` of "policy.yml"`
		}
		if got != want || failure.Hint(err) != tc.hint {
			t.Errorf("%s %q: %s, hint %q; want %s", tc.subject, tc.value, got, failure.Hint(err), want)
		}
	}
}

// TestVerdicts: what says allow allows, and what says nothing too.
func TestVerdicts(t *testing.T) {
	for text, want := range map[string]bool{
		"commands: allow\nrollback: allow": true, "extract: strict": true, "commands: deny\nrollback: deny": false,
	} {
		p := parsed(t, text)
		if (p.Commands() == nil) != want || (p.Rollback() == nil) != want {
			t.Errorf("%q: %v, %v", text, p.Commands(), p.Rollback())
		}
		if err := Refusal(p.Ask(Container, "")); err != nil || p.RunAs() != "" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestUnknownSubjects: what nobody knows is not allowed.
func TestUnknownSubjects(t *testing.T) {
	if err := Refusal((&Policy{}).Ask("weather", "fine")); err == nil {
		t.Error("allowed")
	}
}

// TestLinesOfRules: a rule that is written by an anchor stands where its key, or
// the one above it, is written.
func TestLinesOfRules(t *testing.T) {
	for text, want := range map[string]int{
		"allow: {names: [b]}":                            1,
		"hooks: {required: &l [b]}\nallow:\n  names: *l": 3,
		"\nallow: &a\n  names: [b]\n":                    3,
		"\n<<: {allow: {names: [b]}}":                    0,
		"env:\n- x\nallow:\n  <<: {names: [b]}":          3,
	} {
		all := parsed(t, text).Ask(Name, "a")
		if len(all) != 1 || all[0].Line != want || all[0].Allowed {
			t.Errorf("%q: %+v, want line %d", text, all, want)
		}
	}
}

// TestLinkedPrefix: a prefix of files counts where its symlinks lead, too.
func TestLinkedPrefix(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere/real", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	p := parsed(t, "allow: {manifests: ['file://"+dir+"/link', 's3://b"+dir+"/link']}")
	for url, want := range map[string]bool{
		"file://" + dir + "/link/a": true, "file:///nowhere/real/a": true, "file:///nowhere/a": false,
		"s3://b" + dir + "/link/a": true, "s3://b/nowhere/real/a": false,
	} {
		if err := p.Manifest(url); (err == nil) != want {
			t.Errorf("%s: %v", url, err)
		}
	}
}
