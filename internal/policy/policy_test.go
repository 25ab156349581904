package policy

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// parsed is the policy of one file.
func parsed(t *testing.T, text string) *Policy {
	t.Helper()
	p, err := Parse("policy.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestLoad(t *testing.T) {
	p, err := Load(write(t, `
allow: {manifests: ["s3://deploys/"], sources: ["https://h/a"], dests: [/srv/]}
limits: {manifest: 1MiB, archive: 5GiB, unpacked: 20GiB, files: 1000000}
extract: strict
history: {keep: 30d}
require_state: true
`), true)
	if err != nil {
		t.Fatal(err)
	}
	limits := Limits{Manifest: 1 << 20, Archive: 5 << 30, Unpacked: 20 << 30, Files: 1000000}
	if p.Limits != limits || p.Extract != Strict || !p.RequireState ||
		p.History.KeepFor() != 30*24*time.Hour || len(p.layers[0].Allow.Dests) != 1 {
		t.Errorf("policy = %+v", p)
	}
	if p, err := Load(write(t, "{}\n"), true); err != nil || p.History.KeepFor() != defaultKeep {
		t.Errorf("no rules: %+v, %v", p, err)
	}
	for _, text := range []string{"", "\n", "# nothing\n", "---\n"} {
		if p, err := Load(write(t, text), true); !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %+v, %v", text, p, err)
		}
	}
	if p, err := Load("/no/such/file", false); err != nil || p == nil {
		t.Errorf("no policy: %v, %v", p, err)
	}
}

// TestLeastRate: one that is not said is 1 KiB/s, one of 0 is none.
func TestLeastRate(t *testing.T) {
	for text, want := range map[string]int64{
		"limits: {files: 1}": 1 << 10, "limits: {rate: 0}": 0,
		"limits: {rate: 20kB}": 20_000, "limits: {rate: 1MiB}": 1 << 20,
	} {
		p, err := Load(write(t, text), true)
		if err != nil || p.Limits.LeastRate() != want {
			t.Errorf("%s: %v, %d, not %d", text, err, p.Limits.LeastRate(), want)
		}
	}
	if got := (Limits{}).LeastRate(); got != 1<<10 {
		t.Errorf("without a policy: %d", got)
	}
}

func TestDoubtfulPolicyIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"alow: {}":                         `line 1: alow: unknown key, did you mean "allow"?`,
		"allow: {manifest: []}":            "allow.manifest: unknown key",
		"trust: {keys: x}":                 `trust.keys: "x" is not an absolute path`,
		"extract: lax":                     `extract: "lax" is not compat or strict`,
		"limits: {archive: big}":           `limits.archive: "big" is not a size`,
		"limits: {files: -1}":              "limits.files: -1 is negative",
		"history: {keep: soon}":            `history.keep: "soon" is not a time span`,
		"history: {keep: 110000d}":         `history.keep: "110000d" is not a time span`,
		"history: {keep: 213504d}":         `history.keep: "213504d" is not a time span`,
		"history: {keep: 876001h}":         `history.keep: "876001h" is not a time span`,
		"history: {keep: 1h30d}":           `history.keep: "1h30d" is not a time span`,
		"limits: {archive: 0.5}":           `limits.archive: "0.5" is not a size`,
		"limits: {unpacked: 0.0001 KB}":    `limits.unpacked: "0.0001 KB" is not a size`,
		"limits: {archive: '1,5GB'}":       `limits.archive: "1,5GB" is not a size`,
		"limits: {manifest: '1,500'}":      `limits.manifest: "1,500" is not a size`,
		"limits: {rate: 0.9}":              `limits.rate: "0.9" is not a size`,
		"cache: {size: 0.9B}":              `cache.size: "0.9B" is not a size`,
		"history: {json: ''}":              "history.json: is empty",
		"hooks: {engine: ''}":              "hooks.engine: is empty",
		"":                                 "the file is empty: it may be about to be written",
		" \t\n":                            "the file is empty",
		"\ufeff":                           "empty",
		"# commands: deny":                 "the document is empty",
		"---\n":                            "the document is empty",
		"history: {keep: 0d}":              `history.keep: "0d" is not a time span`,
		"allow: {manifests: [deploys]}":    `allow.manifests: "deploys" is not the beginning of a URL`,
		"allow: {dests: [srv]}":            `"srv" is not an absolute path`,
		"- list":                           "is a list",
		strings.Repeat("#", maxFile) + "":  "", // just fits
		strings.Repeat("#", maxFile+1):     "larger than",
		"trust:\n  threshold: 2":           `trust, line 1 of "`,
		"trust: {}":                        "no trust.keys says which keys count",
		"trust: {keys: ''}":                "line 1: trust.keys: is empty",
		"trust: {keys: /k, threshold: 0}":  "trust.threshold: 0 is not a number from 1 to 100",
		"trust: {keys: /k, threshold: -1}": "trust.threshold: -1 is not a number",
		"trust: {keys: [/k, /l]}":          "trust.keys: is a list",
		"\nrun_as: ''":                     "line 2: run_as: is empty",
		"<<: {run_as: ''}":                 "run_as: is empty",
		"<<: {trust: {threshold: 2}}":      "no trust.keys says which keys count",
		"<<: {trust: {}}":                  "no trust.keys says which keys count",
		"<<: [{trust: {}}, {run_as: a}]":   "no trust.keys says which keys count",
		"trust: &t {}\n<<: {trust: *t}":    "no trust.keys says which keys count",
		"allow: {names: ['web-*']}":        `allow.names: "web-*" has a *`,
		"allow: {users: '*'}":              `allow.users: "*" has a *`,
		"allow: {dests: ['/srv/*']}":       `allow.dests: "/srv/*" has a *`,
		"hooks: {dirs: ['/etc/*/hooks']}":  `hooks.dirs: "/etc/*/hooks" has a *`,
		"<<: {commands: }":                 "commands: is empty",
		"commands: no":                     `commands: "no" is not allow or deny`,
		"commands: [deny]":                 "commands: is a list",
		"rollback: false":                  `rollback: "false" is not allow or deny`,
		"allow: {names: ['']}":             `allow.names: "" is not a name`,
		"allow: {users: ['root ']}":        `allow.users: "root " is not a name`,
		"env: ['A*']":                      `env: "A*" is not the name of a variable`,
		"env: ['A=B']":                     `env: "A=B" is not the name of a variable`,
		"env:":                             "line 1: env: is empty",
		"commands: ~":                      "line 1: commands: is empty",
		"allow:\n  manifests:":             "line 2: allow.manifests: is empty",
		"x: &n null\nlimits: *n":           "x: unknown key",
		"limits: &n\nhooks: *n":            "line 1: limits: is empty",
		"trust: {keys: /k}\ntrust: {}":     "line 2: trust: stands twice, on lines 1 and 2",
		"extract: strict\n---\na: 1":       "a second document begins here",
		"allow: {manifests: [null]}":       "allow.manifests[0]: is empty",
		"allow:\n  dests:\n    -\n":        "allow.dests[0]: is empty",
		"allow: {sources: ['']}":           "is not the beginning of a URL",
	} {
		_, err := Load(write(t, text), true)
		if want == "" {
			continue
		}
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: err = %v, want %s", text, err, want)
		}
	}
	if _, err := Load("/no/such/file", true); !errors.Is(err, ErrRefused) {
		t.Errorf("err = %v", err)
	}
	if _, err := Load(t.TempDir(), true); !errors.Is(err, ErrRefused) {
		t.Errorf("a directory: err = %v", err)
	}
}

