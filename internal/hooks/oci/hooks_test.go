package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"stretcher/internal/hooks"
	"stretcher/internal/journal/runlog"
)

func TestHooksByStage(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "1.json", always("createRuntime", "1"))
	put(t, dir, "2.json", always("prestart", "2"))
	put(t, dir, "3.json", strings.Replace(always("prestart", "3"), `"prestart"`,
		`"pre_extract", "prestart", "poststop"`, 1))
	put(t, dir, "4.json", strings.Replace(always("prestart", "4"), "true", "false", 1))
	put(t, dir, "5.json", always("post_prune", "5"))
	defs, err := Load([]string{dir})
	must(t, err)
	for p, want := range map[hooks.Point]string{
		hooks.PreExtract: "2@prestart 3@prestart 1@createRuntime 3@pre_extract",
		hooks.Finish:     "3@poststop",
		hooks.PostPrune:  "5@post_prune",
		hooks.Init:       "",
		"unknown":        "",
	} {
		found, err := Hooks(defs, p, Deployment{})
		must(t, err)
		var got []string
		for _, h := range found {
			got = append(got, h.Name+"@"+h.Stage)
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %q, want %q", p, s, want)
		}
	}
}

// TestListedAsItRuns: a stage that is named twice runs twice and is listed
// twice; a file that is all suffix has a name.
func TestListedAsItRuns(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.json", strings.Replace(always("prestart", "a"), `"prestart"`, `"prestart", "init", "prestart"`, 1))
	put(t, dir, ".json", always("prestart", "b"))
	defs, err := Load([]string{dir})
	must(t, err)
	d := &Dialect{Definitions: defs, Mask: func(string, string) {}}
	list, _, err := d.At(hooks.PreExtract, hooks.Deployment{})
	must(t, err)
	var ran, listed []string
	for _, h := range list {
		ran = append(ran, h.Name)
	}
	told, _ := d.List(hooks.PreExtract, &hooks.Deployment{})
	for _, l := range told {
		listed = append(listed, l.Name)
	}
	if want := []string{".json", "a", "a"}; !slices.Equal(ran, want) || !slices.Equal(listed, want) {
		t.Errorf("ran %q, listed %q, want %q", ran, listed, want)
	}
}

func TestFailuresByStage(t *testing.T) {
	for stage, want := range map[string]string{
		"prestart": "stops pass", "createRuntime": "stops pass", "createContainer": "stops pass",
		"startContainer": "stops pass", "poststart": "warns pass", "poststop": "warns always",
		"init": "stops pass", "pre_sync": "stops pass", "auth_fail": "warns always", "post_prune": "warns pass",
	} {
		def, err := Read([]byte(always(stage, "x")))
		must(t, err)
		p, _ := hooks.ByOCI(stage)
		found, err := Hooks([]Definition{*def}, p, Deployment{})
		must(t, err)
		got := "warns "
		if found[0].Required {
			got = "stops "
		}
		if got += string(found[0].Condition); got != want {
			t.Errorf("%s %s, want %s", stage, got, want)
		}
	}
}

// TestHookGetsWhatTheDefinitionSays runs a hook through the engine: its argv,
// its environment, which inherits nothing, and the state on its stdin.
func TestHookGetsWhatTheDefinitionSays(t *testing.T) {
	def, err := Read([]byte(`{"version": "1.0.0", "hook": {"path": "/bin/sh", "args": ["other", "-c",
		"show() { /usr/bin/tr '\\0' ' ' </proc/$$/$1; echo; }; show environ; show cmdline; /bin/cat"],
		"env": ["A=1"], "timeout": 20}, "when": {"always": true}, "stages": ["poststart"]}`))
	must(t, err)
	d := Deployment{ID: "r1", Bundle: "/srv/app", Pid: 42, Annotations: map[string]string{"team": "web"}}
	found, err := Hooks([]Definition{*def}, hooks.PostLaunch, d)
	must(t, err)
	if h := found[0]; h.Timeout != 20*time.Second || h.Grace != hooks.NoGrace {
		t.Errorf("timeout %s, grace %s", h.Timeout, h.Grace)
	}
	var out bytes.Buffer
	log := runlog.New(runlog.Options{})
	defer log.Close()
	r := hooks.Runner{Log: log, Stdout: &out, Env: []string{"B=not for OCI hooks"}}
	must(t, r.Run(t.Context(), hooks.PostLaunch, found, false))
	lines := strings.SplitN(out.String(), "\n", 3)
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "A=1 "+hooks.MarkName+"=") || strings.Count(lines[0], "=") != 2 {
		t.Fatalf("environment: %q", lines)
	}
	if !strings.HasPrefix(lines[1], "other -c ") {
		t.Errorf("argv: %q", lines[1])
	}
	var s specs.State
	must(t, json.Unmarshal([]byte(lines[2]), &s))
	if s.ID != "r1" || s.Bundle != "/srv/app" || s.Pid != 42 || s.Annotations["team"] != "web" ||
		s.Status != specs.StateRunning {
		t.Errorf("state %+v", s)
	}
}

