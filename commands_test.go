package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"stretcher/internal/cli"
	"stretcher/internal/journal"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/manifest"
	"stretcher/internal/text/progress"
	"stretcher/internal/text/units"
)

// TestNotifyIsLimited: a success or failure command that hangs ends, and the
// next one runs. One with a timeout of its own has that.
func TestNotifyIsLimited(t *testing.T) {
	if notifyTimeout != 10*time.Minute {
		t.Errorf("docs/manifest.md says ten minutes, the limit is %v", notifyTimeout)
	}
	var said, printed bytes.Buffer
	log := runlog.New(runlog.Options{Writers: []io.Writer{&said}})
	x := executor{&tools{
		log: log, journal: journal.New(log), screen: progress.New(&printed, false), settings: cli.Settings{Stdout: &printed},
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
