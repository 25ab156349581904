package oci

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/disk"
	"stretcher/internal/hooks"
	"stretcher/internal/text/failure"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, dir, name, content string) string {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	path := filepath.Join(dir, name)
	must(t, os.WriteFile(path, []byte(content), 0o644))
	return path
}

// always is a definition that fires at stage, marked by an argument.
func always(stage, arg string) string {
	return `{"version": "1.0.0", "hook": {"path": "/bin/sh", "args": ["sh", "` + arg +
		`"]}, "when": {"always": true}, "stages": ["` + stage + `"]}`
}

func TestRead(t *testing.T) {
	for _, tc := range []struct{ name, data, want string }{
		{"1.0.0", `{"version": "1.0.0", "hook": {"path": "/h", "args": ["h", "x"], "env": ["A=1"], "timeout": 3},
			"when": {"always": true, "annotations": {"^b$": "c", "^a$": "d"}, "commands": ["e"], "hasBindMounts": true},
			"stages": ["prestart", "pre_sync"]}`,
			`/h [h x] [A=1] 3 any=false always=true [^a$=d ^b$=c] [e] mounts=true [prestart pre_sync]`},
		{"1.0.0, least", `{"version": "1.0.0", "hook": {"path": "/h"}, "when": {}, "stages": []}`,
			`/h [] [] 0 any=false always= [] [] mounts= []`},
		{"1.0.0, unknown keys", `{"version": "1.0.0", "hook": {"path": "/h", "x": 1}, "when": {},
			"stages": ["poststop"], "y": 2}`,
			`/h [] [] 0 any=false always= [] [] mounts= [poststop]`},
		{"0.1.0", `{"version": "0.1.0", "hook": "/h", "arguments": ["x"], "stages": ["poststart"],
			"cmds": ["e"], "annotations": ["a", "b"], "hasbindmounts": true}`,
			`/h [/h x] [] 0 any=true always= [=a|b] [e] mounts=true [poststart]`},
		{"no version, other spelling", `{"hook": "/h", "stage": ["poststart"], "cmd": ["e"], "annotation": ["a"]}`,
			`/h [] [] 0 any=true always= [=a] [e] mounts= [poststart]`},
		{"0.1.0, empty annotations", `{"hook": "/h", "stages": ["poststart"], "annotations": []}`,
			`/h [] [] 0 any=true always= [=] [] mounts= [poststart]`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := Read([]byte(tc.data))
			must(t, err)
			if got := describe(d); got != tc.want {
				t.Errorf("\n got %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestReadNamesTheKey(t *testing.T) {
	const hook = `"version": "1.0.0", "hook": {"path": "/h"}, "when": {}`
	for _, tc := range []struct{ name, data, err string }{
		{"empty", ``, "is not a JSON object"},
		{"null", `null`, "is not a JSON object"},
		{"list", `[]`, "is not a JSON object"},
		{"syntax", "{\n\"hook\": }", "line 2: "},
		{"trailing garbage", `{` + hook + `, "stages": []} x`, "line 1: "},
		{"version", `{"version": "2.0.0"}`, `version: "2.0.0"`},
		{"version's type", `{"version": 1}`, "version: is a JSON number where a text is wanted"},
		{"no path", `{"version": "1.0.0", "when": {}, "stages": []}`, "hook.path: is missing"},
		{"relative path", `{"version": "1.0.0", "hook": {"path": "h"}, "stages": []}`, `hook.path: "h" is not absolute`},
		{"NUL in env", `{"version": "1.0.0", "hook": {"path": "/h", "env": ["A=\u0000"]}, "stages": []}`,
			`hook.env: has a NUL in it`},
		{"path's type", `{"version": "1.0.0", "hook": {"path": 1}, "stages": []}`,
			"hook.path: is a JSON number where a text is wanted"},
		{"hook's type", `{"version": "1.0.0", "hook": "/h", "stages": []}`,
			"hook: is a JSON string where an object is wanted"},
		{"timeout's type", `{"version": "1.0.0", "hook": {"path": "/h", "timeout": "1"}, "stages": []}`,
			"hook.timeout: is a JSON string where a whole number is wanted"},
		{"always' type", `{"version": "1.0.0", "hook": {"path": "/h"}, "when": {"always": 1}, "stages": []}`,
			"when.always: is a JSON number where true or false is wanted"},
		{"timeout", `{"version": "1.0.0", "hook": {"path": "/h", "timeout": 0}, "stages": []}`, "hook.timeout: 0"},
		{"annotation key", `{"version": "1.0.0", "hook": {"path": "/h"}, "when": {"annotations": {"(": "a"}}, "stages": []}`,
			`when.annotations: "(" is not a regular expression`},
		{"annotation value", `{"version": "1.0.0", "hook": {"path": "/h"}, "when": {"annotations": {"a": "("}},
			"stages": []}`,
			`when.annotations: "(" is not a regular expression`},
		{"command", `{"version": "1.0.0", "hook": {"path": "/h"}, "when": {"commands": ["("]}, "stages": []}`,
			`when.commands: "(" is not`},
		{"no stages", `{` + hook + `}`, "stages: is missing"},
		{"unknown stage", `{` + hook + `, "stages": ["preStart"]}`,
			`stages: "preStart" is not one of prestart, createRuntime`},
		{"stages' type", `{` + hook + `, "stages": "prestart"}`, "stages: is a JSON string where a list is wanted"},
		{"podman's stage", `{` + hook + `, "stages": ["precreate"]}`,
			`stages: "precreate", which changes a container's configuration, is not one of prestart`},
		{"0.1.0, no hook", `{"stages": []}`, "hook: is missing"},
		{"0.1.0, both", `{"hook": "/h", "stage": [], "stages": []}`, "stage: is the same as stages"},
		{"0.1.0, both cmds", `{"hook": "/h", "stages": [], "cmd": [], "cmds": []}`, "cmd: is the same as cmds"},
		{"0.1.0, both annotations", `{"hook": "/h", "stages": [], "annotation": [], "annotations": []}`,
			"annotation: is the same as annotations"},
		{"0.1.0, cmds", `{"hook": "/h", "stages": [], "cmds": ["("]}`, `cmds: "(" is not`},
		{"0.1.0, annotations", `{"hook": "/h", "stages": [], "annotations": ["("]}`, `annotations: "(" is not`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, err := Read([]byte(tc.data))
			if err == nil || d != nil || !strings.HasPrefix(err.Error(), tc.err) {
				t.Errorf("%v, %v; want %q", d, err, tc.err)
			}
		})
	}
}

// names lists definitions as FILE:ARG.
func names(defs []Definition) (all []string) {
	for _, d := range defs {
		all = append(all, d.Name+":"+d.Hook.Args[1])
	}
	return all
}

func TestLoadMasksAndOrders(t *testing.T) {
	top := t.TempDir()
	one, two := filepath.Join(top, "one"), filepath.Join(top, "two")
	for dir, files := range map[string][]string{
		one: {"01-my-hook.json", "02-other.json", "b.json", "B.json", "c.json", "D.json", "d.json"},
		two: {"01-my-hook.json", "01-UPPERCASE.json", "C.json", "a.json", "b.json"},
	} {
		for _, name := range files {
			put(t, dir, name, always("prestart", filepath.Base(dir)))
		}
		put(t, dir, "README", "ignored")
		put(t, dir, "x.json.bak", "ignored")
	}
	want := []string{
		"01-my-hook.json:two", "01-UPPERCASE.json:two", "02-other.json:one", "a.json:two",
		"B.json:one", "b.json:two", "c.json:one", "C.json:two", "D.json:one", "d.json:one",
	}
	for range 20 { // an order left to a map or an unstable sort changes
		defs, err := Load([]string{one, filepath.Join(top, "missing"), two})
		must(t, err)
		if got := names(defs); !slices.Equal(got, want) {
			t.Fatalf("\n got %q\nwant %q", got, want)
		}
	}
}

func TestLoadReportsEachBadFile(t *testing.T) {
	top := t.TempDir()
	one, two := filepath.Join(top, "one"), filepath.Join(top, "two")
	put(t, one, "good.json", always("prestart", "one"))
	for _, name := range []string{"masked.json", "gone.json", "away.json"} {
		put(t, one, name, always("prestart", "one"))
	}
	put(t, two, "masked.json", "{")
	must(t, os.Symlink("/nonexistent", filepath.Join(two, "gone.json")))
	must(t, os.Symlink("../none/away.json", filepath.Join(two, "away.json")))
	must(t, os.Symlink("alone.json", filepath.Join(two, "loop.json")))
	must(t, os.Symlink("loop.json", filepath.Join(two, "alone.json")))
	put(t, two, "stage.json", always("preprestart", "x"))
	put(t, two, "program.json", strings.Replace(always("prestart", "x"), "/bin/sh", "/no/such", 1))
	put(t, two, "program_dir.json", strings.Replace(always("prestart", "x"), "/bin/sh", "/bin", 1))
	put(t, two, "big.json", strings.Repeat(" ", maxDefinition+1))
	must(t, os.Mkdir(filepath.Join(two, "dir.json"), 0o755))
	defs, err := Load([]string{one, two, filepath.Join(one, "good.json")})
	if got := names(defs); !slices.Equal(got, []string{"good.json:one"}) {
		t.Errorf("definitions %q", got)
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 11 {
		t.Fatalf("err = %v", err)
	}
	for _, want := range []string{
		filepath.Join(two, "masked.json") + `": line 1:`, filepath.Join(two, "stage.json") + `": stages:`,
		filepath.Join(two, "program.json") + `": hook.path:`, filepath.Join(two, "program_dir.json") + `": hook.path:`,
		"big.json", "dir.json", "good.json", "loop.json", "alone.json",
		filepath.Join(two, "gone.json") + `: is a symlink that leads nowhere`,
		filepath.Join(two, "away.json") + `: is a symlink that leads nowhere`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
}

// TestLoadKeepsWhatWasTakenAway: a symlink to nothing is a bad file, and one to
// what somebody else may have taken away refuses the run.
func TestLoadKeepsWhatWasTakenAway(t *testing.T) {
	top := t.TempDir()
	dir, open := filepath.Join(top, "oci"), filepath.Join(top, "open")
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.Mkdir(open, 0o755))
	must(t, os.Symlink("../open/gone.json", filepath.Join(dir, "one.json")))
	if defs, err := Load([]string{dir}); len(defs) > 0 || !errors.Is(err, disk.ErrDangling) {
		t.Errorf("nobody can have taken it away: %v, %v", defs, err)
	}
	must(t, os.Chmod(open, 0o777))
	if defs, err := Load([]string{dir}); len(defs) > 0 || !errors.Is(err, failure.ErrRefused) {
		t.Errorf("others may have taken it away: %v, %v", defs, err)
	}
}

// TestLoadFollowsNoForeignLink: root reads no definition that another user has
// chosen by a symlink.
func TestLoadFollowsNoForeignLink(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: another user owns the link")
	}
	const stranger = 47001
	top := t.TempDir()
	path := put(t, filepath.Join(top, "elsewhere"), "a.json", always("prestart", "x"))
	dir := filepath.Join(top, "oci.d")
	must(t, os.Mkdir(dir, 0o755))
	for _, link := range []string{"foreign.json", "own.json"} {
		must(t, os.Symlink(path, filepath.Join(dir, link)))
	}
	must(t, os.Lchown(filepath.Join(dir, "foreign.json"), stranger, stranger))
	defs, err := Load([]string{dir})
	if got := names(defs); !slices.Equal(got, []string{"own.json:x"}) || !errors.Is(err, disk.ErrForeignLink) {
		t.Errorf("definitions %q, err = %v", got, err)
	}
}

func FuzzRead(f *testing.F) {
	seeds := []string{
		always("prestart", "x"), `{}`, `{"hook": "/h", "stages": []}`,
		`{"version": "0.1.0", "hook": "/h", "cmd": ["a"], "annotation": ["b"], "stage": ["poststop"],
			"hasbindmounts": false}`,
		`{"version": "1.0.0", "hook": {"path": "/h", "timeout": 9223372036854775807},
			"when": {"annotations": {"a": "b"}, "commands": ["c"]}, "stages": ["finish"]}`,
		`{"VERSION": "1.0.0", "hook": null}`, "\xff", `{"version": "1.0.0"} {}`,
	}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	d := Deployment{ID: "r", Bundle: "/b", Annotations: map[string]string{"a": "b"}, Commands: []string{"c"}}
	f.Fuzz(func(t *testing.T, data []byte) {
		def, err := Read(data)
		if err != nil {
			if def != nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, %q", def, err)
			}
			return
		}
		fires, why := def.When.Match(d)
		if why == "" || strings.Contains(Explain(*def, d), "\n") {
			t.Errorf("explained as %q", Explain(*def, d))
		}
		n := 0
		for _, p := range hooks.Points() {
			found, err := Hooks([]Definition{*def}, p.Point, d)
			must(t, err)
			for _, h := range found {
				n++
				if h.Env == nil || h.Timeout < 0 || !json.Valid(h.Stdin) {
					t.Errorf("%+v", h)
				}
			}
		}
		if fires && n != len(def.Stages) || !fires && n != 0 {
			t.Errorf("fires %v, %d hooks for stages %q", fires, n, def.Stages)
		}
	})
}
