package main

import (
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"stretcher/internal/fetch/checksum"
	"stretcher/internal/fetch/store"
	"stretcher/internal/text/failure"
	"stretcher/internal/text/units"
)

const sha256Hex = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

func TestParseManifest(t *testing.T) {
	const doc = `
src: [s3://bucket/app.tar.gz, "https://user:pw@host/app.tar.gz?sig=x"]
checksum: SHA256:` + sha256Hex + `
dest: /home/app/current/
dest_mode: 0711
sync_strategy: mv
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
	m, warnings, err := ParseManifest([]byte(doc), store.Check)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	mode := units.Mode(0o711)
	sum, _ := hex.DecodeString(sha256Hex)
	production, count := "production", "3"
	want := &Manifest{
		Src:      []string{"s3://bucket/app.tar.gz", "https://user:pw@host/app.tar.gz?sig=x"},
		Checksum: checksum.Checksum{Algorithm: "sha256", Digest: sum}, Dest: "/home/app/current", DestMode: &mode, SyncStrategy: "mv",
		Excludes: []string{"*.pid"}, ExcludeFrom: "config/exclude.list",
		Env:  map[string]*string{"RAILS_ENV": &production, "COUNT": &count, "PATH": nil},
		Name: "app", Version: "1.10", Annotations: map[string]string{"team": "web"},
		Commands: Commands{
			Pre:     []CommandLine{{Run: "echo start"}},
			Post:    []CommandLine{{Run: "systemctl restart app"}, {"sleep 1", units.Duration(90 * time.Second), "/tmp"}},
			Verify:  []CommandLine{{"curl localhost", units.Duration(2500 * time.Millisecond), ""}},
			Success: []CommandLine{{Run: "cat"}},
			Failure: []CommandLine{{Run: "cat"}, {Run: "cat"}},
		},
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("got  %+v\nwant %+v", m, want)
	}
}

func TestManifestDefaults(t *testing.T) {
	m, _, err := ParseManifest([]byte("src: file:///a\nchecksum: "+sha256Hex+"\ndest: /srv/app"), store.Check)
	if err != nil || m.Name != "app" || m.SyncStrategy != "" || m.DestMode != nil {
		t.Errorf("m = %+v, err = %v", m, err)
	}
	if m.Releases.keep() != 5 || m.Rollback.Off || !slices.Equal(m.Rollback.rerun(), []string{"post"}) {
		t.Errorf("releases: %+v, rollback: %+v", m.Releases, m.Rollback)
	}
	m, _, err = ParseManifest([]byte("src: ''\ncommands: {pre: [true]}"), store.Check)
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
		{"src: file:///a\nchecksum: abcd\ndest: /a", `line 2: checksum: "abcd" has 4 digits: 32 (md5), 40 (sha1), 64 (sha256) or 128 (sha512) expected`},
		{"src: file:///a\nchecksum: md5:abcd\ndest: /a", `line 2: checksum: "md5:abcd" has 4 digits, md5 has 32`},
		{"src: file:///a\nchecksum: crc:abcd\ndest: /a", `line 2: checksum: "crc:abcd" names an unknown algorithm: md5, sha1, sha256 or sha512 expected`},
		{"src: ftp://h/a\nchecksum: " + sha256Hex + "\ndest: /a", `line 1: src: URL "ftp://h/a": unsupported URL scheme "ftp"`},
		{ok + "dest_mode: 755", `line 4: dest_mode: "755" is not an octal mode such as 0755`},
		{ok + "dest_mode: 0999", `line 4: dest_mode: "0999" is not an octal mode such as 0755`},
		{ok + "sync_strategy: copy", `line 4: sync_strategy: "copy" is not `},
		{ok + "exclude_from: ../x", `line 4: exclude_from: "../x" is not a path inside the archive`},
		{ok + "exclude_from: /etc/x", `line 4: exclude_from: "/etc/x" is not a path inside the archive`},
		{ok + "commands: {pre: [{timeout: 3}]}", "line 4: commands.pre[0]: has nothing to run"},
		{ok + "commands: {post: ['  ']}", "line 4: commands.post[0]: has nothing to run"},
		{ok + "commands: {post: [{run: x, timeout: -1}]}", `line 4: commands.post[0].timeout: "-1" is not a number of seconds`},
		{ok + "commands: {post: [{run: x, timeout: soon}]}", `line 4: commands.post[0].timeout: "soon" is not a duration such as 30, 90s or 5m`},
		{ok + `name: "a\0b"`, `line 4: name: "a\x00b" has a NUL in it`},
		{ok + `env: {A: "a\0b"}`, "line 4: env.A: has a NUL in it"},
		{ok + `excludes: ["a\0b"]`, `line 4: excludes[0]: "a\x00b" has a NUL in it`},
		{ok + `commands: {pre: ["a\0b"]}`, `line 4: commands.pre[0]: "a\x00b" has a NUL in it`},
		{ok + "env: {'A=B': c}", `env: "A=B" is not a variable name`},
		{"src: ftp://u:secret@h/a?k=secret\nchecksum: x\n", `line 2: checksum: "x" is not hexadecimal`},
	} {
		m, _, err := ParseManifest([]byte(tc.doc), store.Check)
		if !errors.Is(err, failure.ErrMalformed) || !strings.Contains(err.Error(), tc.want) || m != nil {
			t.Errorf("%q:\ngot  %v\nwant %s", tc.doc, err, tc.want)
		} else if strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: err = %q", tc.doc, err)
		}
	}
}

func TestManifestThatIsAPage(t *testing.T) {
	_, _, err := ParseManifest([]byte("<!DOCTYPE html>\n<html><body>hi</body></html>"), store.Check)
	if !errors.Is(err, failure.ErrMalformed) || !strings.Contains(hintOf(err), "HTML page") {
		t.Errorf("err = %v, hint %q", err, hintOf(err))
	}
}

func FuzzParseManifest(f *testing.F) {
	for _, s := range []string{"", "src: file:///a", "commands: {pre: [a, {run: b}]}", "dest_mode: 0755", "env: {A: }", "<html>"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, _, err := ParseManifest(data, store.Check)
		if (m == nil) == (err == nil) {
			t.Fatalf("m = %v, err = %v", m, err)
		}
		if m != nil && len(m.Src) > 0 && (m.Dest == "" || m.Dest == "/" || m.Dest[0] != '/' || m.Checksum.Algorithm == "") {
			t.Errorf("unusable manifest accepted: %+v", m)
		}
	})
}
