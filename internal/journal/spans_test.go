package journal

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"stretcher/internal/journal/history"
	"stretcher/internal/journal/runlog"
	"stretcher/internal/journal/trace"
)

// TestSpan: what ran in a step is below it, each time that the run was there; a
// step in which nothing ran is none. The step that failed says why the run did.
func TestSpan(t *testing.T) {
	j := New(runlog.New(runlog.Options{}))
	now := time.Now()
	row := func(point, dialect, name string, exit int) {
		j.Add(history.Step{Point: point, Dialect: dialect, Name: name, Exit: exit, Started: now, Duration: time.Second})
		now = now.Add(time.Second)
	}
	j.Begin(history.Run{ID: "r", Step: "fetch", Started: now}, false)
	j.Enter("fetch")
	j.Aside("auth_fail", func() { row("auth_fail", "p2", "hook", 0) })
	row("fetch", DialectSelf, "fetch", 0)
	j.Enter("pre_sync")
	j.Enter("post")
	row("post", DialectCommand, "first", 0)
	row("post", DialectCommand, "second\nline", 3)
	j.Aside("rollback", func() { row("post", DialectCommand, "first", 0) })
	j.Aside("failure", func() { row("failure", DialectCommand, strings.Repeat("x", 100), 0) })
	j.Finish(history.Failed, 1, "post: no", false)
	s := j.span()
	var got []string
	for _, step := range s.Below {
		line := fmt.Sprintf("%s %v %v %s:", step.Name, step.Ended.Sub(step.Began), step.Failed, step.Why)
		for _, child := range step.Below {
			line += fmt.Sprintf(" %s %v %s", child.Name, child.Failed, child.Why)
		}
		got = append(got, line)
	}
	want := "fetch 1s false :|auth_fail 1s false : hook false |" +
		"post 2s true post: no: first false  second true exit status 3|" +
		"rollback 1s false : first false |failure 1s false : " + strings.Repeat("x", maxTitle) + " false "
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
	if !s.Failed || s.Why != "post: no" {
		t.Errorf("the run is %v, %q", s.Failed, s.Why)
	}
}

// TestWay: a child that is told of a step before the run is there is told of the
// same span as those that run in it; when the run comes back, of another.
func TestWay(t *testing.T) {
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "", "OTEL_TRACES_EXPORTER": "",
	} {
		t.Setenv(name, value)
	}
	j := New(runlog.New(runlog.Options{}))
	j.Traced("01a20418-63d3-7c5e-8d2f-6b7a3f0c9e1d", time.Now(), "1")
	if j.way.trace == nil {
		t.Fatal("it is not traced")
	}
	told := func(step string) string { return strings.Join(j.TraceContext(step), "") }
	j.Enter("pre")
	early := told("post")
	if early != told("post") || early == told("pre") {
		t.Error("the context of a step to come changes, or is that of another")
	}
	j.Enter("post")
	row := history.Step{Point: "post", Dialect: DialectCommand, Name: "c"}
	j.Add(row)
	if told("post") != early || j.way.visits[len(j.way.visits)-1].span == (trace.SpanID{}) {
		t.Error("what was told before is not the step's")
	}
	j.Enter("verify")
	j.Enter("post")
	if told("post") == early {
		t.Error("the second time is taken for the first")
	}
	if !strings.HasPrefix(early, "TRACEPARENT=00-01a2041863d37c5e8d2f6b7a3f0c9e1d-") {
		t.Errorf("told %q", early)
	}
}