// TestStateIsValid checks the rules of the runtime specification's
// state-schema.json.
func TestStateIsValid(t *testing.T) {
	status := map[string]string{
		"prestart": "creating", "createRuntime": "creating", "createContainer": "creating", "startContainer": "created",
		"poststart": "running", "poststop": "stopped",
		"pre_fetch": "creating", "pre_prune": "running", "finish": "stopped", "post_sync": "created",
	}
	for _, stage := range allStages() {
		data, err := state(stage, Deployment{ID: "r1", Bundle: "/b", Pid: 42})
		must(t, err)
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.DisallowUnknownFields()
		var s struct {
			OCIVersion  *string           `json:"ociVersion"`
			ID          *string           `json:"id"`
			Status      *string           `json:"status"`
			Pid         *int              `json:"pid"`
			Bundle      *string           `json:"bundle"`
			Annotations map[string]string `json:"annotations"`
		}
		must(t, dec.Decode(&s))
		if s.OCIVersion == nil || s.ID == nil || s.Status == nil || s.Bundle == nil {
			t.Fatalf("%s: a required key is missing: %s", stage, data)
		}
		if !slices.Contains([]string{"creating", "created", "running", "stopped"}, *s.Status) ||
			status[stage] != "" && *s.Status != status[stage] {
			t.Errorf("%s: status %q", stage, *s.Status)
		}
		if (*s.Status != "stopped") != (s.Pid != nil && *s.Pid == 42) {
			t.Errorf("%s: pid in %s", stage, data)
		}
		if *s.OCIVersion != specs.Version {
			t.Errorf("version %q", *s.OCIVersion)
		}
	}
}

func TestTimeoutKillsAtOnce(t *testing.T) {
	dir := t.TempDir()
	mark := filepath.Join(dir, "mark")
	path := put(t, dir, "hook", "#!/bin/sh\ntrap 'echo asked >"+mark+"; exit 0' TERM\nwhile :; do /bin/sleep 0.01; done\n")
	must(t, os.Chmod(path, 0o755))
	put(t, dir, "x.json", fmt.Sprintf(`{"version": "1.0.0", "hook": {"path": %q, "timeout": 1},
		"when": {"always": true}, "stages": ["prestart"]}`, path))
	defs, err := Load([]string{dir})
	must(t, err)
	found, err := Hooks(defs, hooks.PreExtract, Deployment{})
	must(t, err)
	log := runlog.New(runlog.Options{})
	defer log.Close()
	err = (&hooks.Runner{Log: log}).Run(t.Context(), hooks.PreExtract, found, false)
	if err == nil || !strings.Contains(err.Error(), `oci hook "x": timed out after 1s`) {
		t.Errorf("err = %v", err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the hook got TERM first")
	}
}

// TestWatch changes directories in every way and waits for each to be told.
func TestWatch(t *testing.T) {
	top := t.TempDir()
	there, later := filepath.Join(top, "there"), filepath.Join(top, "later")
	put(t, there, "a.json", "1")
	ctx, cancel := context.WithCancel(t.Context())
	changed, ended := make(chan struct{}, 100), make(chan error, 1)
	go func() { ended <- Watch(ctx, []string{there, later}, func() { changed <- struct{}{} }) }()
	// Only what changes after its start counts, and that is the only sign of it.
	for n, started := 2, false; !started; n++ {
		put(t, there, "a.json", fmt.Sprint(n))
		select {
		case <-changed:
			started = true
		case <-time.After(settle * 3):
		}
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"content", func() error { return os.WriteFile(filepath.Join(there, "a.json"), []byte("changed"), 0o644) }},
		{"new file", func() error { return os.WriteFile(filepath.Join(there, "b.json"), nil, 0o644) }},
		{"rename", func() error { return os.Rename(filepath.Join(there, "b.json"), filepath.Join(there, "c.json")) }},
		{"removal", func() error { return os.Remove(filepath.Join(there, "c.json")) }},
		{"new directory", func() error { put(t, later, "x.json", "1"); return nil }},
		{"file in the new directory", func() error { put(t, later, "y.json", "1"); return nil }},
		{"removed directory", func() error { return os.RemoveAll(there) }},
		{"directory made again", func() error { put(t, there, "a.json", "3"); return nil }},
	} {
		must(t, step.do())
		select {
		case <-changed:
		case <-time.After(time.Minute):
			t.Fatalf("%s: not told", step.name)
		}
		time.Sleep(settle * 2) // a second call for the same step is allowed
		for len(changed) > 0 {
			<-changed
		}
	}
	for quiet := false; !quiet; {
		select {
		case <-changed:
		case <-time.After(2 * poll):
			quiet = true
		}
	}
	put(t, there, "README", "no definition")
	time.Sleep(settle * 3)
	if len(changed) > 0 {
		t.Error("told of a file that is no definition")
	}
	cancel()
	must(t, <-ended)
}
