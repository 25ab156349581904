package manifest

import (
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"stretcher/internal/fetch/checksum"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/units"
	"stretcher/internal/text/yamldoc"
)

// rules are those of the program, but for what may be fetched or shared:
// the packages that know it have tests of their own.
func rules() Rules {
	return Rules{
		Src: func(url string) error {
			if strings.HasPrefix(url, "ftp:") {
				return errors.New("unsupported URL scheme")
			}
			return nil
		},
		Shared: func(paths []string) error {
			if slices.Contains(paths, "..") {
				return errors.New("leads out")
			}
			return nil
		},
		Kinds: []Kind{
			{Name: "copy", Default: true},
			{Name: "swap"},
			{Name: "diff", Sections: []string{"native"}, Patterns: true, Default: true},
			{Name: "rows", Sections: []string{"releases", "rollback"}, Patterns: true},
		},
	}
}

// parsed is a manifest without templates, or the error that a loader makes of
// what is wrong with it.
func parsed(doc string) (m *Manifest, warnings []*yamldoc.Problem, err error) {
	tree, problem := yamldoc.Parse([]byte(doc))
	if problem != nil {
		return nil, nil, asError([]byte(doc), []*yamldoc.Problem{problem})
	}
	m, warnings, problems := parse(tree, rules(), false)
	if len(problems) > 0 {
		return m, warnings, asError([]byte(doc), problems)
	}
	m.nameByDest()
	return m, warnings, nil
}

const sha256Hex = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

func TestParse(t *testing.T) {
	const doc = `
src: [s3://bucket/app.tar.gz, "https://user:pw@host/app.tar.gz?sig=x"]
checksum: SHA256:` + sha256Hex + `
dest: /home/app/current/
dest_mode: 0711
sync_strategy: swap
excludes: ["*.pid"]
exclude_from: config/exclude.list
env: {RAILS_ENV: production, COUNT: 3, PATH: }
name: app
version: 1.10
annotations: {team: web}
commands:
  pre: echo start
  post: ["systemctl restart app", {run: sleep 1, timeout: 90s, cwd: /tmp}]
  verify: [{run: curl localhost, timeout: 2.5}]
  success: [cat]
  failure: [cat, cat]
`
	m, warnings, err := parsed(doc)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	mode := units.Mode(0o711)
	sum, _ := hex.DecodeString(sha256Hex)
	production, count := "production", "3"
	want := &Manifest{
		Src:     []string{"s3://bucket/app.tar.gz", "https://user:pw@host/app.tar.gz?sig=x"},
		Digests: Digests{Checksum: checksum.Checksum{Algorithm: "sha256", Digest: sum}},
		Dest:    "/home/app/current", DestMode: &mode,
		SyncStrategy: "swap",
		Excluding:    Excluding{Excludes: []string{"*.pid"}, ExcludeFrom: "config/exclude.list"},
		Env:          map[string]*string{"RAILS_ENV": &production, "COUNT": &count, "PATH": nil},
		About:        About{Name: "app", Version: "1.10", Annotations: map[string]string{"team": "web"}},
		Commands: Commands{
			Pre:     []Command{{Run: "echo start"}},
			Post:    []Command{{Run: "systemctl restart app"}, {"sleep 1", units.Duration(90 * time.Second), "/tmp"}},
			Verify:  []Command{{"curl localhost", units.Duration(2500 * time.Millisecond), ""}},
			Success: []Command{{Run: "cat"}},
			Failure: []Command{{Run: "cat"}, {Run: "cat"}},
		},
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("got  %+v\nwant %+v", m, want)
	}
}

func TestManifestDefaults(t *testing.T) {
	m, _, err := parsed("src: file:///a\nchecksum: " + sha256Hex + "\ndest: /srv/app")
	if err != nil || m.Name != "app" || m.SyncStrategy != "" || m.DestMode != nil {
		t.Errorf("m = %+v, err = %v", m, err)
	}
	if m.Releases.KeepCount() != 5 || m.Rollback.Off || !slices.Equal(m.Rollback.Points(), []string{"post"}) {
		t.Errorf("releases: %+v, rollback: %+v", m.Releases, m.Rollback)
	}
	m, _, err = parsed("src: ''\ncommands: {pre: [true]}")
	if err != nil || len(m.Src) != 0 {
		t.Errorf("commands only: m = %+v, err = %v", m, err)
	}
}

