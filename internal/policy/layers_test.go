package policy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stretcher/internal/text/failure"
)

// written makes config.yml and its drop-ins in a directory of its own, and
// returns the name of the former. A name that is not there is not made.
func written(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "config.yml")
}

// loaded is the policy of config.yml and its drop-ins.
func loaded(t *testing.T, files map[string]string) *Policy {
	t.Helper()
	_, main := files["config.yml"]
	p, err := Load(written(t, files), main)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestDropIns: those that end in .yml count, in the order of their names, with
// config.yml and without it.
func TestDropIns(t *testing.T) {
	files := map[string]string{
		"config.yml": "extract: compat", "config.d/20-b.yml": "commands: allow", "config.d/10-a.yml": "rollback: deny",
		"config.d/README": "{", "config.d/.hidden.yml": "{", "config.d/30.yml~": "{", "config.d/30.yml.dpkg-old": "{",
		"other.d/10.yml": "{",
	}
	for _, main := range []bool{true, false} {
		if !main {
			delete(files, "config.yml")
		}
		var names []string
		for _, l := range loaded(t, files).layers {
			names = append(names, filepath.Base(l.name))
		}
		want := []string{"config.yml", "10-a.yml", "20-b.yml"}
		if !main {
			want = want[1:]
		}
		if !slices.Equal(names, want) {
			t.Errorf("layers %q, want %q", names, want)
		}
	}
	name := written(t, files) // without config.yml
	if _, err := Load(name, true); !errors.Is(err, ErrRefused) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that was asked for is not there: %v", err)
	} else if want := "--config must name a file that is there"; !strings.HasPrefix(failure.Hint(err), want) {
		t.Errorf("hint %q", failure.Hint(err))
	}
}

// TestDropInDir: it stands beside the file, whatever that is called.
func TestDropInDir(t *testing.T) {
	for name, want := range map[string]string{
		Default: "/etc/stretcher/config.d", "/a/web.yml": "/a/web.d", "/a/web": "/a/web.d", "web.yaml": "web.d",
		"/a.b/web": "/a.b/web.d", "/a/web.prod.yml": "/a/web.prod.d",
	} {
		if got := dropInDir(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// TestDoubtfulDropInsAreRefused: what may have been meant to count, or may have
// been made or taken away by others, is an error and no policy.
func TestDoubtfulDropInsAreRefused(t *testing.T) {
	in := func(name string) func(string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte("commands: deny"), 0o644) }
	}
	for want, spoil := range map[string]func(dir string) error{
		`config.d": "a.yaml" does not count: only names that end in .yml do`: in("a.yaml"),
		`"a.YML" does not count`:  in("a.YML"),
		`"a.Yaml" does not count`: in("a.Yaml"),
		`"a.conf" does not count`: in("a.conf"),
		`"a.json" does not count`: in("a.json"),
		`"50-web" does not count`: in("50-web"),
		"b.yml\": not trusted:": func(dir string) error {
			return errors.Join(in("b.yml")(dir), os.Chmod(filepath.Join(dir, "b.yml"), 0o666))
		},
		`config.d": not trusted:`: func(dir string) error { return os.Chmod(dir, 0o775) },
		"dir.yml\": open":         func(dir string) error { return os.Mkdir(filepath.Join(dir, "dir.yml"), 0o755) },
		"is a symlink that leads nowhere": func(dir string) error {
			return os.Symlink("nowhere", filepath.Join(dir, "b.yml"))
		},
		"leads nowhere": func(dir string) error {
			return errors.Join(os.RemoveAll(dir), os.Symlink("/nowhere/config.d", dir))
		},
		"not a directory": func(dir string) error {
			return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o644))
		},
		`b.yml": line 2: extract: "lax" is not compat or strict`: func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "b.yml"), []byte("\nextract: lax"), 0o644)
		},
	} {
		for _, main := range []bool{true, false} {
			files := map[string]string{"config.d/10.yml": "extract: strict"}
			if main {
				files["config.yml"] = "extract: strict"
			}
			name := written(t, files)
			if err := spoil(dropInDir(name)); err != nil {
				t.Fatal(err)
			}
			p, err := Load(name, main)
			if p != nil || !errors.Is(err, ErrRefused) || !strings.Contains(failure.Text(err), want) ||
				strings.HasPrefix(failure.Hint(err), "--config") {
				t.Errorf("%s (main: %v): %v", want, main, err)
			}
		}
	}
}

