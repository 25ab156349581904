package hooks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stretcher/internal/journal/runlog"
	"stretcher/internal/process"
	"stretcher/internal/testparts"
)

// bench is a Runner with all it writes.
type bench struct {
	*Runner
	log      *bytes.Buffer
	outcomes []Outcome
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{log: &bytes.Buffer{}}
	log := runlog.New(runlog.Options{Writers: []io.Writer{b.log}})
	t.Cleanup(func() { _ = log.Close() })
	b.Runner = &Runner{Log: log, Env: []string{"PATH=/usr/bin:/bin"},
		Record: func(o Outcome) { b.outcomes = append(b.outcomes, o) }}
	return b
}

// names lists what ran, and what was skipped in parentheses.
func (b *bench) names() string {
	var s []string
	for _, o := range b.outcomes {
		if o.Skipped {
			s = append(s, "("+o.Hook.Name+")")
		} else {
			s = append(s, o.Hook.Name)
		}
	}
	return strings.Join(s, " ")
}

func script(name, text string) Hook {
	return Hook{Dialect: P2, Name: name, Source: "/hooks.d/" + name,
		Process: Process{Path: "/bin/sh", Args: []string{"-c", text}}, Grace: 200 * time.Millisecond}
}

func required(h Hook) Hook {
	h.Required = true
	return h
}

func concurrent(h Hook) Hook {
	h.Concurrent = true
	return h
}

func conditional(c Condition, h Hook) Hook {
	h.Condition = c
	return h
}

