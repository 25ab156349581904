package p2

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stretcher/internal/hooks"
	"stretcher/internal/journal/runlog"
)

// write makes files below dir; a name that ends in a slash is a directory, a
// content "-> x" a symlink, one that begins with "#!" executable.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			must(t, os.MkdirAll(path, 0o755))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			must(t, os.Symlink(target, path))
			continue
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(content, "#!") {
			mode = 0o755
		}
		must(t, os.WriteFile(path, []byte(content), mode))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// list names the hooks of a point: name, with "!" when it is not run and "*"
// when it is required.
func list(t *testing.T, o Options, p hooks.Point) string {
	t.Helper()
	found, err := Hooks(o, p)
	must(t, err)
	var names []string
	for _, h := range found {
		name := filepath.Base(filepath.Dir(h.Source)) + "/" + h.Name
		if h.Problem != nil {
			name += "!"
		}
		if h.Required {
			name += "*"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

func TestHooksInOrder(t *testing.T) {
	top := t.TempDir()
	a, b := filepath.Join(top, "a"), filepath.Join(top, "b")
	write(t, a, map[string]string{
		"20_all": "#!/bin/sh\n", "10_all": "#!/bin/sh\n", "README": "no hook", "lib/helper": "#!/bin/sh\n",
		"before_install/5_install": "#!/bin/sh\n", "before_install/10_install": "#!/bin/sh\n", "before_install/sub/": "",
		"before_install/linked": "-> ../lib/helper", "before_install/dangling": "-> nowhere",
		"before_install/linked_dir": "-> ../lib", "after_launch/ensure_user": "#!/bin/sh\n",
	})
	write(t, b, map[string]string{"10_all": "#!/bin/sh\n"})
	o := Options{Dirs: []string{a, filepath.Join(top, "missing"), b},
		Required: []string{"ensure_user", "before_install/5_install", "b/10_all"}}
	for p, want := range map[hooks.Point]string{
		hooks.PreFetch: "before_install/10_install before_install/5_install* before_install/dangling! " +
			"before_install/linked a/10_all a/20_all a/README! b/10_all",
		hooks.PostLaunch:  "after_launch/ensure_user* a/10_all a/20_all a/README! b/10_all",
		hooks.Init:        "a/10_all a/20_all a/README! b/10_all",
		hooks.Finish:      "",
		hooks.PreExtract:  "",
		hooks.Point("no"): "",
	} {
		if got := list(t, o, p); got != want {
			t.Errorf("%s:\n got %s\nwant %s", p, got, want)
		}
	}
	if got := Missing(o); !slices.Equal(got, []string{"b/10_all"}) {
		t.Errorf("missing = %q", got)
	}
}

func TestUnreadableDirectoryHidesNoOther(t *testing.T) {
	top := t.TempDir()
	write(t, top, map[string]string{"file": "x", "good/a": "#!/bin/sh\n"})
	found, err := Hooks(Options{Dirs: []string{filepath.Join(top, "file"), filepath.Join(top, "good")}}, hooks.Init)
	if err == nil || !strings.Contains(err.Error(), "file") || len(found) != 1 {
		t.Errorf("%d hooks, err = %v", len(found), err)
	}
}

func TestTimes(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a": "#!/bin/sh\n"})
	for _, tc := range []struct{ term, kill, timeout, grace time.Duration }{
		{0, 0, 30 * time.Second, 30 * time.Second},
		{10 * time.Second, 15 * time.Second, 10 * time.Second, 5 * time.Second},
		{2 * time.Minute, 0, 2 * time.Minute, hooks.NoGrace},
		{0, 20 * time.Second, 30 * time.Second, hooks.NoGrace},
	} {
		found, err := Hooks(Options{Dirs: []string{dir}, Term: tc.term, Kill: tc.kill}, hooks.Init)
		must(t, err)
		if h := found[0]; h.Timeout != tc.timeout || h.Grace != tc.grace {
			t.Errorf("term %s, kill %s: timeout %s, grace %s", tc.term, tc.kill, h.Timeout, h.Grace)
		}
	}
}

func TestAuthFailHooksRunAfterTheFailure(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"a": "#!/bin/sh\n"})
	for p, want := range map[hooks.Point]hooks.Condition{hooks.AuthFail: hooks.Always, hooks.PreSync: ""} {
		found, err := Hooks(Options{Dirs: []string{dir}}, p)
		must(t, err)
		if found[0].Condition != want {
			t.Errorf("%s: condition %q", p, found[0].Condition)
		}
	}
}

// TestEnvironment runs a hook and compares its whole environment.
func TestEnvironment(t *testing.T) {
	top, work := t.TempDir(), t.TempDir()
	dir := filepath.Join(top, "hooks.d")
	write(t, dir, map[string]string{"before_launch/show": "#!/bin/sh\n" +
		"env | grep -v '^\\(_\\|PWD\\|SHLVL\\|OLDPWD\\|STRETCHER_HOOK_ID\\)=' | sort\n" +
		"cat \"$HOOKED_CONFIG_PATH\" \"$HOOKED_ENV_PATH\"/*\n"})
	manifest := []byte("name: app\n")
	files, err := WriteFiles(work, Content{Manifest: manifest, Config: map[string]any{"port": 80},
		Env: map[string]string{"RAILS_ENV": "production"}})
	must(t, err)
	t.Setenv("NOT_FOR_HOOKS", "1")
	var out bytes.Buffer
	log := runlog.New(runlog.Options{})
	defer log.Close()
	found, err := Hooks(Options{
		Dirs: []string{dir}, Env: []string{"EXTRA=1"}, Files: files,
		Pod: Pod{Node: "web1", ID: "app", Home: "/srv/app", UniqueKey: "r1", Root: "/srv"},
	}, hooks.PostSync)
	must(t, err)
	found[0].Required = true
	must(t, (&hooks.Runner{Log: log, Stdout: &out}).Run(t.Context(), hooks.PostSync, found, false))
	want := strings.Join([]string{
		"EXTRA=1",
		"HOOK=before_launch",
		"HOOKED_CONFIG_DIR_PATH=" + filepath.Join(work, "config"),
		"HOOKED_CONFIG_PATH=" + filepath.Join(work, "config", "config.yaml"),
		"HOOKED_ENV_PATH=" + filepath.Join(work, "env"),
		"HOOKED_NODE=web1",
		"HOOKED_POD_HOME=/srv/app",
		"HOOKED_POD_ID=app",
		"HOOKED_POD_MANIFEST=" + filepath.Join(work, "manifest.yaml"),
		"HOOKED_POD_READ_ONLY=false",
		"HOOKED_POD_UNIQUE_KEY=r1",
		"HOOKED_SYSTEM_POD_ROOT=/srv",
		"HOOK_EVENT=before_launch",
		"PATH=" + DefaultPath,
		"port: 80",
		"production",
	}, "\n")
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if copied, err := os.ReadFile(files.Manifest); err != nil || !bytes.Equal(copied, manifest) {
		t.Errorf("manifest: %q, %v", copied, err)
	}
}

func TestFilesArePrivateAndConfined(t *testing.T) {
	for _, name := range []string{"", ".", "..", "../x", "a/b", "a=b"} {
		dir := t.TempDir()
		if _, err := WriteFiles(dir, Content{Env: map[string]string{name: "v"}}); err == nil {
			t.Errorf("variable %q was written", name)
		}
		if _, err := os.Lstat(filepath.Join(dir, "x")); err == nil {
			t.Errorf("variable %q was written outside", name)
		}
	}
	f, err := WriteFiles(t.TempDir(), Content{Env: map[string]string{"A": "1"}})
	must(t, err)
	if b, _ := os.ReadFile(f.Config); string(b) != "{}\n" {
		t.Errorf("empty config is %q", b)
	}
	for _, path := range []string{f.Manifest, f.Config, f.ConfigDir, f.Env, filepath.Join(f.Env, "A")} {
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
	if _, err := WriteFiles(t.TempDir(), Content{Config: func() {}}); err == nil {
		t.Error("a function was written as YAML")
	}
}