// TestEmptyLists: what is written and empty allows nothing, however it is written.
func TestEmptyLists(t *testing.T) {
	for _, c := range []struct {
		text    string
		subject Subject
		value   string
	}{
		{"allow: {manifests: []}", Manifest, "s3://a/k"},
		{"allow:\n  sources: []", Source, "s3://a/k"},
		{"allow: {<<: {dests: []}}", Dest, "/srv"},
		{"<<: {allow: {names: []}}", Name, "app"},
		{"allow: {names: &l [], strategies: *l}", Strategy, "native"},
		{"allow: {users: [ ]}", User, "root"},
		{"env: []", Variable, "A"},
	} {
		file := map[string]string{"config.yml": c.text, "config.d/a.yml": "{}"}
		for range 2 {
			if err := Refusal(loaded(t, file).Ask(c.subject, c.value)); !errors.Is(err, ErrRefused) {
				t.Errorf("%q allows %s", c.text, c.subject)
			}
			file["config.yml"], file["config.d/a.yml"] = file["config.d/a.yml"], file["config.yml"]
		}
	}
}

// TestEachLayerMustAllow: a list of one layer does not allow what that of
// another one does not, whichever comes first.
func TestEachLayerMustAllow(t *testing.T) {
	wide := `allow: {manifests: ["s3://a/", "s3://b/"], sources: ["s3://a/"], dests: [/srv, /var], names: [x, y],
  strategies: [native, mv], users: [root, consul]}
env: [A, B]
`
	narrow := `allow: {manifests: ["s3://a/web", "s3://c/"], dests: [/srv/web], names: [y, z],
  strategies: [native], users: [consul]}
env: [B, C]
`
	for _, order := range [][2]string{{wide, narrow}, {narrow, wide}} {
		p := loaded(t, map[string]string{"config.yml": order[0], "config.d/a.yml": "{}", "config.d/b.yml": order[1]})
		for subject, values := range map[Subject][2]string{
			Manifest: {"s3://a/web/m", "s3://b/m s3://c/m s3://a/m"}, Source: {"s3://a/k", "s3://b/k"},
			Dest: {"/srv/web/x", "/srv/api /var/x"}, Name: {"y", "x z"}, Strategy: {"native", "mv rsync"},
			User: {"consul", "root www"}, Variable: {"B", "A C"},
		} {
			if err := Refusal(p.Ask(subject, values[0])); err != nil {
				t.Errorf("%v", err)
			}
			for value := range strings.FieldsSeq(values[1]) {
				if err := Refusal(p.Ask(subject, value)); !errors.Is(err, ErrRefused) {
					t.Errorf("%s %s is allowed", subject, value)
				}
			}
		}
		if names, all := p.Variables(); all || !slices.Equal(names, []string{"B"}) {
			t.Errorf("variables %q, %v", names, all)
		}
	}
	if names, all := (&Policy{}).Variables(); !all || names != nil {
		t.Errorf("without a policy: variables %q, %v", names, all)
	}
	none := parsed(t, "env: []")
	if names, all := none.Variables(); all || len(names) > 0 || none.Variable("HOME") == nil {
		t.Errorf("an empty list: variables %q, %v", names, all)
	}
}

// TestLayersTighten: what has an order has its strictest value, whichever layer
// says it.
func TestLayersTighten(t *testing.T) {
	loose := `limits: {archive: 9MB, unpacked: 5MB, files: 7}
fetch: {connections: 9}
extract: compat
require_state: false
commands: allow
rollback: allow
hooks: {dirs: [/a], required: [x], term_after: 20s, kill_after: 50s}
trust: {keys: /keys, threshold: 1}
`
	tight := `limits: {archive: 4MB, manifest: 2kB, rate: 9kB}
fetch: {connections: 3}
extract: strict
require_state: true
commands: deny
rollback: deny
hooks: {dirs: [/b], required: [y], kill_after: 10s}
trust: {threshold: 3}
`
	for _, order := range [][2]string{{loose, tight}, {tight, loose}} {
		p := loaded(t, map[string]string{"config.yml": order[0], "config.d/a.yml": order[1]})
		limits := p.Limits
		limits.Rate = nil
		if limits != (Limits{Manifest: 2000, Archive: 4e6, Unpacked: 5e6, Files: 7}) || p.Limits.LeastRate() != 9000 {
			t.Errorf("limits %+v, rate %d", limits, p.Limits.LeastRate())
		}
		if p.Fetch.Connections != 3 || p.Extract != Strict || !p.RequireState || p.Commands() == nil || p.Rollback() == nil {
			t.Errorf("%+v", p)
		}
		if term, kill := p.Hooks.Times(); term != 10*time.Second || kill != term {
			t.Errorf("hooks are told after %s and killed after %s", term, kill)
		}
		if len(p.Hooks.Dirs) != 2 || len(p.Hooks.Required) != 2 {
			t.Errorf("hooks %+v", p.Hooks)
		}
		if dir, threshold, ok := p.Signed(); dir != "/keys" || threshold != 3 || !ok {
			t.Errorf("signed: %s, %d, %v", dir, threshold, ok)
		}
	}
}