func TestManifestProblems(t *testing.T) {
	ok := "src: file:///a\nchecksum: " + sha256Hex + "\ndest: /srv/app\n"
	for _, tc := range []struct{ doc, want string }{
		{"", "the document is empty"},
		{"src: file:///a\ndest: /srv/app", "checksum: is required with src"},
		{"src: file:///a\nchecksum: " + sha256Hex, "dest: is required with src"},
		{"src: file:///a\nchecksum: " + sha256Hex + "\ndest: srv", `line 3: dest: "srv" is not an absolute path`},
		{"src: file:///a\nchecksum: " + sha256Hex + "\ndest: //", `line 3: dest: "//" is the root of the file system`},
		{"src: file:///a\nchecksum: abc\ndest: /a", `line 2: checksum: "abc" is not hexadecimal`},
		{ok + "index: sha1:" + sha256Hex[:40], `line 4: index: "sha1" is no algorithm for an index: sha256 is`},
		{ok + "index: " + sha256Hex[:40], `line 4: index: "sha1" is no algorithm for an index: sha256 is`},
		{ok + "index: x", `line 4: index: "x" is not hexadecimal`},
		{"index: " + sha256Hex, "line 1: index: is of no archive: there is no src"},
		{"src: file:///a\nchecksum: abcd\ndest: /a",
			`line 2: checksum: "abcd" has 4 digits: 32 (md5), 40 (sha1), 64 (sha256) or 128 (sha512) expected`},
		{"src: file:///a\nchecksum: md5:abcd\ndest: /a", `line 2: checksum: "md5:abcd" has 4 digits, md5 has 32`},
		{"src: file:///a\nchecksum: crc:abcd\ndest: /a",
			`line 2: checksum: "crc:abcd" names an unknown algorithm: md5, sha1, sha256 or sha512 expected`},
		{"src: ftp://h/a\nchecksum: " + sha256Hex + "\ndest: /a", `line 1: src: unsupported URL scheme`},
		{ok + "dest_mode: 755", `line 4: dest_mode: "755" is not an octal mode such as 0755`},
		{ok + "dest_mode: 0999", `line 4: dest_mode: "0999" is not an octal mode such as 0755`},
		{ok + "sync_strategy: mv", `line 4: sync_strategy: "mv" is not copy, swap, diff or rows`},
		{ok + "releases: {shared: [a, ..]}", "line 4: releases.shared: leads out"},
		{ok + "sync_strategy: rows\nexcludes: [ok, '- ']", "line 5: excludes[1]: "},
		{ok + "sync_strategy: diff\nexcludes: ['+ ']", "line 5: excludes[0]: "},
		{ok + "exclude_from: ../x", `line 4: exclude_from: "../x" is not a path inside the archive`},
		{ok + "exclude_from: /etc/x", `line 4: exclude_from: "/etc/x" is not a path inside the archive`},
		{ok + "commands: {pre: [{timeout: 3}]}", "line 4: commands.pre[0]: has nothing to run"},
		{ok + "commands:\n  post: [a, {rnu: x}, {timeout: 3}]",
			"line 5: commands.post[1]: sets none of the keys that belong there"},
		{ok + "commands: {post: ['', {run: ' ', cwd: a}]}", "line 4: commands.post[1]: has nothing to run"},
		{ok + "excludes: ['', \"a\\0b\"]", `line 4: excludes[1]: "a\x00b" has a NUL in it`},
		{ok + "commands: {pre: ['" + strings.Repeat("x", 128<<10) + "']}",
			"line 4: commands.pre[0]: is longer than the 131071 bytes that a program can be started with"},
		{ok + "env: {A: '" + strings.Repeat("x", 128<<10-2) + "'}", "line 4: env.A: is longer than the 131071 bytes"},
		{ok + "commands: {pre: [{run: a, cwd: ~/b}]}", `line 4: commands.pre[0].cwd: "~/b" begins with ~`},
		{ok + "hooks: {mine: [{run: ''}]}", "line 4: hooks.mine[0]: sets none of the keys that belong there"},
		{ok + "hooks: {mine: [null, {run: a, path: b}]}", "line 4: hooks.mine[1]: is a command (run) and"},
		{ok + "rollback: {from: '3'}", `line 4: rollback.from: "3" goes with rollback.to`},
		{"dest: /a\nrollback: {to: '', from: '3'}", `line 2: rollback.from: "3" goes with rollback.to`},
		{ok + "rollback: {rerun: ['', pre]}", `line 4: rollback.rerun[1]: "pre" is not post or verify`},
		{"src: file:///a\nchecksum: ''\ndest: /a", "checksum: is required with src"},
		{"src: ['', null]\nchecksum: ab\ndest: /a", `line 2: checksum: "ab" has 2 digits`},
		{ok + "commands: {post: [{run: x, timeout: -1}]}",
			`line 4: commands.post[0].timeout: "-1" is not a number of seconds`},
		{ok + "commands: {post: [{run: x, timeout: soon}]}",
			`line 4: commands.post[0].timeout: "soon" is not a duration such as 30, 90s or 5m`},
		{ok + `name: "a\0b"`, `line 4: name: "a\x00b" has a NUL in it`},
		{ok + `env: {A: "a\0b"}`, "line 4: env.A: has a NUL in it"},
		{ok + `excludes: ["a\0b"]`, `line 4: excludes[0]: "a\x00b" has a NUL in it`},
		{ok + `commands: {pre: ["a\0b"]}`, `line 4: commands.pre[0]: "a\x00b" has a NUL in it`},
		{ok + "env: {'A=B': c}", `env: "A=…" is not a variable name`},
		{"src: ftp://u:secret@h/a?k=secret\nchecksum: x\n", `line 2: checksum: "x" is not hexadecimal`},
	} {
		m, _, err := parsed(tc.doc)
		if !errors.Is(err, failure.ErrMalformed) || !strings.Contains(err.Error(), tc.want) || m != nil {
			t.Errorf("%q:\ngot  %v\nwant %s", tc.doc, err, tc.want)
		} else if strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: err = %q", tc.doc, err)
		}
	}
}

