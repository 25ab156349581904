package hookenv

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func from(vars map[string]string) (*HookEnv, *int) {
	code := -1
	return &HookEnv{
		variables: func(name string) (string, bool) { v, ok := vars[name]; return v, ok },
		end:       func(c int) { code = c },
	}, &code
}

func TestStrings(t *testing.T) {
	for name, get := range map[string]func(*HookEnv) (string, error){
		"HOOK":                   (*HookEnv).Hook,
		"HOOKED_POD_ID":          (*HookEnv).PodID,
		"HOOKED_POD_HOME":        (*HookEnv).PodHome,
		"HOOKED_POD_UNIQUE_KEY":  (*HookEnv).PodUniqueKey,
		"HOOKED_SYSTEM_POD_ROOT": (*HookEnv).SystemPodRoot,
	} {
		e, _ := from(map[string]string{name: "value"})
		if v, err := get(e); v != "value" || err != nil {
			t.Errorf("%s = %q, %v", name, v, err)
		}
		e, _ = from(nil)
		if v, err := get(e); v != "" || err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s unset: %q, %v", name, v, err)
		}
	}
}

// TestNode: the system knows the name of the host, too.
func TestNode(t *testing.T) {
	e, _ := from(map[string]string{HookedNodeEnvVar: "web-1"})
	if node, err := e.Node(); node != "web-1" || err != nil {
		t.Errorf("%q, %v", node, err)
	}
	name, err := os.Hostname()
	e, _ = from(nil)
	if node, nodeErr := e.Node(); node != name || nodeErr != nil || err != nil {
		t.Errorf("%q, %v, the host is %q", node, nodeErr, name)
	}
}