func TestFailures(t *testing.T) {
	ok, bad := script("ok", "exit 0"), script("bad", "exit 3")
	unusable := script("unusable", "exit 0")
	unusable.Problem = errors.New("is not executable")
	for _, tc := range []struct {
		name  string
		hooks []Hook
		ran   string
		err   string
	}{
		{"none", nil, "", ""},
		{"all good", []Hook{ok, required(ok)}, "ok ok", ""},
		{"swallowed", []Hook{bad, ok}, "bad ok", ""},
		{"required", []Hook{ok, required(bad), ok}, "ok bad", `p2 hook "bad": exit status 3`},
		{"unusable", []Hook{unusable, ok}, "unusable ok", ""},
		{"unusable, required", []Hook{required(unusable), ok}, "unusable", `p2 hook "unusable": is not executable`},
		{"group", []Hook{concurrent(required(bad)), concurrent(ok), ok}, "bad ok", `p2 hook "bad": exit status 3`},
		{"no such program", []Hook{required(Hook{Dialect: OCI, Name: "x", Process: Process{Path: "/no/such"}})}, "x",
			`oci hook "x": start "/no/such"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			err := b.Run(t.Context(), PreSync, tc.hooks, false)
			if got := b.names(); got != tc.ran {
				t.Errorf("ran %q, want %q", got, tc.ran)
			}
			if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("err = %v, want %q", err, tc.err)
			}
		})
	}
}

func TestConditions(t *testing.T) {
	hooks := []Hook{
		script("zero", ":"), conditional(Pass, script("pass", ":")),
		conditional(Fail, script("fail", ":")), conditional(Always, script("always", ":")),
	}
	for failed, want := range map[bool]string{
		false: "zero pass (fail) always",
		true:  "(zero) (pass) fail always",
	} {
		b := newBench(t)
		if err := b.Run(t.Context(), PostSync, hooks, failed); err != nil {
			t.Fatal(err)
		}
		if got := b.names(); got != want {
			t.Errorf("step failed = %v: %q, want %q", failed, got, want)
		}
	}
}

// TestGroupsRunTogether has two hooks that each wait for the other: run one
// after the other, both would be killed.
func TestGroupsRunTogether(t *testing.T) {
	dir := t.TempDir()
	meet := func(mine, other string) Hook {
		h := concurrent(required(script(mine,
			"touch "+filepath.Join(dir, mine)+"; until test -e "+filepath.Join(dir, other)+"; do sleep 0.01; done")))
		h.Timeout = time.Minute
		return h
	}
	b := newBench(t)
	between := conditional(Fail, script("no", "exit 1"))
	if err := b.Run(t.Context(), PreFetch, []Hook{meet("a", "b"), between, meet("b", "a")}, false); err != nil {
		t.Fatal(err)
	}
	if b.names() != "(no) a b" {
		t.Errorf("recorded %q", b.names())
	}
}

func TestGroups(t *testing.T) {
	one, two := Hook{}, Hook{Concurrent: true}
	not := conditional(Fail, one)
	other := Hook{Concurrent: true, Stage: "other"}
	for _, tc := range []struct {
		hooks []Hook
		want  string // due+skipped of each group
	}{
		{nil, ""},
		{[]Hook{one, one}, "1+0 1+0"},
		{[]Hook{two, two, one, two}, "2+0 1+0 1+0"},
		{[]Hook{one, two, two, two}, "1+0 3+0"},
		{[]Hook{two, not, two}, "2+1"},
		{[]Hook{two, conditional(Fail, two), two, not, one}, "2+1 1+1"},
		{[]Hook{not, not}, "0+2"},
		{[]Hook{not, two, one, not}, "1+1 1+0 0+1"},
		{[]Hook{two, not, other}, "1+0 1+1"},
	} {
		var got []string
		for _, g := range groups(tc.hooks, false) {
			got = append(got, fmt.Sprintf("%d+%d", len(g.due), len(g.skipped)))
		}
		if text := strings.Join(got, " "); text != tc.want {
			t.Errorf("groups %q, want %q", text, tc.want)
		}
	}
}

func TestWhatAHookGets(t *testing.T) {
	b := newBench(t)
	b.Mark = "STRETCHER_RUN_ID=r1"
	h := script("env", `echo "$0|$A|$B|$STRETCHER_RUN_ID|${STRETCHER_HOOK_ID:+set}|$(pwd)|$(cat)"`)
	h.Args = append(h.Args, "zero")
	h.Env, h.Dir, h.Stdin = []string{"A=1", "PATH=/usr/bin:/bin"}, "/", []byte("in")
	t.Setenv("B", "inherited")
	if err := b.Run(t.Context(), PreSync, []Hook{required(h)}, false); err != nil {
		t.Fatal(err)
	}
	if want := "env: zero|1||r1|set|/|in\n"; !strings.Contains(b.log.String(), want) {
		t.Errorf("no %q in log:\n%s", want, b.log)
	}
}

func TestArgv0(t *testing.T) {
	b := newBench(t)
	h := Hook{Dialect: OCI, Name: "argv",
		Process: Process{Path: "/bin/sh", Argv0: "other",
			Args: []string{"-c", `tr '\0' ' ' </proc/$$/cmdline`}}, Required: true}
	if err := b.Run(t.Context(), PreSync, []Hook{h}, false); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.log.String(), "argv: other -c ") {
		t.Errorf("log:\n%s", b.log)
	}
}

func TestStdoutIsPassedThrough(t *testing.T) {
	b := newBench(t)
	var out bytes.Buffer
	b.Stdout = &out
	err := b.Run(t.Context(), "", []Hook{required(script("a", `printf 'x\ny'; echo aside >&2`))}, false)
	if err != nil || out.String() != "x\ny" {
		t.Errorf("stdout %q, err %v", out.String(), err)
	}
	if log := b.log.String(); !strings.Contains(log, "a: aside") || strings.Contains(log, "a: x") {
		t.Errorf("log:\n%s", log)
	}
}

func TestOutcomeSaysHowItEnded(t *testing.T) {
	var b *bench
	testparts.UntilReady(t, func(limit time.Duration, ready string) {
		b = newBench(t)
		slow := script("slow", "trap '' TERM; : >$0.slow; while :; do sleep 0.01; done")
		slow.Args, slow.Timeout = append(slow.Args, ready), limit
		killed := slow
		killed.Name, killed.Grace = "killed", NoGrace
		killed.Args = []string{"-c", "trap 'exit 0' TERM; mv $0.slow $0; while :; do sleep 0.01; done", ready}
		if err := b.Run(t.Context(), PreSync, []Hook{script("three", "exit 3"), slow, killed}, false); err != nil {
			t.Fatal(err)
		}
	})
	for i, want := range []process.Result{{Exit: 3}, {Exit: -1, Signal: 9, TimedOut: true},
		{Exit: -1, Signal: 9, TimedOut: true}} {
		got := b.outcomes[i].Result
		if got.Exit != want.Exit || got.Signal != want.Signal || got.TimedOut != want.TimedOut || b.outcomes[i].Err == nil {
			t.Errorf("%s: %+v", b.outcomes[i].Hook.Name, got)
		}
	}
	if o := b.outcomes; o[0].Started.IsZero() || o[1].Offset <= o[0].Offset {
		t.Errorf("started %v, offsets %d, %d", o[0].Started, o[0].Offset, o[1].Offset)
	}
}

func TestCancelStopsThePoint(t *testing.T) {
	b := newBench(t)
	over := errors.New("over")
	ctx, cancel := context.WithCancelCause(t.Context())
	b.Started = func(pid int) {
		if pid > 0 {
			cancel(over)
		}
	}
	err := b.Run(ctx, PreSync, []Hook{script("a", "sleep 600"), script("b", ":")}, false)
	if !errors.Is(err, over) || b.names() != "a" {
		t.Errorf("err = %v, ran %q", err, b.names())
	}
}

func TestFunctions(t *testing.T) {
	run := func(limit time.Duration, f func(context.Context, Streams) (process.Result, error)) (*bench, error) {
		b := newBench(t)
		h := Hook{Dialect: Porter, Name: "f", Required: true, Timeout: limit, Run: f}
		return b, b.Run(t.Context(), PreSync, []Hook{h}, false)
	}
	b, err := run(time.Hour, func(_ context.Context, s Streams) (process.Result, error) {
		if len(s.Mark) != 1 || !strings.HasPrefix(s.Mark[0], MarkName+"=") {
			t.Errorf("mark = %q", s.Mark)
		}
		_, err := io.WriteString(s.Stdout, "said\n")
		return process.Result{}, err
	})
	if err != nil || !strings.Contains(b.log.String(), "f: said") {
		t.Errorf("err = %v, log:\n%s", err, b.log)
	}
	b, err = run(50*time.Millisecond, func(ctx context.Context, _ Streams) (process.Result, error) {
		<-ctx.Done()
		return process.Result{Exit: -1}, context.Cause(ctx)
	})
	if err == nil || !strings.Contains(err.Error(), "timed out after 50ms") || !b.outcomes[0].Result.TimedOut {
		t.Errorf("timeout: %v, %+v", err, b.outcomes[0].Result)
	}
	if _, err = run(0, func(context.Context, Streams) (process.Result, error) { panic("oops") }); err == nil ||
		!strings.Contains(err.Error(), "oops") {
		t.Errorf("panic: %v", err)
	}
}