// TestHints: what mistakes may come from, where it can be told.
func TestHints(t *testing.T) {
	for doc, want := range map[string]string{
		"<!DOCTYPE html>\n<html><body>hi</body></html>":        "HTML page",
		"  <html>{{ x }}</html>":                               "HTML page",
		"name: {{ x }}":                                        "must be quoted",
		"name: {{ if x }}a{{ end }}":                           "must be quoted",
		"name: {a: b}":                                         "",
		`name: "\ud83d\ude00"`:                                 "surrogate pairs",
		"dest_mode: '{{ x }}'":                                 "",
		"name:\n\t- {{ x }}":                                   "spaces",
		"commands:\n  post:\n  - @reboot x":                    "begins with @ must be quoted",
		"commands: {post: [a, `date`]}":                        "begins with ` must be quoted",
		"commands:\n  pre: \n    - %x\n":                       "begins with % must be quoted",
		"commands:\n\tpre: [a@b]":                              "spaces",
		"commands:\n  post:\n    - echo \"deploy: done\"":      `'echo "a: b"'`,
		"commands: {post: ['a', curl -H \"Accept: x\" h]}":     "must stand in quotes",
		"name: shop: blue":                                     "must stand in quotes",
		"hooks: {mine: [echo a: b]}":                           "must stand in quotes",
		"src: file:///a\ndest: /a\n" + "checksum: [{a: b}]\n#": "",
	} {
		_, _, err := parsed(doc)
		if got := failure.Hint(err); !errors.Is(err, failure.ErrMalformed) || (got == "") != (want == "") ||
			!strings.Contains(got, want) {
			t.Errorf("%q: err = %v, hint %q, want %q", doc, err, got, want)
		}
	}
}

