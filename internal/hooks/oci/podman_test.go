//go:build linux

package oci

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stretcher/internal/hooks"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/testparts"
)

// podman runs podman and returns what it prints.
func podman(e testparts.ContainerEngine, hookDirs []string, args ...string) (string, error) {
	all := slices.Clone(e.Args)
	for _, dir := range hookDirs {
		all = append(all, "--hooks-dir", dir)
	}
	out, err := exec.Command(e.Path, append(all, args...)...).CombinedOutput()
	return string(out), err
}

const image = "localhost/true"

// buildImage builds an image from scratch that holds one static program,
// /true.
func buildImage(t *testing.T, e testparts.ContainerEngine) {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "main.go", "package main\n\nfunc main() {}\n")
	put(t, dir, "go.mod", "module true\n\ngo 1.26\n")
	put(t, dir, "Dockerfile", "FROM scratch\nCOPY true /true\nCMD [\"/true\"]\n")
	build := exec.Command("go", "build", "-o", "true", ".")
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := podman(e, nil, "build", "--tag", image, dir); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// noting is a definition whose hook notes its name.
func noting(when, stages string) string {
	return `{"version": "1.0.0", "hook": NOTE, "when": ` + when + `, "stages": [` + stages + `]}`
}

// differential are the definitions that both programs read. NOTE stands for
// a path and arguments that note the definition's name.
var differential = map[string]string{
	"one/01-always.json":          noting(`{"always": true}`, `"prestart"`),
	"one/02-masked.json":          noting(`{"always": true}`, `"prestart"`),
	"two/02-masked.json":          noting(`{"always": false}`, `"prestart"`),
	"one/03-Team.json":            noting(`{"annotations": {"^team$": "^w"}}`, `"prestart"`),
	"two/03-and.json":             noting(`{"annotations": {"^team$": "^w", "^zone$": "b"}}`, `"prestart"`),
	"two/03-TEAM-two.json":        noting(`{"annotations": {"ea": "e"}}`, `"prestart"`),
	"one/04-command.json":         noting(`{"commands": ["^/nothing$", "true"]}`, `"prestart"`),
	"one/05-no-command.json":      noting(`{"always": true, "commands": ["^/false$"]}`, `"prestart"`),
	"one/06-refused-command.json": noting(`{"always": false, "commands": ["true"]}`, `"prestart"`),
	"one/07-mounts.json":          noting(`{"hasBindMounts": true}`, `"prestart"`),
	"one/08-no-mounts.json":       noting(`{"always": true, "hasBindMounts": false}`, `"prestart"`),
	"one/09-nothing.json":         noting(`{}`, `"prestart"`),
	"one/10-no-stage.json":        noting(`{"always": true}`, ``),
	"one/11-twice.json":           noting(`{"always": true}`, `"prestart", "prestart"`),
	"one/12-runtime.json":         noting(`{"always": true}`, `"createRuntime"`),
	"one/13-empty-commands.json":  noting(`{"commands": []}`, `"prestart"`),
	"one/20-old.json": `{"hook": PATH, "arguments": ARGS, "cmds": ["^/nothing$"], "annotations": ["^web$"],
		"stages": ["prestart"]}`,
	"one/21-old-command.json": `{"version": "0.1.0", "hook": PATH, "arguments": ARGS, "cmd": ["true$"],
		"stage": ["prestart"]}`,
	"one/22-old-mounts.json": `{"hook": PATH, "arguments": ARGS, "hasbindmounts": true, "stages": ["prestart"]}`,
	"one/23-old-value.json": `{"hook": PATH, "arguments": ARGS, "annotation": ["^a$", "^b$"],
		"stages": ["prestart"]}`,
	"one/24-old-nothing.json":   `{"hook": PATH, "arguments": ARGS, "stages": ["prestart"]}`,
	"one/25-old-any.json":       `{"hook": PATH, "arguments": ARGS, "annotations": [], "stages": ["prestart"]}`,
	"one/26-old-no-mounts.json": `{"hook": PATH, "arguments": ARGS, "hasbindmounts": false, "stages": ["prestart"]}`,
}