// TestDefaultsOfLayers: a drop-in is no way round the default of the rate, and
// definitions of the first layer mask those of a drop-in.
func TestDefaultsOfLayers(t *testing.T) {
	for dropIn, want := range map[string]int64{
		"limits: {rate: 0}": 1 << 10, "limits: {rate: 5}": 1 << 10, "limits: {rate: 1MB}": 1e6, "{}": 1 << 10,
	} {
		p := loaded(t, map[string]string{"config.yml": "extract: strict", "config.d/a.yml": dropIn})
		if got := p.Limits.LeastRate(); got != want {
			t.Errorf("%q: %d, want %d", dropIn, got, want)
		}
	}
	p := loaded(t, map[string]string{"config.yml": "limits: {rate: 0}", "config.d/a.yml": "limits: {rate: 5}"})
	if got := p.Limits.LeastRate(); got != 5 {
		t.Errorf("a rate after none: %d", got)
	}
	p = loaded(t, map[string]string{
		"config.yml": "hooks: {oci_dirs: [/first, /second]}", "config.d/a.yml": "hooks: {oci_dirs: [/later]}",
	})
	if !slices.Equal(p.Hooks.OCIDirs, []string{"/later", "/first", "/second"}) {
		t.Errorf("directories of definitions: %q", p.Hooks.OCIDirs)
	}
}

// TestTimesOfLayers: one time that one layer alone says holds.
func TestTimesOfLayers(t *testing.T) {
	for dropIn, want := range map[string][2]time.Duration{
		"hooks: {term_after: 5s}":                {5 * time.Second, 60 * time.Second},
		"hooks: {kill_after: 7s}":                {7 * time.Second, 7 * time.Second},
		"hooks: {term_after: 2s, kill_after: 7}": {2 * time.Second, 7 * time.Second},
	} {
		p := loaded(t, map[string]string{"config.yml": "extract: strict", "config.d/a.yml": dropIn})
		if term, kill := p.Hooks.Times(); term != want[0] || kill != want[1] {
			t.Errorf("%s: %s, %s", dropIn, term, kill)
		}
	}
}

// TestPlaces: all files that have a key and say what holds, with the line.
func TestPlaces(t *testing.T) {
	p := loaded(t, map[string]string{
		"config.yml": "\nlimits: {files: 1}", "config.d/a.yml": "extract: strict",
		"config.d/b.yml": "limits: {files: 2, manifest: 20}",
		"config.d/c.yml": "extract: compat\nrequire_state: false\nlimits: {manifest: 10, files: 1}",
	})
	got := p.Places("limits.files")
	if !strings.HasPrefix(got, `line 2 of "/`) || !strings.Contains(got, `config.yml", line 3 of "/`) ||
		!strings.HasSuffix(got, `c.yml"`) || strings.Contains(got, "b.yml") || p.Places("limits.rate") != "" {
		t.Errorf("places %s", got)
	}
	for key, want := range map[string]string{"limits.manifest": "c.yml", "extract": "a.yml", "require_state": ""} {
		if got := p.Places(key); !strings.Contains(got, want) || strings.Contains(got, ", ") || (got == "") != (want == "") {
			t.Errorf("%s: places %q", key, got)
		}
	}
	if !p.Holds() || (&Policy{}).Holds() {
		t.Error("who has a policy")
	}
}