// TestMistakesHaveLines: an error of a value says where that stands.
func TestMistakesHaveLines(t *testing.T) {
	for text, want := range map[string]string{
		"trust:\n  keys: /k\n  threshold: 0": "line 3: trust.threshold: 0 is not a number from 1 to 100",
		"trust:\n  keys: k":                  `line 2: trust.keys: "k" is not an absolute path`,
		"env: []\nallow: {dests: [srv]}":     `line 2: allow.dests: "srv" is not an absolute path`,
		"\nhistory: {json: x}":               `line 2: history.json: "x" is not an absolute path`,
		"limits:\n  files: -1":               "line 2: limits.files: -1 is negative",
		"cache:\n  archives: -1":             "line 2: cache.archives: -1 is negative",
		"hooks:\n  required: ['']":           "line 2: hooks.required: has an empty name",
	} {
		_, err := Parse("policy.yml", []byte(text))
		if !errors.Is(err, ErrRefused) || !strings.HasSuffix(err.Error(), `config "policy.yml": `+want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestWritableByOthersIsRefused(t *testing.T) {
	for mode, ok := range map[os.FileMode]bool{0o600: true, 0o644: true, 0o664: false, 0o646: false} {
		name := write(t, "extract: strict")
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(name, true); (err == nil) != ok {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	if os.Getuid() == 0 {
		name := write(t, "extract: strict")
		if err := os.Chown(name, 65534, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(name, true); !errors.Is(err, ErrRefused) {
			t.Errorf("owned by another user: %v", err)
		}
	}
}

func TestAllowedDests(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	srv, etc := filepath.Join(dir, "srv"), filepath.Join(dir, "etc")
	for _, d := range []string{srv, etc} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink(etc, srv+"/out"), os.Symlink(srv, dir+"/alias"),
		os.Symlink(etc+"/missing", srv+"/dangling"), os.Symlink("loop", srv+"/loop")); err != nil {
		t.Fatal(err)
	}
	p := parsed(t, "allow: {dests: ["+srv+"/]}")
	for dest, want := range map[string]bool{
		srv + "/app":          true,
		srv + "/new/app":      true,
		srv:                   true,
		srv + "2":             false,
		srv + "/../etc":       false,
		srv + "/out/app":      false,
		dir + "/alias/app":    false,
		srv + "/dangling/app": false,
		srv + "/loop/app":     true,
		etc:                   false,
		"":                    true,
	} {
		if err := p.Dest(dest); (err == nil) != want {
			t.Errorf("%q: %v", dest, err)
		}
	}
	linked := parsed(t, "allow: {dests: ["+dir+"/alias]}")
	for dest, want := range map[string]bool{
		dir + "/alias/app": true, srv + "/app": true, dir + "/alias": true, dir + "/alias/out": false, etc: false,
	} {
		if err := linked.Dest(dest); (err == nil) != want {
			t.Errorf("%q, where the prefix is a symlink: %v", dest, err)
		}
	}
}

func TestTightening(t *testing.T) {
	host := Limits{Archive: 100, Files: 10}
	manifest := Limits{Archive: 200, Unpacked: 50, Files: 5}
	if got := host.Tightest(manifest); got != (Limits{Archive: 100, Unpacked: 50, Files: 5}) {
		t.Errorf("limits = %+v", got)
	}
	for _, tc := range []struct{ a, b, want Extract }{
		{"", "", Compat}, {Compat, "", Compat}, {"", Strict, Strict}, {Strict, Compat, Strict}, {Compat, Strict, Strict},
	} {
		if got := tc.a.Tighter(tc.b); got != tc.want {
			t.Errorf("%q, %q: %q", tc.a, tc.b, got)
		}
	}
}
