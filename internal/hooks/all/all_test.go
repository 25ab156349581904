package all

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/hooks"
	"stretcher/internal/hooks/p2"
	"stretcher/internal/hooks/porter"
	"stretcher/internal/policy"
	"stretcher/internal/text/failure"
)

// TestDirs: p2's own directory is read where it exists, after those of the
// policy and not twice.
func TestDirs(t *testing.T) {
	own := filepath.Join(t.TempDir(), "p2hooks.d")
	host := policy.Hooks{Dirs: []string{"/etc/stretcher/hooks.d"}}
	if got := Dirs(host, own); !slices.Equal(got, host.Dirs) {
		t.Errorf("without it: %q", got)
	}
	if err := os.Mkdir(own, 0o755); err != nil {
		t.Fatal(err)
	}
	exec := filepath.Join(own, "exec")
	if got, want := Dirs(host, own), []string{"/etc/stretcher/hooks.d", own, exec}; !slices.Equal(got, want) {
		t.Errorf("dirs = %q, want %q", got, want)
	}
	host.Dirs = []string{exec, own}
	if got := Dirs(host, own); !slices.Equal(got, host.Dirs) {
		t.Errorf("listed already: %q", got)
	}
}

// TestOwnDirIsJudged: p2's own directory is read by itself, so that who may
// write above it, or in it, must not fill it.
func TestOwnDirIsJudged(t *testing.T) {
	const local = "local/p2hooks.d"
	for _, open := range []string{"", "local", local, local + "/exec", local + "/before_launch"} {
		top := t.TempDir()
		own := filepath.Join(top, "local/p2hooks.d")
		for _, dir := range []string{"exec/before_launch", "before_launch"} {
			if err := os.MkdirAll(filepath.Join(own, dir), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if open != "" {
			if err := os.Chmod(filepath.Join(top, open), 0o775); err != nil {
				t.Fatal(err)
			}
		}
		d := p2.Dialect{Options: p2.Options{Dirs: Dirs(policy.Hooks{}, own)}}
		err := d.Prepare(func(string) (string, error) { return t.TempDir(), nil })
		if (err != nil) != (open != "") || err != nil && !errors.Is(err, failure.ErrRefused) {
			t.Errorf("others may write %q: %v", open, err)
		}
	}
}

// TestTakenAway: a directory of hooks that others may have renamed refuses the
// deployment; one that was never there does not.
func TestTakenAway(t *testing.T) {
	for key, host := range map[string]func(top string) policy.Hooks{
		"own": func(top string) policy.Hooks {
			return policy.Hooks{Dirs: Dirs(policy.Hooks{}, filepath.Join(top, "local/hooks"))}
		},
		"dirs": func(top string) policy.Hooks { return policy.Hooks{Dirs: []string{filepath.Join(top, "local/hooks")}} },
		"oci_dirs": func(top string) policy.Hooks {
			return policy.Hooks{OCIDirs: []string{filepath.Join(top, "local/hooks")}}
		},
	} {
		for _, open := range []string{"", "local", "."} {
			top := t.TempDir()
			if err := os.Mkdir(filepath.Join(top, "local"), 0o755); err != nil {
				t.Fatal(err)
			}
			if open != "" {
				if err := os.Chmod(filepath.Join(top, open), 0o777); err != nil {
					t.Fatal(err)
				}
			}
			s, bad := New(Options{Host: host(top), Mask: func(string, string) {}})
			err := errors.Join(append(bad, s.Allowed())...)
			if (err != nil) != (open != "") || err != nil && !errors.Is(err, failure.ErrRefused) {
				t.Errorf("%s: others may write %q: %v", key, open, err)
			}
			if told := len(s.Doubts()) > 0; open == "" && told != (key != "own") {
				t.Errorf("%s: a warning: %v", key, told)
			}
		}
	}
}

// hostWith makes a host with an executable and a definition for each point.
func hostWith(t *testing.T) policy.Hooks {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("hooks.d/each", "#!/bin/sh\n")
	write("oci/one.json", `{"version":"1.0.0","hook":{"path":"/bin/sh","env":["TOKEN=s3cret"]},
		"when":{"always":true},"stages":["createContainer"]}`)
	return policy.Hooks{Dirs: []string{filepath.Join(dir, "hooks.d")}, OCIDirs: []string{filepath.Join(dir, "oci")}}
}

// TestOrder: at one point directories come first, then definitions, then the
// manifest, each with the environment that its dialect promises.
func TestOrder(t *testing.T) {
	masked := map[string]string{}
	s, bad := New(Options{
		Host: hostWith(t), Run: "run-1", Mask: func(name, value string) { masked[name] = value },
		Lists: porter.Lists{"post_pack": {{Run: "true"}}, "mine": {{Run: "true"}}},
	})
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	d := hooks.Deployment{Run: "run-1", Tree: t.TempDir(), ManifestEnv: []string{"FROM=manifest"},
		Own: []string{"STRETCHER_RUN_ID=run-1"}}
	list, doubts, err := s.At(hooks.PostExtract, d)
	if err != nil || len(doubts) > 0 {
		t.Fatal(err, doubts)
	}
	var got []string
	for _, h := range list {
		got = append(got, h.Dialect)
		if !slices.Contains(h.Env, "STRETCHER_RUN_ID=run-1") {
			t.Errorf("%s: the run is not in %q", h.Dialect, h.Env)
		}
		if has, want := slices.Contains(h.Env, "FROM=manifest"), h.Dialect != hooks.OCI; has != want {
			t.Errorf("%s: the manifest's env is there: %v", h.Dialect, has)
		}
	}
	if want := []string{hooks.P2, hooks.OCI, hooks.Porter}; !slices.Equal(got, want) {
		t.Errorf("order = %q, want %q", got, want)
	}
	if masked["TOKEN"] != "s3cret" {
		t.Errorf("masked = %q", masked)
	}
	if s.HasAt(d, hooks.PrePrune) || !s.HasAt(d, hooks.PrePrune, hooks.PostExtract) {
		t.Error("HasAt")
	}
}

// TestList: hooks that run only when asked for stand at the end, and without a
// manifest there are those of the host.
func TestList(t *testing.T) {
	s, _ := New(Options{Host: hostWith(t), Mask: func(string, string) {},
		Lists: porter.Lists{"post_pack": {{Run: "true"}}, "mine": {{Run: "true"}}}})
	names := func(d *hooks.Deployment) (names []string) {
		list, bad := s.List(d)
		if len(bad) > 0 {
			t.Error(bad)
		}
		for _, l := range list {
			if l.Dialect != hooks.P2 {
				names = append(names, l.Name+" "+strings.Fields(l.Why)[0])
			}
		}
		return names
	}
	if got, want := names(&hooks.Deployment{}), []string{"one runs:", "post_pack[0] runs:",
		"mine[0] skipped:"}; !slices.Equal(got, want) {
		t.Errorf("list = %q, want %q", got, want)
	}
	if got, want := names(nil), []string{"one depends"}; !slices.Equal(got, want) {
		t.Errorf("list without a manifest = %q, want %q", got, want)
	}
}

// TestRequired: a required hook that is nowhere refuses the deployment, before
// anything is made.
func TestRequired(t *testing.T) {
	host := hostWith(t)
	host.Required = []string{"each", "none"}
	s, _ := New(Options{Host: host, Mask: func(string, string) {}})
	err := s.Prepare(func(string) (string, error) { t.Error("a directory is made"); return "", errors.New("no") })
	if !errors.Is(err, failure.ErrRefused) || !strings.Contains(err.Error(), `["none"]`) {
		t.Errorf("error = %v", err)
	}
	if _, bad := s.List(nil); len(bad) != 1 {
		t.Errorf("list says %v", bad)
	}
}

// TestBadDefinition: one that can't be read hides no other.
func TestBadDefinition(t *testing.T) {
	host := hostWith(t)
	if err := os.WriteFile(filepath.Join(host.OCIDirs[0], "bad.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, bad := New(Options{Host: host, Mask: func(string, string) {}})
	if len(bad) != 1 || !s.HasAt(hooks.Deployment{}, hooks.PostExtract) {
		t.Errorf("bad = %v", bad)
	}
}