// TestSetOnce: what has no order is set once, or twice alike. The error names
// both places.
func TestSetOnce(t *testing.T) {
	for key, values := range map[string][2]string{
		"run_as": {"www", "root"}, "trust.keys": {"/keys", "/other"}, "history.keep": {"90d", "30d"},
		"history.json": {"/var/log/a", "/var/log/b"}, "history.log": {"1MB", "2MB"}, "cache.archives": {"0", "2"},
		"cache.size": {"1MB", "2MB"}, "metrics": {"/a.prom", "/b.prom"},
		"hooks.engine": {"podman", "docker"}, "hooks.engine_args": {"[a]", "[b]"},
		"hooks.build_args": {"[a]", "[b]"}, "hooks.run_args": {"[a, b]", "['a b']"},
	} {
		say := func(value string) string {
			outer, inner, nested := strings.Cut(key, ".")
			if !nested {
				return "\n" + key + ": " + value
			}
			return outer + ":\n  " + inner + ": " + value
		}
		files := map[string]string{
			"config.yml": say(values[0]), "config.d/a.yml": "extract: strict", "config.d/b.yml": say(values[0]),
		}
		p := loaded(t, files)
		if files["config.d/c.yml"] = say(values[1]); p == nil {
			t.Fatal(key)
		}
		_, err := Load(written(t, files), true)
		want := `c.yml": line 2: ` + key + `: is set otherwise on line 2 of "`
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), want) ||
			!strings.HasSuffix(err.Error(), `config.yml"`) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestEmptyIsSet: a list that is written and empty is set, in whichever file it
// stands.
func TestEmptyIsSet(t *testing.T) {
	for _, key := range []string{"engine_args", "build_args", "run_args"} {
		for _, values := range [][2]string{{"[]", "[--privileged]"}, {"[--privileged]", "[]"}, {"[]", "--privileged"}} {
			files := map[string]string{
				"config.yml":     fmt.Sprintf("hooks: {%s: %s}", key, values[0]),
				"config.d/a.yml": fmt.Sprintf("<<: {hooks: {%s: %s}}", key, values[1]),
			}
			if _, err := Load(written(t, files), true); err == nil || !strings.Contains(err.Error(), key+": is set otherwise") {
				t.Errorf("%s, %s: %v", key, values, err)
			}
		}
		p := loaded(t, map[string]string{"config.yml": fmt.Sprintf("hooks: {%s: []}", key), "config.d/a.yml": "hooks: {}"})
		if got := p.Hooks; len(got.EngineArgs)+len(got.BuildArgs)+len(got.RunArgs) > 0 {
			t.Errorf("%s: %+v", key, got)
		}
	}
}

// TestOnceIsKept: what only one layer says holds.
func TestOnceIsKept(t *testing.T) {
	p := loaded(t, map[string]string{
		"config.yml": "extract: strict", "config.d/z.yml": "require_state: false",
		"config.d/a.yml": `run_as: www
trust: {keys: /keys}
history: {keep: 30d, json: /log, log: 1MB}
cache: {archives: 0, size: 1MB}
metrics: /m.prom
hooks: {engine: docker, engine_args: [a], build_args: [b], run_args: [c]}
`,
	})
	dir, threshold, signed := p.Signed()
	if p.RunAs() != "www" || dir != "/keys" || threshold != 1 || !signed || !p.RequireState {
		t.Errorf("%q, %q, %d, %v, %v", p.RunAs(), dir, threshold, signed, p.RequireState)
	}
	if p.History.KeepFor() != 30*24*time.Hour || p.History.JSON != "/log" || p.History.Log != 1e6 ||
		p.Cache.KeepArchives() != 0 || p.Cache.Bound() != 1e6 || p.Metrics != "/m.prom" {
		t.Errorf("%+v, %+v", p.History, p.Cache)
	}
	h := p.Hooks
	if h.Engine != "docker" || len(h.EngineArgs) != 1 || len(h.BuildArgs) != 1 || len(h.RunArgs) != 1 {
		t.Errorf("%+v", h)
	}
}

// TestWhichPolicy: the log names each file with its digest.
func TestWhichPolicy(t *testing.T) {
	if got := (&Policy{}).String(); got != "none" {
		t.Errorf("without a policy: %s", got)
	}
	p := loaded(t, map[string]string{"config.yml": "{}", "config.d/a.yml": "extract: strict"})
	const empty = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	const strict = "d03780459a590cc27a7036398365b67e2de99e31b9016dcbc778ec9841b712a0"
	got := p.String()
	if !strings.Contains(got, `config.yml" sha256:`+empty+`, "`) || !strings.HasSuffix(got, `a.yml" sha256:`+strict) {
		t.Errorf("policy %s", got)
	}
}
