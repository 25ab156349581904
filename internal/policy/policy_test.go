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
	for _, text := range []string{"", "\n"} {
		if p, err := Load(write(t, text), true); err != nil || p.History.KeepFor() != defaultKeep {
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
		"alow: {}":                        `line 1: alow: unknown key, did you mean "allow"?`,
		"allow: {manifest: []}":           "allow.manifest: unknown key",
		"trust: {keys: x}":                `trust.keys: "x" is not an absolute path`,
		"extract: lax":                    `extract: "lax" is not compat or strict`,
		"limits: {archive: big}":          `limits.archive: "big" is not a size`,
		"limits: {files: -1}":             "limits.files: -1 is negative",
		"history: {keep: soon}":           `history.keep: "soon" is not a time span`,
		"history: {keep: 0d}":             `history.keep: "0d" is not a time span`,
		"allow: {manifests: [deploys]}":   `"deploys" is not the beginning of a URL`,
		"allow: {dests: [srv]}":           `"srv" is not an absolute path`,
		"- list":                          "is a list",
		strings.Repeat("#", maxFile) + "": "", // just fits
		strings.Repeat("#", maxFile+1):    "larger than",
		"allow: {manifests: [null]}":      "allow.manifests[0]: is empty",
		"allow:\n  dests:\n    -\n":       "allow.dests[0]: is empty",
		"allow: {sources: ['']}":          "is not the beginning of a URL",
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

func TestAllowedURLs(t *testing.T) {
	p := parsed(t, `allow: {manifests: ["s3://deploys/", "https://h.example/apps"]}`)
	for raw, want := range map[string]bool{
		"s3://deploys/a.yml":                true,
		"s3://deploys/x/y.yml":              true,
		"s3://deploys":                      true,
		"s3://deploys-evil/a.yml":           false,
		"s3://other/a.yml":                  false,
		"https://h.example/apps/a.yml":      true,
		"https://H.example/apps/a.yml":      true,
		"https://u:p@h.example/apps/a.yml":  true,
		"https://h.example/apps":            true,
		"https://h.example/apps2/a.yml":     false,
		"https://h.example/apps/../b.yml":   false,
		"https://h.example/apps/%2e%2e/b":   false,
		"https://h.example.evil/apps/a.yml": false,
		"https://h.example@evil/apps/a.yml": false,
		"http://h.example/apps/a.yml":       false,
		"https://h.example:8443/apps/a.yml": false,
		"s3://DEPLOYS/a.yml":                false,
		"s3://Deploys/a.yml":                false,
		"file:///etc/x":                     false,
		":":                                 false,
	} {
		if err := p.Manifest(raw); (err == nil) != want || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", raw, err)
		}
		if err := p.Source(raw); err != nil {
			t.Errorf("%q: no list of sources, but %v", raw, err)
		}
	}
}

// TestAmbiguousPaths: what one server decodes, and another one does not, is in
// no place. Names of objects and files are decoded once and stand for
// themselves.
func TestAmbiguousPaths(t *testing.T) {
	p := parsed(t, `
allow: {manifests: ["http://h/deploys/", "https://h/", "s3://b/web", "gs://b/web", "file:///srv/deploys"]}
`)
	for raw, want := range map[string]bool{
		"http://h/deploys%2Fevil.yml":         false,
		"http://h/deploys/a%2fb.yml":          false,
		"http://h/deploys/..%5cx":             false,
		"http://h/deploys/..\\x":              false,
		"http://h/deploys/a\\..\\..\\x":       false,
		"http://h/deploys/..;/x":              false,
		"http://h/deploys/..;a=b/x":           false,
		"http://h/deploys/.;/../x":            false,
		"http://h/deploys/..%3b/x":            false,
		"http://h/deploys/%252e%252e/x":       false,
		"http://h/deploys/%2e%2e/x":           false,
		"http://h/deploys/.%2E/x":             false,
		"http://h/deploys/x%00.yml":           false,
		"https://h/%2e%2e%2fx":                false,
		"https://h/a%20b.yml":                 true,
		"http://h/deploys/v1;x=y/app.yml":     false,
		"http://h/deploys/b%C3%BCro/app.yml":  true,
		"http://h/deploys/app.yml?q=%2f..%2f": true,
		"s3://b/web%2fapp.yml":                true,
		"s3://b//web/app.yml":                 true,
		"s3://b///web/app.yml":                true,
		"s3://b/web/100%25.yml":               true,
		"s3://b//secret/app.yml":              false,
		"s3://b/web/..%2fsecret":              false,
		"gs://B/web/app.yml":                  false,
		"gs://b//web/app.yml":                 true,
		"file:///srv/deploys/100%25.yml":      true,
		"file:///srv/deploys/..%2f..%2fetc/x": false,
	} {
		if err := p.Manifest(raw); (err == nil) != want || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%q: %v", raw, err)
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
