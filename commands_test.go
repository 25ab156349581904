package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"stretcher/internal/cli"
	"stretcher/internal/journal"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/manifest"
	"stretcher/internal/policy"
	"stretcher/internal/process"
	"stretcher/internal/text/progress"
	"stretcher/internal/text/units"
)

// TestNotifyIsLimited: a success or failure command that hangs ends, and the
// next one runs. One with a timeout of its own has that.
func TestNotifyIsLimited(t *testing.T) {
	var said, printed bytes.Buffer
	log := runlog.New(runlog.Options{Writers: []io.Writer{&said}})
	x := executor{&tools{
		policy: &policy.Policy{}, log: log, journal: journal.New(log),
		screen: progress.New(&printed, progress.Terminal{}), settings: cli.Settings{Stdout: &printed},
	}}
	own := units.Duration(70 * time.Millisecond)
	m := &manifest.Manifest{Commands: manifest.Commands{Failure: []manifest.Command{
		{Run: "exec sleep 600"}, {Run: "exec sleep 600 # own", Timeout: own}, {Run: "echo last"},
	}}}
	x.notify(t.Context(), run{spec: Spec{Loaded: &manifest.Loaded{Manifest: m}}}, "failure", 50*time.Millisecond)
	for _, want := range []string{
		`failure command 1 "exec sleep 600": timed out after 50ms`,
		`failure command 2 "exec sleep 600 # own": timed out after 70ms`,
	} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("the log does not say %q: %s", want, &said)
		}
	}
	if printed.String() != "last\n" {
		t.Errorf("printed %q: the last command did not run", &printed)
	}
}

// TestLimitsAreDocumented: the documents name the limits that the program has.
func TestLimitsAreDocumented(t *testing.T) {
	for _, tc := range []struct {
		limit, unit time.Duration
		doc, text   string
	}{
		{notifyTimeout, time.Minute, "manifest.md", "of its own is ended after %d minutes;"},
		{afterSignal, time.Second, "manifest.md", "after an interruption, failure commands have %d seconds in all."},
		{afterSignal, time.Second, "operations.md", "Then the `failure` commands run, for %d s at most,"},
		{afterSignal / 2, time.Second, "strategies.md", "the commands that run again have %d of the 60 s of"},
		{cli.SecondAfter, time.Second, "operations.md", "unless it comes within %d s of the first:"},
	} {
		text, err := os.ReadFile("docs/" + tc.doc)
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf(tc.text, tc.limit/tc.unit)
		if tc.limit%tc.unit != 0 || !strings.Contains(strings.Join(strings.Fields(string(text)), " "), want) {
			t.Errorf("docs/%s does not say %q; the limit is %v", tc.doc, want, tc.limit)
		}
	}
}

// TestExtend: what is left to do after an interruption ends at its limit, at a
// second signal, and not without an interruption.
func TestExtend(t *testing.T) {
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	none, again := make(chan struct{}), make(chan struct{})
	close(again)
	for name, tc := range map[string]struct {
		ctx    context.Context
		limit  time.Duration
		second chan struct{}
		ends   bool
	}{
		"limit":             {interrupted, time.Millisecond, none, true},
		"second signal":     {interrupted, time.Hour, again, true},
		"time left":         {interrupted, time.Hour, none, false},
		"not interrupted":   {t.Context(), time.Millisecond, none, false},
		"nothing but haste": {t.Context(), time.Hour, again, false},
	} {
		ctx, cancel := extend(tc.ctx, t.Context(), tc.limit, tc.second)
		wait := time.Minute
		if !tc.ends {
			wait = 50 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			if !tc.ends || !errors.Is(context.Cause(ctx), errTooLate) {
				t.Errorf("%s: ended with %v", name, context.Cause(ctx))
			}
		case <-time.After(wait):
			if tc.ends {
				t.Errorf("%s: goes on", name)
			}
		}
		cancel()
	}
}

// TestLimitOf: who could stop a command for ever has bounds.
func TestLimitOf(t *testing.T) {
	bound := executor{&tools{user: &process.User{}}}
	long := manifest.Command{Timeout: units.Duration(3 * time.Hour)}
	for _, test := range []struct {
		x    executor
		c    manifest.Command
		want time.Duration
	}{
		{bound, manifest.Command{}, process.UserTimeout}, {bound, long, 3 * time.Hour},
		{executor{&tools{}}, manifest.Command{}, 0}, {executor{&tools{}}, long, 3 * time.Hour},
	} {
		if got := time.Duration(test.x.limitOf(test.c)); got != test.want {
			t.Errorf("%+v: %s, want %s", test.c, got, test.want)
		}
	}
}