// definitions writes the definitions below top; each notes its name in note.
func definitions(t *testing.T, top, note string) (dirs []string) {
	t.Helper()
	for name, def := range differential {
		// /bin/sh -c SCRIPT, whatever args[0] is.
		args := fmt.Sprintf(`["-c", "echo %s >>%s"]`, name, note)
		def = strings.ReplaceAll(def, "NOTE", `{"path": PATH, "args": ["sh", `+args[1:]+`}`)
		def = strings.NewReplacer("PATH", `"/bin/sh"`, "ARGS", args).Replace(def)
		put(t, filepath.Join(top, filepath.Dir(name)), filepath.Base(name), def)
	}
	return []string{filepath.Join(top, "one"), filepath.Join(top, "two")}
}

// noted returns what hooks have noted, and forgets it.
func noted(t *testing.T, note string) string {
	t.Helper()
	b, err := os.ReadFile(note)
	must(t, err)
	must(t, os.Remove(note))
	return string(b)
}

// TestPodmanFiresTheSame runs a container and a deployment over the same
// definitions and compares which hooks fire, in which order.
func TestPodmanFiresTheSame(t *testing.T) {
	e := testparts.Podman(t)
	buildImage(t, e)
	top := t.TempDir()
	note := filepath.Join(top, "note")
	dirs := definitions(t, top, note)
	for _, tc := range []struct {
		name        string
		annotations map[string]string
		mount       bool
	}{
		{"web", map[string]string{"team": "web"}, false},
		{"web in zone b, with a mount", map[string]string{"team": "web", "zone": "b"}, true},
		{"other", map[string]string{"team": "ops", "zone": "a"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			args := append([]string{"run", "--rm"}, e.Run...)
			for k, v := range tc.annotations {
				args = append(args, "--annotation", k+"="+v)
			}
			if tc.mount {
				args = append(args, "--volume", t.TempDir()+":/mnt")
			}
			if out, err := podman(e, dirs, append(args, image)...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			want := noted(t, note)

			defs, err := Load(dirs)
			must(t, err)
			found, err := Hooks(defs, hooks.PreExtract,
				Deployment{Annotations: tc.annotations, Commands: []string{"/true"}, BindMounts: tc.mount})
			must(t, err)
			log := runlog.New(runlog.Options{})
			defer log.Close()
			must(t, (&hooks.Runner{Log: log}).Run(t.Context(), hooks.PreExtract, found, false))
			if got := noted(t, note); got != want {
				t.Errorf("ours:\n%s\npodman's:\n%s", got, want)
			} else {
				t.Logf("fired:\n%s", got)
			}
		})
	}
}

// TestPodmanRefusesTheSame gives podman one bad definition at a time.
func TestPodmanRefusesTheSame(t *testing.T) {
	e := testparts.Podman(t)
	for name, def := range map[string]string{
		"syntax":   `{`,
		"version":  `{"version": "2.0.0"}`,
		"no path":  `{"version": "1.0.0", "hook": {}, "when": {"always": true}, "stages": ["prestart"]}`,
		"regexp":   `{"version": "1.0.0", "hook": {"path": "/bin/sh"}, "when": {"commands": ["("]}, "stages": ["prestart"]}`,
		"stage":    `{"version": "1.0.0", "hook": {"path": "/bin/sh"}, "when": {"always": true}, "stages": ["pre"]}`,
		"no stage": `{"version": "1.0.0", "hook": {"path": "/bin/sh"}, "when": {"always": true}}`,
		"both":     `{"hook": "/bin/sh", "cmd": [], "cmds": [], "stages": ["prestart"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, dir, "x.json", def)
			if _, err := Load([]string{dir}); err == nil {
				t.Error("we accept it")
			}
			args := append(append([]string{"run", "--rm"}, e.Run...), "--rootfs", dir, "/true")
			if out, err := podman(e, []string{dir}, args...); err == nil || !strings.Contains(out, "setting up OCI Hooks") {
				t.Errorf("podman: %v\n%s", err, out)
			}
		})
	}
}
