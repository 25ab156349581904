package porter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"stretcher/internal/hooks"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/process"
	"stretcher/internal/text/failure"
)

// bench is a dialect with a runner and what they said.
type bench struct {
	Dialect
	scope    hooks.Deployment
	runner   *hooks.Runner
	log      bytes.Buffer
	outcomes []hooks.Outcome
}

// newBench reads the lists below a manifest's hooks key.
func newBench(t *testing.T, lists string) *bench {
	t.Helper()
	b := &bench{}
	var problems []string
	b.Lists, _, problems = decode("hooks:\n" + lists)
	if problems != nil {
		t.Fatal(problems)
	}
	b.Key, b.Run = "hooks", "run-1"
	log := runlog.New(runlog.Options{Writers: []io.Writer{&b.log}})
	t.Cleanup(func() { log.Close() })
	b.Mask = log.Mask
	b.scope = hooks.Deployment{Tree: t.TempDir(), Name: "app", Version: "7", Environ: os.Environ()}
	b.scope.Base, b.scope.Programs = b.scope.Environ, b.scope.Tree // as it is staged
	b.runner = &hooks.Runner{Log: log, Record: func(o hooks.Outcome) { b.outcomes = append(b.outcomes, o) }}
	return b
}

// TestHooksOfAnotherUser: programs run as the user, with what is told to them,
// and containers not at all.
func TestHooksOfAnotherUser(t *testing.T) {
	b := newBench(t, "  post_pack:\n  - {run: env}\n  - {path: x, timeout: 2h}\n  - {dockerfile: Dockerfile}\n"+
		"  mine:\n  - {repo: 'https://localhost/x', ref: v1}\n")
	b.User = &process.User{Name: "app"}
	b.scope.Own, b.scope.ManifestEnv = []string{"TO=root"}, nil
	b.scope.Manifest = &hooks.Deployment{
		Tree: "/copy", Programs: "/copy", Base: []string{"PATH=/bin", "HOME=/app"}, ManifestEnv: []string{"FROM=manifest"},
		Own: []string{"TO=app"},
	}
	list := b.hooksAt(hooks.PostExtract)
	sh := list[0]
	if sh.User != b.User || sh.Dir != "/copy" || strings.Join(sh.Env, " ") !=
		"PATH=/bin HOME=/app FROM=manifest TO=app PORTER_SERVICE_NAME= PORTER_SERVICE_VERSION=" {
		t.Errorf("%+v", sh.Process)
	}
	if sh.Timeout != process.UserTimeout || list[1].Timeout != 2*time.Hour {
		t.Errorf("they end after %s and %s", sh.Timeout, list[1].Timeout)
	}
	if list[1].Run == nil || list[1].Problem != nil {
		t.Errorf("%+v", list[1])
	}
	named, err := b.Named("mine", b.scope, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []hooks.Hook{list[2], named[0]} {
		if h.Run != nil || !errors.Is(h.Problem, ErrContainer) || !errors.Is(h.Problem, failure.ErrRefused) {
			t.Errorf("%+v", h)
		}
	}
}

// hooksAt are the hooks of a point.
func (b *bench) hooksAt(p hooks.Point) []hooks.Hook {
	list, _, _ := b.At(p, b.scope)
	return list
}

func (b *bench) at(t *testing.T, p hooks.Point, stepFailed bool) error {
	t.Helper()
	return b.runner.Run(t.Context(), p, b.hooksAt(p), stepFailed)
}

// ran are the names of the hooks that ran, in order.
func (b *bench) ran() []string {
	var names []string
	for _, o := range b.outcomes {
		if !o.Skipped {
			names = append(names, o.Hook.Name)
		}
	}
	return names
}

// told is the text of a file that hooks write to in the tree.
func (b *bench) told(t *testing.T, name string) string {
	t.Helper()
	return read(t, filepath.Join(b.scope.Tree, name))
}

func TestProgramsOfTheTree(t *testing.T) {
	b := newBench(t, `
  pre_provision:
  - run: |
      printf "#!/bin/sh\necho made \$A \$PWD \$CALLER >> told; echo out\n" > made
      chmod +x made
      echo run $A $B >> told
    environment: {A: one, B: }
  - path: made
    environment: [A=secret, CALLER]
`)
	b.scope.Environ = append(b.scope.Environ, "B=two", "CALLER=me")
	if err := b.at(t, hooks.PreSync, false); err != nil {
		t.Fatal(err)
	}
	if got, want := b.told(t, "told"), "run one two\nmade secret "+b.scope.Tree+" me\n"; got != want {
		t.Errorf("the hooks wrote %q, want %q", got, want)
	}
	if log := b.log.String(); !strings.Contains(log, "pre_provision[1]: out\n") || strings.Contains(log, "secret") {
		t.Errorf("log:\n%s", log)
	}
	h := b.outcomes[1].Hook
	if h.Dialect != hooks.Porter || h.Source != "hooks.pre_provision[1]" || h.Stage != "pre_provision" ||
		h.Point != hooks.PreSync {
		t.Errorf("hook %+v", h)
	}
}

func TestProgramsThatCannotRun(t *testing.T) {
	for _, tt := range []struct{ make, entry, want string }{
		{":", "path: none", "no such file"},
		{"touch plain", "path: plain", `"plain" is not executable`},
		{"mkdir dir", "path: dir", `"dir" is not a file`},
		{"ln -s /bin/sh out", "path: out", "path escapes"},
		{"ln -s /bin out", "path: out/sh", "path escapes"},
		{"ln -s / out", "dockerfile: out/etc/passwd", "path escapes"},
		{":", "run: exit 3", "exit status 3"},
		{":", "run: kill -9 $$", "killed by signal 9"},
	} {
		b := newBench(t, "  pre_pack: [{run: '"+tt.make+"'}, {"+tt.entry+"}, {run: echo on}]\n")
		err := b.at(t, hooks.PreFetch, false)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), `"pre_pack[1]"`) {
			t.Errorf("%s: %v, want %q", tt.entry, err, tt.want)
		}
		if got := b.ran(); len(got) != 2 {
			t.Errorf("%s: ran %q; the first failure must halt the rest", tt.entry, got)
		}
	}
}

