package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/policy"
)

// TestAllProblems: what can't be read hides nothing but what comes of it, and each
// problem is where it is in the manifest as it was written.
func TestAllProblems(t *testing.T) {
	for _, tc := range []struct{ doc, want string }{
		{"limits: {files: x}\ndest: a\nsrc: ftp://x\nchecksum: beef\n",
			"1:17 limits.files; 2:1 dest; 3:1 src; 4:11 checksum"},
		{"src: {a: b}\ndest: a\nindex: sha256:" + strings.Repeat("0", 64), "1:6 src"},
		{"sync_strategy: [releases]\nreleases: {keep: 0}\nnative: {checksum: x}\n",
			"1:16 sync_strategy; 2:12 releases.keep; 3:20 native.checksum"},
		{"name: {{ must_env \"A\" }}\nx: {{ must_env \"B\" }}\n" +
			"commands: {pre: [{timeout: soon, run: {{ must_env \"C\" }}}]}\n",
			"1:7 ; 2:1 x; 2:4 ; 3:28 commands.pre[0].timeout; 3:39 "},
		{"commands: {pre: [\"a {{ env \"X\" \"y\" }} b\", {timeout: soon, run: b}], other: {}}\n",
			"1:53 commands.pre[1].timeout; 1:69 commands.other"},
		{"name: a\nname: b\nlimits: {files: -1}\n", "2:1 name; 3:10 limits.files"},
	} {
		l, _, _, _ := loader(served{"https://h/m.yml": tc.doc}, &policy.Policy{}, nil)
		l.Warn = nil
		_, err := l.Load(t.Context(), "https://h/m.yml")
		var wrong *Wrong
		if !errors.As(err, &wrong) {
			t.Errorf("%q: %v", tc.doc, err)
			continue
		}
		var got []string
		for _, p := range wrong.Problems {
			got = append(got, fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.Key))
		}
		slices.Sort(got)
		if strings.Join(got, "; ") != tc.want {
			t.Errorf("%q:\n%s\nwant\n%s\n%v", tc.doc, strings.Join(got, "; "), tc.want, err)
		}
	}
}

// TestStandsIn: wherever a value may stand, something fits that takes its place,
// and what is wrong beside it is told all the same.
func TestStandsIn(t *testing.T) {
	const value = `{{ must_env "UNSET" }}`
	for _, doc := range []string{
		"name: V", "version: V", "dest_mode: V", "sync_strategy: V", "excludes: [V]", "exclude_from: V", "env: {A: V}",
		"commands: {pre: V}", "commands: {pre: [{run: V, timeout: V, cwd: V}]}", "commands: {pre: {run: a, timeout: Vm}}",
		"hooks: {pre_pack: [{run: V}]}", "hooks: {pre_pack: [{run: a, timeout: V}]}", "config: {a: V}", "annotations: {a: V}",
		"serial: V\nname: a", "expires: V", "native: {checksum: V}",
		"sync_strategy: rows\nreleases: {keep: V, link: V, shared: [V]}",
		"rollback: V",
		"sync_strategy: rows\nrollback: {rerun: V}", "sync_strategy: rows\nrollback: {rerun: [V]}",
		"fetch: {connections: V}", "extract: V",
		"limits: {archive: V, unpacked: V, files: V}", "limits: {archive: VMB}", "strip_components: V",
		"src: V\nchecksum: V\ndest: V", "src: [V, https://V/a, https://h/V]\nchecksum: sha256:V\ndest: /srv/V",
		"src: s3://V/V\nchecksum: V\nindex: V\ndest: V/app",
		"src: https://h/a\nchecksum: V:" + strings.Repeat("0", 64) + "\ndest: /a",
	} {
		doc = strings.ReplaceAll(doc, "V", value) + "\n"
		l, _, _, _ := loader(served{"https://h/m.yml": doc, "https://h/w.yml": doc + "nmae: x\n"}, &policy.Policy{}, nil)
		l.Unset = true
		m, err := l.Load(t.Context(), "https://h/m.yml")
		if err != nil || !slices.Equal(m.Unset, []string{"UNSET"}) || strings.Contains(string(m.Text), "{{") {
			t.Errorf("%q: %v", doc, err)
		}
		l.Warn = nil
		var wrong *Wrong
		if _, err := l.Load(t.Context(), "https://h/w.yml"); !errors.As(err, &wrong) || len(wrong.Problems) != 1 {
			t.Errorf("%q with a wrong key: %v", doc, err)
		}
		l.Unset = false
		if _, err := l.Load(t.Context(), "https://h/m.yml"); err == nil {
			t.Errorf("%q is deployed", doc)
		}
	}
}