func TestStaging(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]bool{
		dir: true, filepath.Join(dir, "gone"): false, "/dev/null/nothing-is-staged": false, "/dev/null": false, "": false,
	} {
		e, _ := from(map[string]string{"STRETCHER_STAGING": path})
		got, err := e.Staging()
		if want != (err == nil) || want && got != path || !want && got != "" {
			t.Errorf("%q: %q, %v", path, got, err)
		}
		if !want && path != "" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestUniqueName(t *testing.T) {
	e, _ := from(map[string]string{"HOOKED_POD_ID": "app", "HOOKED_POD_UNIQUE_KEY": "run-1"})
	if name, err := e.PodUniqueName(); name != "app-run-1" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
	for _, one := range []string{"HOOKED_POD_ID", "HOOKED_POD_UNIQUE_KEY"} {
		e, _ = from(map[string]string{one: "x"})
		if name, err := e.PodUniqueName(); name != "" || err == nil {
			t.Errorf("with %s alone: %q, %v", one, name, err)
		}
	}
}

func TestHowItGoes(t *testing.T) {
	e, _ := from(map[string]string{"STRETCHER_STATUS": "failed", "STRETCHER_ERROR": "fetch: no"})
	if e.Status() != "failed" || e.Error() != "fetch: no" {
		t.Errorf("%q, %q", e.Status(), e.Error())
	}
	if e, _ = from(nil); e.Status() != "" || e.Error() != "" {
		t.Errorf("unset: %q, %q", e.Status(), e.Error())
	}
}

func TestPathsAndReadOnly(t *testing.T) {
	e, _ := from(map[string]string{"HOOKED_CONFIG_DIR_PATH": "/c", "HOOKED_ENV_PATH": "/e",
		"HOOKED_POD_READ_ONLY": "true"})
	if e.ConfigDirPath() != "/c" || e.EnvPath() != "/e" || !e.PodReadOnly() {
		t.Errorf("%q %q %v", e.ConfigDirPath(), e.EnvPath(), e.PodReadOnly())
	}
	e, _ = from(map[string]string{"HOOKED_POD_READ_ONLY": "false"})
	if e.ConfigDirPath() != "" || e.EnvPath() != "" || e.PodReadOnly() {
		t.Error("what is not set has a value")
	}
}

func TestExitUnlessEvent(t *testing.T) {
	for _, tc := range []struct {
		event string
		code  int // -1 = goes on
	}{
		{"before_install", -1}, {"after_launch", -1}, {"before_launch", 0}, {"", 1}, {"BEFORE_INSTALL", 1},
	} {
		e, code := from(map[string]string{"HOOK_EVENT": tc.event})
		got := e.ExitUnlessEvent(BeforeInstall, AfterLaunch)
		if *code != tc.code || tc.code < 0 && string(got) != tc.event {
			t.Errorf("%q: code %d, event %q", tc.event, *code, got)
		}
	}
}

func TestEvents(t *testing.T) {
	for _, e := range HookTypes() {
		if got, err := AsHookType(string(e)); got != e || err != nil {
			t.Errorf("%q: %q, %v", e, got, err)
		}
	}
	if len(HookTypes()) != 7 {
		t.Errorf("%d events", len(HookTypes()))
	}
}

// file writes content and returns its path.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const manifest = `name: app
version: 1.10
src: https://example.com/a.tgz
checksum: md5:x
dest: /srv/app
annotations: {team: web}
config: {port: 80}
commands: {pre: [ls]}
`

func TestFiles(t *testing.T) {
	e, _ := from(map[string]string{
		"HOOKED_POD_MANIFEST": file(t, "m", manifest), "HOOKED_CONFIG_PATH": file(t, "c", "port: 80\n"),
		"HOOKED_ENV_PATH": filepath.Dir(file(t, "RAILS_ENV", "production")),
	})
	m, err := e.Manifest()
	want := &Manifest{
		Name: "app", Version: "1.10", Src: List{"https://example.com/a.tgz"}, Checksum: "md5:x", Dest: "/srv/app",
		Annotations: map[string]string{"team": "web"}, Config: map[string]any{"port": 80},
	}
	if err != nil || !reflect.DeepEqual(m, want) {
		t.Errorf("%+v, %v", m, err)
	}
	if c, err := e.Config(); err != nil || c["port"] != 80 {
		t.Errorf("%v, %v", c, err)
	}
	for name, want := range map[string]string{"RAILS_ENV": "production", "OTHER": "", "../c": "", "": ""} {
		if v, ok, err := e.Variable(name); v != want || ok != (want != "") || err != nil {
			t.Errorf("%q = %q, %v, %v", name, v, ok, err)
		}
	}
}

func TestBadFiles(t *testing.T) {
	for name, path := range map[string]string{
		"not set": "", "missing": "/no/such/file", "not YAML": file(t, "x", "a: [1"), "not a map": file(t, "x",
			"- 1\n"), "wrong type": file(t, "x", "src: {a: b}\nname: [1]\n"),
	} {
		e, _ := from(map[string]string{"HOOKED_POD_MANIFEST": path, "HOOKED_CONFIG_PATH": path})
		if m, err := e.Manifest(); err == nil || m != nil || !strings.Contains(err.Error(), "HOOKED_POD_MANIFEST") {
			t.Errorf("manifest, %s: %v, %v", name, m, err)
		}
		if name == "wrong type" {
			continue // any map is a config
		}
		if c, err := e.Config(); err == nil || c != nil {
			t.Errorf("config, %s: %v, %v", name, c, err)
		}
	}
}

func TestMirrors(t *testing.T) {
	e, _ := from(map[string]string{"HOOKED_POD_MANIFEST": file(t, "m", "src: [a, b]\n")})
	if m, err := e.Manifest(); err != nil || !reflect.DeepEqual(m.Src, List{"a", "b"}) {
		t.Errorf("%v, %v", m, err)
	}
}

// TestExampleHook builds the example and runs it at two events.
func TestExampleHook(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "example_hook")
	build := exec.Command("go", "build", "-o", bin, "./example_hook")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	root := filepath.Join(t.TempDir(), "srv")
	for _, tc := range []struct{ event, out string }{
		{"after_launch", ""},
		{"before_install", "app 1.10 is coming to /srv/app\n"},
	} {
		if _, err := os.Stat(root); err == nil {
			t.Error("the hook has worked at another event")
		}
		var stdout bytes.Buffer
		cmd := exec.Command(bin)
		cmd.Stdout = &stdout
		cmd.Env = []string{"HOOK_EVENT=" + tc.event, "HOOKED_SYSTEM_POD_ROOT=" + root,
			"HOOKED_POD_MANIFEST=" + file(t, "m", manifest)}
		if err := cmd.Run(); err != nil || stdout.String() != tc.out {
			t.Errorf("%s: %v, %q", tc.event, err, stdout.String())
		}
	}
	if _, err := os.Stat(root); err != nil {
		t.Error(err)
	}
}