func TestNoTreeYet(t *testing.T) {
	for entry, want := range map[string]string{"dockerfile: D": `"D" is a file of the archive`,
		"path: p": `"p" is a file of the archive`, "run: 'true'": ""} {
		b := newBench(t, "  pre_pack: [{"+entry+"}]\n")
		b.scope.Tree, b.scope.Programs = "", ""
		err := b.at(t, hooks.PreFetch, false)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", entry, err, want)
		}
	}
}

// TestConditions crosses, for every step, whether its pre hook fails, whether
// it fails itself, and the condition of the hook after it.
func TestConditions(t *testing.T) {
	bodies := []Step{Pack, Provision, Promote, Prune}
	for _, step := range bodies {
		for _, preFails := range []bool{false, true} {
			for _, stepFails := range []bool{false, true} {
				for _, condition := range []string{"", "pass", "fail", "always"} {
					name := fmt.Sprintf("%s/pre=%v/step=%v/%s", step, preFails, stepFails, condition)
					t.Run(name, func(t *testing.T) {
						want := []string{step.Pre() + "[0]"}
						if !preFails && (condition == "always" || (condition == "fail") == stepFails) {
							want = append(want, step.Post()+"[0]")
						}
						b := conditionBench(t, step, preFails, condition)
						err := b.deploy(t, step, stepFails)
						if got := b.ran(); !reflect.DeepEqual(got, want) {
							t.Errorf("ran %q, want %q", got, want)
						}
						if (err != nil) != (preFails || stepFails) || errors.Is(err, errStep) != (stepFails && !preFails) {
							t.Errorf("err = %v", err)
						}
					})
				}
			}
		}
	}
}