// TestPod: a hook pod needs no dest, but one that is given must be a dest.
func TestPod(t *testing.T) {
	ok := "src: file:///a\nchecksum: " + sha256Hex + "\n"
	for doc, want := range map[string]string{
		ok: "", ok + "dest: /srv": "", ok + "dest: srv": "is not an absolute path", ok + "dest: /": "is the root",
		"src: file:///a\n": "checksum: is required",
	} {
		tree, _ := yamldoc.Parse([]byte(doc))
		r := rules()
		r.Pod = true
		m, _, problems := parse(tree, r, false)
		if (m != nil) != (want == "") || want != "" && (len(problems) != 1 || !strings.Contains(problems[0].Error(), want)) {
			t.Errorf("%q: %v, want %q", doc, problems, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "src: file:///a", "commands: {pre: [a, {run: b}]}", "dest_mode: 0755", "env: {A: }",
		"<html>"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, _, err := parsed(string(data))
		if (m == nil) == (err == nil) {
			t.Fatalf("m = %v, err = %v", m, err)
		}
		if m != nil && len(m.Src) > 0 && (m.Dest == "" || m.Dest == "/" || m.Dest[0] != '/' || m.Checksum.Algorithm == "") {
			t.Errorf("unusable manifest accepted: %+v", m)
		}
	})
}

// TestEmptyElements: an element of a list that holds nothing is a warning, and
// not there.
func TestEmptyElements(t *testing.T) {
	ok := "checksum: " + sha256Hex + "\ndest: /srv/app\nsync_strategy: swap\n"
	for key, length := range map[string]func(*Manifest) int{
		"src: [file:///a, @]":                func(m *Manifest) int { return len(m.Src) },
		"excludes: [a, @]":                   func(m *Manifest) int { return len(m.Excludes) },
		"commands: {pre: [a, @]}":            func(m *Manifest) int { return len(m.Commands.Pre) },
		"commands: {failure: [a, @]}":        func(m *Manifest) int { return len(m.Commands.Failure) },
		"hooks: {mine: [{run: a}, @]}":       func(m *Manifest) int { return len(m.Hooks["mine"]) },
		"releases: {shared: [a, @]}":         func(m *Manifest) int { return len(m.Releases.Shared) },
		"rollback: {rerun: [post, @]}":       func(m *Manifest) int { return len(*m.Rollback.Rerun) },
		"commands:\n  pre:\n    - a\n    -@": func(m *Manifest) int { return len(m.Commands.Pre) },
		"hooks: {mine: [{run: a, environment: [A=b, @]}]}": func(m *Manifest) int {
			return len(m.Hooks["mine"][0].Environment)
		},
	} {
		for _, empty := range []string{" null", " ~", " ''", ` "  "`, " {}", " # comment\n"} {
			if strings.HasPrefix(empty, " #") && strings.Contains(key, "[") {
				continue // not on one line
			}
			doc := ok + strings.ReplaceAll(key, "@", empty)
			m, warnings, err := parsed(doc)
			if err != nil || length(m) != 1 {
				t.Errorf("%q: %+v, %v", doc, m, err)
			} else if len(warnings) < 1 || !strings.HasSuffix(warnings[0].Error(), "[1]: is empty and is skipped") {
				t.Errorf("%q: warnings %v", doc, warnings)
			}
		}
	}
}

// TestHelperKeys: keys at the top that hold anchors are the author's own.
func TestHelperKeys(t *testing.T) {
	m, warnings, err := parsed("x-common: &c {timeout: 5}\n.base: &b [echo a]\n" +
		"commands: {pre: *b, post: [{<<: *c, run: b}]}")
	if err != nil || len(warnings) > 0 || m.Commands.Pre[0].Run != "echo a" || m.Commands.Post[0].Timeout == 0 {
		t.Errorf("%+v, %v, %v", m, warnings, err)
	}
	for _, doc := range []string{"commands: {x-a: b}", "commands: {.a: b}", "-x: a", "x: a", "releases: {x-keep: 5}"} {
		if _, warnings, err := parsed(doc + "\nname: a"); err != nil || len(warnings) == 0 {
			t.Errorf("%q: no warning, %v", doc, err)
		}
	}
}