func conditionBench(t *testing.T, step Step, preFails bool, condition string) *bench {
	t.Helper()
	b := newBench(t, fmt.Sprintf("  %s: [{run: exit %d}]\n  %s: [{run: 'true'}]\n",
		step.Pre(), map[bool]int{true: 1}[preFails], step.Post()))
	b.Lists[step.Post()][0].RunCondition = Condition(condition)
	return b
}

var errStep = errors.New("the step failed")

// deploy runs all steps as a deployment does; failing fails.
func (b *bench) deploy(t *testing.T, failing Step, fails bool) error {
	at := func(p hooks.Point, stepFailed bool) error { return b.at(t, p, stepFailed) }
	for _, s := range []struct {
		step          Step
		before, after hooks.Point
	}{
		{Pack, hooks.PreFetch, hooks.PostExtract}, {Provision, hooks.PreSync, hooks.PostSync},
		{Promote, "", hooks.PostLaunch}, {Prune, hooks.PrePrune, hooks.PostPrune},
	} {
		err := Around(s.before, s.after, at, func() error {
			if fails && s.step == failing {
				return errStep
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func TestFailedStepAndFailedHook(t *testing.T) {
	b := newBench(t, "  post_provision: [{run: exit 3, run_condition: fail}, {run: 'true', run_condition: always}]\n"+
		"  pre_promote: [{run: 'true'}]\n")
	err := b.deploy(t, Provision, true)
	if !errors.Is(err, errStep) || !strings.Contains(err.Error(),
		"the step failed; then porter hook \"post_provision[0]\": exit status 3") {
		t.Errorf("err = %v", err)
	}
	if got := b.ran(); !reflect.DeepEqual(got, []string{"post_provision[0]"}) {
		t.Errorf("ran %q", got)
	}
}

// TestConcurrentNeighbours: each of two waits for the other, and a third that
// stands behind a serial hook for none.
func TestConcurrentNeighbours(t *testing.T) {
	const meet = `'echo x > mine; until test -e other; do sleep 0.01; done'`
	b := newBench(t, `
  post_provision:
  - {run: `+meet+`, concurrent: true}
  - {run: `+strings.NewReplacer("mine", "other", "other", "mine").Replace(meet)+`, concurrent: true}
  - {run: 'test -e mine && test -e other'}
  - {run: 'sleep 0.2; echo 3 >> order', concurrent: true}
  pre_promote:
  - {run: 'echo 4 >> order', concurrent: true}
`)
	if err := b.at(t, hooks.PostSync, false); err != nil {
		t.Fatal(err)
	}
	if got := b.told(t, "order"); got != "3\n4\n" {
		t.Errorf("hooks of two lists ran in the order %q", got)
	}
}

func TestGroupFailsAsOne(t *testing.T) {
	b := newBench(t, `
  pre_pack:
  - {run: 'until test -e slow; do sleep 0.01; done; exit 4', concurrent: true}
  - {run: 'echo x > slow', concurrent: true}
  - {run: 'true'}
`)
	err := b.at(t, hooks.PreFetch, false)
	if err == nil || !strings.Contains(err.Error(), `"pre_pack[0]": exit status 4`) {
		t.Errorf("err = %v", err)
	}
	if got := b.ran(); len(got) != 2 {
		t.Errorf("ran %q", got)
	}
}

func TestNamed(t *testing.T) {
	b := newBench(t, `
  smoke_test: [{run: 'echo to stdout; echo to stderr >&2'}, {run: exit 7}, {run: 'true'}]
  post_pack: [{run: kill -9 $$, run_condition: fail}]
  slow: [{run: sleep 100, timeout: 0.1}]
  missing: [{path: none}]
  good: [{run: 'true'}]
`)
	var out bytes.Buffer
	b.runner.Stdout = &out
	for name, want := range map[string]int{"smoke_test": 7, "post_pack": 128 + 9, "slow": 1, "missing": 1, "good": 0} {
		b.outcomes = nil
		list, err := b.Named(name, b.scope, nil)
		if err != nil {
			t.Fatal(err)
		}
		exit, err := RunNamed(t.Context(), b.runner, list)
		if exit != want || (err != nil) != (want != 0) || len(b.outcomes) == 0 {
			t.Errorf("%s: exit %d, %v, outcomes %+v; want %d", name, exit, err, b.outcomes, want)
		}
	}
	if out.String() != "to stdout\n" || !strings.Contains(b.log.String(), "smoke_test[0]: to stderr\n") {
		t.Errorf("stdout %q, log:\n%s", &out, &b.log)
	}
	_, err := b.Named("smoke", b.scope, nil)
	if !errors.Is(err, ErrNoList) ||
		!strings.Contains(err.Error(),
			`"smoke": no such hooks: the manifest has good, missing, post_pack, slow, smoke_test`) {
		t.Errorf("err = %v", err)
	}
	_, err = (&Dialect{}).Named("x", hooks.Deployment{}, nil)
	if !errors.Is(err, ErrNoList) || !strings.Contains(err.Error(), "the manifest has none") {
		t.Errorf("err = %v", err)
	}
}

func TestNamedStops(t *testing.T) {
	b := newBench(t, "  wait: [{run: sleep 100}]\n")
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	b.runner.Started = func(pid int) {
		if pid != 0 {
			cancel(enough)
		}
	}
	list, err := b.Named("wait", b.scope, nil)
	if err != nil {
		t.Fatal(err)
	}
	if exit, err := RunNamed(ctx, b.runner, list); exit == 0 || !errors.Is(err, enough) {
		t.Errorf("exit %d, %v", exit, err)
	}
}

// TestUserDefinedRunOnlyByName: no point has them.
func TestUserDefinedRunOnlyByName(t *testing.T) {
	var doc strings.Builder
	for _, name := range append(Names(), "mine") {
		fmt.Fprintf(&doc, "  %s: [{run: x}]\n", name)
	}
	b := newBench(t, doc.String())
	var got []string
	for _, p := range hooks.Points() {
		for _, h := range b.hooksAt(p.Point) {
			got = append(got, h.Stage)
		}
	}
	if want := slices.DeleteFunc(Names(), UserDefined); !reflect.DeepEqual(got, want) {
		t.Errorf("run by themselves, in order: %q, want %q", got, want)
	}
}

func TestMounts(t *testing.T) {
	for doc, want := range map[string]bool{
		"  pre_pack: [{run: x}]\n  mine: [{dockerfile: D}]\n":               false,
		"  pre_pack: [{run: x}, {dockerfile: D}]\n":                         true,
		"  post_prune: [{repo: 'https://h/p', ref: v1}]\n":                  true,
		"  ec2_bootstrap: [{repo: 'https://h/p', ref: v1}]\n  pre_pack: []": false,
	} {
		if got := newBench(t, doc).Lists.Mounts(); got != want {
			t.Errorf("%s: Mounts = %v", doc, got)
		}
	}
}

func TestWhat(t *testing.T) {
	for want, e := range map[string]Entry{
		"echo":                                  {Run: "echo"},
		"bin/x":                                 {Path: "bin/x"},
		"a/D":                                   {Dockerfile: "a/D"},
		"Dockerfile of https://xxxxx@h/p at v1": {Repo: "https://me:pw@h/p", Ref: "v1"},
		"D of git@h:o/p.git at v1":              {Repo: "git@h:o/p.git", Ref: "v1", Dockerfile: "D"},
		"D of ssh://git@h:22/p at v1":           {Repo: "ssh://git@h:22/p", Ref: "v1", Dockerfile: "D"},
		"D of ssh://xxxxx@h/p at v1":            {Repo: "ssh://me:pw@h/p", Ref: "v1", Dockerfile: "D"},
		"D of https://h/p?xxxxx at main":        {Repo: "https://h/p?token=x", Ref: "main", Dockerfile: "D"},
	} {
		if got := e.What(); got != want {
			t.Errorf("What = %q, want %q", got, want)
		}
	}
}
